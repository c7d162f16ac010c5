# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Tests a shutdown of the machine, which no case inside could survive. The service stops its roles as at any
# other stop, while the bus, the service itself and the file systems of the network are still there, and while
# systemd is too busy to answer (it is frozen for two seconds). The result is read from the journal of the
# previous boot.

# reboot_test NAME DESTDIR BUS
reboot_test() {
        local name=$1 code=0
        "$TOOLS/sandbox" boot "$name" "--bus=$3" "--owner=$$" "--tasks=$TEST_TASKS" "--install=$2" || return 1
        reboot_inside "$name" prepare && "$TOOLS/sandbox" reboot "$name" && reboot_inside "$name" check || code=1
        "$TOOLS/sandbox" stop "$name" || code=1
        return "$code"
}

reboot_inside() {
        "$TOOLS/sandbox" exec "$1" -- bash -c "$(<"$TOOLS/lib/reboot-inside")" reboot-inside "$2" </dev/null
}

# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Tests a shutdown of the machine, which no case inside could survive. The service stops its roles as at any
# other stop, while the bus, the service itself and the file systems of the network are still there, and while
# systemd is too busy to answer (it is frozen for two seconds). The result is read from the journal of the
# previous boot.

REBOOT_EXITED=MESSAGE_ID=7a13eca6ed174876bbc827e3d438f2b7        # MESSAGE_ROLE_EXITED, MESSAGE_SHUTTING_DOWN of message-ids.h
REBOOT_SHUTTING_DOWN=MESSAGE_ID=785fc0cf4f9440e18a19bf7462eccf09

# reboot_test NAME DESTDIR BUS
reboot_test() {
        local name=$1 code=0
        "$TOOLS/sandbox" boot "$name" "--bus=$3" "--owner=$$" "--tasks=$TEST_TASKS" "--install=$2" || return 1
        reboot_in "$name" || code=1
        "$TOOLS/sandbox" stop "$name" || code=1
        return "$code"
}

reboot_in() {
        # shellcheck disable=SC2016     # for the shells inside to expand
        "$TOOLS/sandbox" exec "$1" -- bash -ec '
                start() { busctl call -- org.architect.Node /org/architect/Node org.architect.Node Start "sasa{sv}" "$@"; }
                mkdir -p /srv/frames
                printf "%s\n" "[Mount]" What=tmpfs Type=tmpfs Where=/srv/frames Options=_netdev >/run/systemd/system/srv-frames.mount
                systemctl daemon-reload
                systemctl start srv-frames.mount remote-fs.target
                init=/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/1/cgroup)/cgroup.freeze
                systemd-run --quiet --unit=busy -p Type=oneshot -p RemainAfterExit=yes \
                        -p ExecStop="/bin/sh -c \"echo 1 >$init; sleep 2; echo 0 >$init\"" true
                systemctl enable --now architect-node.service
                bus=$(systemctl show -P MainPID dbus.service)
                node=$(systemctl show -P MainPID architect-node.service)
                printf "%s\n" "#!/bin/sh" "trap \"sleep 0.5; kill -0 $node $bus && mountpoint -q /srv/frames && echo all >/var/witness; exit 3\" TERM" \
                        "touch /var/ready" "while :; do sleep 1000 & wait; done" >/var/witness.sh
                start witness 2 sh /var/witness.sh 0
                start stubborn 3 sh -c "trap : TERM; touch /var/ready2; while :; do sleep 1; done" 1 stop-timeout-usec t 2000000
                for ((i = 0; i < 300; i++)); do
                        [ -e /var/ready ] && [ -e /var/ready2 ] && exit 0
                        sleep 0.1
                done
                exit 1' </dev/null || return 1
        "$TOOLS/sandbox" reboot "$1" || return 1
        # shellcheck disable=SC2016
        "$TOOLS/sandbox" exec "$1" -- bash -c '
                bad=0
                expect() {
                        local said
                        said=$("${@:2}")
                        [ "$said" = "$1" ] || { printf "%s\n  should say: %s\n  but says:   %s\n" "${*:2}" "$1" "$said"; bad=1; }
                }
                before=(journalctl -q --no-pager -b -1 -o cat)
                expect all cat /var/witness
                expect "Shutting down" "${before[@]}" "$1"
                expect "witness: Main process exited, code=exited, status=3 (cause: shutdown)" "${before[@]}" "$2" ARCHITECT_ROLE=witness
                expect "stubborn: Main process exited, code=killed, status=9 (cause: shutdown)" "${before[@]}" "$2" ARCHITECT_ROLE=stubborn
                expect "architect-node.service: Deactivated successfully." "${before[@]}" -u architect-node.service -g Deactivated
                expect "a(ssusiso) 0" busctl call org.architect.Node /org/architect/Node org.architect.Node ListRoles
                [ "$bad" -eq 0 ] || journalctl -q --no-pager -b -1 -u "architect-*"
                exit "$bad"' bash "$REBOOT_SHUTTING_DOWN" "$REBOOT_EXITED" </dev/null
}

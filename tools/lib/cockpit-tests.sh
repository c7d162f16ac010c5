# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash source-path=SCRIPTDIR
#
# The page for Cockpit, in Debian's Chromium, against the service: everything is in one sandbox.

# shellcheck source=cockpit-driver.sh
. "$TOOLS/lib/cockpit-driver.sh"

COCKPIT_PACKAGES="cockpit-ws cockpit-bridge cockpit-system chromium nodejs sudo login libpam-systemd"
# For all tests together, which take two minutes at most on two quiet cores.
COCKPIT_SECONDS=600

# cockpit_boot NAME DEST [BOOT-OPTION...] boots a sandbox with what is installed in DEST, and a Cockpit.
cockpit_boot() {
        local name=$1 dest=$2
        shift 2
        COCKPIT_DRIVER=$(cockpit_driver) &&
                "$TOOLS/sandbox" boot "$name" --bus=daemon "--owner=$$" "--install=$dest" "--bind-ro=$SOURCE/tests/cockpit" \
                        "--bind-ro=$COCKPIT_DRIVER" "--packages=$COCKPIT_PACKAGES" "$@" &&
                "$TOOLS/sandbox" exec "$name" -- "$SOURCE/tests/cockpit/set-up" </dev/null
}

# cockpit_node NAME WORD... runs node there, in the directory of the tests.
cockpit_node() {
        local name=$1
        shift
        # shellcheck disable=SC2016     # for the shell inside to expand
        "$TOOLS/sandbox" exec "$name" "--env=COCKPIT_DRIVER=$COCKPIT_DRIVER" -- \
                bash -c 'cd "$1" && shift && exec timeout -k 10 "$@"' bash "$SOURCE/tests/cockpit" "$COCKPIT_SECONDS" node "$@" </dev/null
}

# cockpit_tests STAGE BUILD-DIR [BOOT-OPTION...]
cockpit_tests() {
        local stage=$1 build=$2 name=test-$$-${1#system-} code=0
        # shellcheck disable=SC2153     # set by the script that sources this file
        local log=$LOGS/$stage.out pictures=$LOGS/$stage word cases=""
        shift 2
        # What is the name of a system case alone is none of these tests; any other name is either, or a mistake.
        for word in $ONLY_CASES; do
                [ ! -e "$SOURCE/tests/cockpit/$word.mjs" ] && compgen -G "$SOURCE/tests/system/cases/$word.*" >/dev/null || cases+=" $word"
        done
        [ -z "$ONLY_CASES" ] || [ -n "$cases" ] || { count 0 0; return 0; }
        rm -rf -- "$pictures"
        cockpit_boot "$name" "$build-dest" "--tasks=$TEST_TASKS" "$@" || return 1
        # shellcheck disable=SC2086     # the files of tests that --case names
        cockpit_node "$name" --test-reporter=./reporter.mjs main.mjs $cases >"$log" 2>&1 || code=$?
        cat "$log"
        if [ "$code" -ne 0 ]; then
                mkdir -p "$pictures"
                "$TOOLS/sandbox" exec "$name" -- sh -c 'cd /var/tmp/cockpit-pictures 2>/dev/null && tar -cf - .' </dev/null |
                        tar -C "$pictures" -xf - 2>/dev/null && echo "what the browser showed: $pictures"
                echo "== journal"
                "$TOOLS/sandbox" exec "$name" -- journalctl -q --no-pager -o short-precise -n 40 </dev/null
        fi
        "$TOOLS/sandbox" stop "$name" || code=1
        # shellcheck disable=SC2046     # three words
        count $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log") && return "$code"
}

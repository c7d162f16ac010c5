# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Tests that need three machines: a cluster of Corosync and Pacemaker, with a role agent, a fence agent and the
# service that keeps the lease on each. tests/system/cluster.py runs outside of them, since it cuts cables and
# takes the power away.

CLUSTER_PACKAGES="pacemaker pacemaker-cli-utils corosync"

# cluster_tests STAGE BUILD-DIR
cluster_tests() {
        local stage=$1 build=$2 name names=() boots=() boot code=0
        # shellcheck disable=SC2153     # set by the script that sources this file
        local log=$LOGS/$stage.out

        for name in 1 2 3; do names+=("test-$$-c$name"); done
        for name in "${names[@]}"; do
                "$TOOLS/sandbox" boot "$name" --bus=daemon "--owner=$$" "--tasks=$TEST_TASKS" "--install=$build-dest" \
                        "--packages=$CLUSTER_PACKAGES" &
                boots+=($!)
                # The first one makes the layer of the packages, if there is none.
        done
        for boot in "${boots[@]}"; do wait "$boot" || code=1; done
        [ "$code" -eq 0 ] && "$TOOLS/sandbox" link "${names[@]}" || return 1

        # shellcheck disable=SC2153     # the names of single tests
        ONLY=$ONLY_CASES "$SOURCE/tests/system/cluster.py" "$TOOLS/sandbox" "${names[@]}" >"$log" 2>&1 </dev/null || code=$?
        cat "$log"
        for name in "${names[@]}"; do
                "$TOOLS/sandbox" stop "$name" || code=1
        done
        # shellcheck disable=SC2046     # three words
        count $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log") && return "$code"
}

# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Tests that need two machines: a manager on one, the node on the other, with ssh between them.

# remote_tests STAGE BUILD-DIR boots both, lets root of the first log in at the second, and runs
# tests/system/remote.py on the first.
remote_tests() {
        local stage=$1 build=$2 near=test-$$-near far=test-$$-far name code=0
        # shellcheck disable=SC2153     # set by the script that sources this file
        local log=$LOGS/$stage.out

        for name in "$near" "$far"; do
                system_boot "$name" "$TOOLS/sandbox" boot "$name" --bus=daemon "--owner=$$" "--tasks=$TEST_TASKS" "--install=$build-dest" \
                        "--bind-ro=$build" "--packages=$SYSTEM_PACKAGES" || return 1
        done
        "$TOOLS/sandbox" link "$near" "$far" && remote_keys "$near" "$far" || return 1

        "$TOOLS/sandbox" exec "$near" "--env=FAR=$far" -- "$build/tests/system/remote.py" >"$log" 2>&1 </dev/null || code=$?
        cat "$log"
        if [ "$code" -ne 0 ]; then
                "$TOOLS/sandbox" exec "$far" -- journalctl -q --no-pager -o short-precise -n 40 </dev/null
        fi
        for name in "$near" "$far"; do
                "$TOOLS/sandbox" stop "$name" || code=1
        done
        # shellcheck disable=SC2046     # three words
        count $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log") && return "$code"
}

# Keys for this test only: that of the client and that of the server.
# shellcheck disable=SC2016     # for the shells inside to expand
remote_keys() {
        local near=$1 far=$2 key
        key=$("$TOOLS/sandbox" exec "$near" -- sh -euc '
                rm -rf /root/.ssh
                install -d -m 700 /root/.ssh
                ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519
                cat /root/.ssh/id_ed25519.pub' </dev/null) || return 1
        key=$("$TOOLS/sandbox" exec "$far" -- sh -euc '
                for user in root alice; do
                        home=$(getent passwd $user | cut -d: -f6)
                        # bash reads .bashrc for each command by ssh, and that of this machine may take seconds.
                        rm -rf $home/.ssh $home/.bashrc
                        install -d -m 700 -o $user -g $user $home/.ssh
                        echo "$1" >$home/.ssh/authorized_keys
                done
                rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/*
                ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
                systemctl start ssh.service
                cut -d" " -f1,2 /etc/ssh/ssh_host_ed25519_key.pub' sh "$key" </dev/null) || return 1
        "$TOOLS/sandbox" exec "$near" -- sh -c 'echo "$1 $2" >/root/.ssh/known_hosts' sh "$far" "$key" </dev/null
}

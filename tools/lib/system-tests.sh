# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Runs the system cases of one build, in one sandbox after the other. A comment at the top of a case contains
# where it runs: "sandbox: unified", "sandbox: hybrid" (where limits have an effect) or "sandbox: vm". Those of
# "sandbox: hybrid" and "sandbox: vm" run in a virtual machine (vm-test.sh). After a case of "sandbox: unified,
# last", which leaves a machine that no other case can use, the next one gets a new machine.

SYSTEM_CASE_SECONDS=${SYSTEM_CASE_SECONDS:-300}
# A round of the soak takes less, and so do ten random calls.
SOAK_ROUND_SECONDS=1
# The packages that the cases need inside, in addition to a systemd. Lmod conflicts with Environment Modules,
# so it is unpacked separately, over its dependencies.
SYSTEM_PACKAGES="environment-modules lua5.3 lua-posix lua-filesystem lua-json lua-term beside:lmod"
# The clients of docs/clients.md and examples/clients.
SYSTEM_PACKAGES+=" libglib2.0-bin python3-dasbus python3-dbus-fast python3-jeepney libnet-dbus-perl gjs"
SYSTEM_PACKAGES+=" screen tmux nginx-light mosquitto mosquitto-clients openssl expect libpam-systemd sudo login"
SYSTEM_PACKAGES+=" python3-gi openssh-server openssh-client strace xterm xvfb"
# A notification daemon for the display of xvfb.
SYSTEM_PACKAGES+=" dunst"
SYSTEM_PACKAGES+=" redis-server postgresql supervisor monit zsh fish curl"
# ocf-tester, without what the agents of that package need, and what architect-cluster links.
SYSTEM_PACKAGES+=" beside:resource-agents libxml2-utils libcpg4 libquorum5 libcmap4"

# Prints the names of the cases whose line begins with a mode, one a line.
system_cases() {
        local mode=$1 file where
        while IFS='|' read -r file where; do
                case $where in
                unified|"unified, last"|hybrid|vm) ;;
                *)      die "$file: 'sandbox: $where' is none of 'unified', 'unified, last', 'hybrid', 'vm'" ;;
                esac
                file=${file##*/}
                [[ $where != "$mode"* ]] || echo "${file%.*}"
        done < <(awk '
                FNR == 1        { if (NR > 1) print file "|" where; file = FILENAME; where = "" }
                FNR > 12        { next }
                where == "" && sub(/.*sandbox: */, "") { where = $0 }
                END             { print file "|" where }' "$SOURCE"/tests/system/cases/*.c "$SOURCE"/tests/system/cases/*.py)
}

# system_tests STAGE BUILD-DIR BUS MODE [BOOT-OPTION...] prints a line for each case and reports the counts to
# the stage. The cases are those of CASES_BUILD if that is set, without those of LEFT_OUT, unless they are named.
system_tests() {
        local stage=$1 build=$2 bus=$3 mode=$4 case code start log boot_mode=()
        local passed=0 failed=0 skipped=0 cases_build=${CASES_BUILD:-$build}
        shift 4
        if [ "$mode" = hybrid ]; then
                # Without v1 hierarchies the machine has the controllers of cgroup2, which are used instead.
                if "$TOOLS/sandbox" has-hybrid; then boot_mode=(--hybrid); else boot_mode=(--controllers); fi
        fi
        local name=test-$$-$stage
        local boot=("$TOOLS/sandbox" boot "$name" "--bus=$bus" "${boot_mode[@]}" "--owner=$$" "--tasks=$TEST_TASKS"
                "--install=$build-dest" "--bind-ro=$cases_build" "--bind-ro=$TOOLS" "--packages=$SYSTEM_PACKAGES" "$@")
        # A real EUPS, and the stacks for which it may have been built.
        local env=("--env=SOAK_ROUNDS=${SOAK_ROUNDS:-}" "--env=SOAK_SEED=${SEED:-}"
                "--env=RANDOM_CALLS=${RANDOM_CALLS:-}" "--env=RANDOM_SEED=${SEED:-}") dir
        if [ -n "${EUPS_DIR:-}" ]; then
                env+=("--env=EUPS_DIR=$EUPS_DIR")
                for dir in "$EUPS_DIR" ${EUPS_PATH//:/ }; do
                        boot+=("--bind-ro=$dir")
                done
        fi
        local seconds=$((SYSTEM_CASE_SECONDS + ${SOAK_ROUNDS:-0} * SOAK_ROUND_SECONDS + ${RANDOM_CALLS:-0} / 10))
        # shellcheck disable=SC2153     # set by the script that sources this file
        local logs=$LOGS/$stage
        rm -rf -- "$logs"
        mkdir -p "$logs"

        local cases last up=0
        cases=$(system_cases "$mode") && last=$(system_cases "$mode, last") || return 1
        [ -n "$cases" ] || { echo "there is no case for '$mode'"; return 1; }
        for case in $cases; do
                if [ -n "$ONLY_CASES" ]; then
                        [[ " $ONLY_CASES " = *" $case "* ]] || continue
                elif [[ " ${LEFT_OUT:-} " = *" $case "* ]]; then
                        continue
                fi
                log=$logs/$case.log
                start=$EPOCHREALTIME
                code=1
                # A failed case may have left any state, so the next one gets a new machine, which costs a
                # second.
                if [ "$up" -eq 1 ] || system_boot "$name" "${boot[@]}" >"$log" 2>&1; then
                        up=1
                        code=0
                        "$TOOLS/sandbox" exec "$name" "${env[@]}" -- "$TOOLS/lib/run-case" "$seconds" "$cases_build/tests/system/case-$case" \
                                >>"$log" 2>&1 </dev/null || code=$?
                fi
                case $code in
                0)  passed=$((passed + 1));   printf 'ok      %s (%s s)\n' "$case" "$(since "$start")"
                    if grep -qxF -- "$case" <<<"$last"; then
                            few_tasks "$name" >>"$log" || { tail -n 1 "$log"; failed=$((failed + 1)); }
                            "$TOOLS/sandbox" stop "$name" 2>/dev/null
                            up=0
                    fi ;;
                77) skipped=$((skipped + 1)); printf 'SKIPPED %s: %s\n' "$case" "$log" ;;
                *)  few_tasks "$name" >>"$log"
                    failed=$((failed + 1));   printf 'FAILED  %s (%s s): %s\n' "$case" "$(since "$start")" "$log"
                    { sed '/^== journal/,$d' "$log" | tail -n 40; sed -n '/^== journal/,$p' "$log" | tail -n 30; } | sed 's/^/        | /'
                    "$TOOLS/sandbox" stop "$name" 2>/dev/null
                    up=0 ;;
                esac
        done
        # A name without a case would pass.
        if [ -n "$ONLY_CASES" ] && [ $((passed + failed + skipped)) -eq 0 ] && [ "$mode" = unified ]; then
                echo "there is no such case:$ONLY_CASES"
                failed=1
        fi
        # Messages of the services at their own end, for example about leaks, belong to no case.
        if [ "$up" -eq 1 ]; then
                code=0
                few_tasks "$name" || code=1
                if system_end "$name" >"$logs/end.log" 2>&1 && [ "$code" -eq 0 ]; then
                        passed=$((passed + 1))
                else
                        failed=$((failed + 1))
                        printf 'FAILED  end of the services: %s\n' "$logs/end.log"
                        tail -n 40 "$logs/end.log" | sed 's/^/        | /'
                fi
                "$TOOLS/sandbox" stop "$name" || failed=$((failed + 1))
        fi
        count "$passed" "$failed" "$skipped"
}

# Once the limit is reached each further fork fails, which may not be visible in the result of the case.
few_tasks() {
        local peak max
        read -r peak max < <("$TOOLS/sandbox" tasks "$1" 2>/dev/null) || return 0      # not counted here
        printf 'at most %s tasks at a moment (limit: %s)\n' "$peak" "$max"
        [ "$peak" -lt "$max" ] || { printf 'FAILED  more tasks than %s\n' "$max"; return 1; }
}

system_boot() {
        local name=$1
        shift
        "$@" && "$TOOLS/sandbox" exec "$name" -- systemctl start architect-node.service </dev/null
}

# Stops the node, then powers off, so that the keeper ends, too, and then reads their messages.
system_end() {
        # shellcheck disable=SC2016     # for the shell inside to expand
        "$TOOLS/sandbox" exec "$1" -- bash -c '
                cursor=$(journalctl -q -n 1 -o cat --show-cursor | sed -n "s/^-- cursor: //p")
                systemctl stop architect-node.service || exit 1
                if [ "$(systemctl show -P Result architect-node.service)" != success ]; then
                        systemctl status --no-pager architect-node.service
                        exit 1
                fi
                # The keeper refuses a manual stop. SIGTERM ends it as at a shutdown. Its socket would start
                # it again.
                systemctl stop architect-keeper.socket 2>/dev/null
                pid=$(systemctl show -P MainPID architect-keeper.service)
                if [ "${pid:-0}" -gt 0 ]; then
                        kill "$pid"
                        for ((i = 0; i < 100; i++)); do
                                kill -0 "$pid" 2>/dev/null || break
                                sleep 0.05
                        done
                fi
                journalctl --sync
                # Leaks are reported at the end. Earlier messages were counted in their cases.
                ! journalctl -q -o short-precise --after-cursor="$cursor" | grep -A 12 -E "AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:"
        ' </dev/null
}

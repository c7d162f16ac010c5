#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Starts a role, waits for its end and forgets it, with gdbus (Debian's libglib2.0-bin).
set -eu

role=${1:-hello}
node=(--system --dest org.architect.Node --object-path /org/architect/Node)

call() {
        # Stop returns when nothing is left of the role, which may take longer than the default of 25 s.
        gdbus call "${node[@]}" --timeout 60 --method "org.architect.Node.$1" "${@:2}"
}

# Prints the code and the status if the line is a RoleExited of the role. The code is exited, killed, dumped or
# lost; only the status of "exited" is an exit status. Another signal may contain any text, but not at its
# beginning.
exited() {
        local signal="/org/architect/Node: org.architect.Node.RoleExited ('$role', objectpath '"
        [[ $1 == "$signal"* && ${1#"$signal"} =~ ^[^\']*\',\ \'([a-z]+)\',\ (-?[0-9]+), ]] &&
                echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
}

# First the signals, then the start, because a short command may have ended when Start returns. gdbus has
# subscribed when it prints who owns the name, or that nobody does yet.
coproc EVENTS { exec gdbus monitor "${node[@]}"; }
trap 'kill "$EVENTS_PID" 2>/dev/null || :' EXIT
exec {events}<&"${EVENTS[0]}"
while read -r line <&"$events" && [[ $line != "The name org.architect.Node "* ]]; do :; done

# Without the option user the role runs as root.
call Start "$role" "['sh', '-c', 'echo hello; exit 3']" "{'user': <'nobody'>}" >/dev/null
# A program that asks ListRoles instead must take an unknown state for "running".
end=
while [ -z "$end" ] && read -r line <&"$events"; do
        case $line in
        "/org/architect/Node: org.architect.Node.RoleStarted ('$role', "*) echo "$role started" ;;
        *) end=$(exited "$line") || continue; echo "$role $end" ;;
        esac
done
# RoleExited reports the main process. Stop waits for those that it may have left.
call Stop "$role" >/dev/null
call Purge "['$role']" >/dev/null
if message=$(call GetRole "$role" 2>&1) || [[ $message != *GDBus.Error:org.architect.Node.Error.NoSuchRole:* ]]; then
        echo "$message" >&2
        exit 1
fi
echo "$role purged"
[ "$end" = "exited 3" ]

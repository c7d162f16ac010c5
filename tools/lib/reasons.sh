# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What tools/test prints at its very end about what has failed. Whoever sees only the last lines of a long
# output still reads why.

REASON_LINES=8

# reasons LOG prints the lines of a log that say why a test failed, which are those of cmocka, of Python's
# unittest, of meson and the compilers, of run-case and of the sanitizers. A log without any ends with the
# reason. The journal at its end does not count, because a test may log errors on purpose.
reasons() {
        local log=$1 lines
        lines=$(awk '
                /^== journal/           { exit }
                # The text after ERROR: may go on in the next line.
                text && !/^(\[|--)/    { text = 0; reason[++n] = $0; next }
                                        { text = /^ERROR: / }
                # The last line of a Traceback is the first one that is not indented.
                traceback && /^[^ ]/    { traceback = 0; reason[++n] = $0; next }
                /^Traceback /           { traceback = 1; next }
                /^\[ +(ERROR|LINE|FAILED|SKIPPED) +\] / && !/test\(s\)/ ||
                /^(FAIL|FAILED|ERROR|AssertionError|clean-up): |^not ok |^== | \.\.\. skipped / ||
                /(^| )error: |Sanitizer: |[0-9] .* (FAIL|TIMEOUT|ERROR|INTERRUPT) +[0-9.]+s/ {
                        reason[++n] = $0
                }
                END {
                        # The program that prints a failure may do so once more in its summary.
                        for (i = 1; i <= n; i++)
                                if (!seen[reason[i]]++)
                                        print reason[i]
                }' "$log")
        if [ -z "$lines" ]; then
                lines=$(sed '/^== journal/,$d' "$log" | grep -v '^ok ' | tail -n "$REASON_LINES")
        fi
        head -n "$REASON_LINES" <<<"$lines" | cut -c 1-300 | sed 's/^/        /'
}

# failed_cases LOG prints the name of each case that failed or was skipped, and its log, which is in the line of
# a stage's log that names the case. The reasons of a case without a log of its own are in the stage's.
failed_cases() {
        local line log pattern='^(FAILED |SKIPPED) ([^:(]*[^:( ])(.*)$'
        while IFS= read -r line; do
                [[ $line =~ $pattern ]] || continue
                log=${BASH_REMATCH[3]##*: }
                [ -f "$log" ] || log=$1
                printf '%s|%s\n' "${BASH_REMATCH[2]}" "$log"
        done <"$1"
}

# stage_failures STAGE LOG prints "STAGE: CASE" for each of these, or the stage if there is none.
stage_failures() {
        local cases
        cases=$(failed_cases "$2" | cut -d '|' -f 1 | sed "s/^/$1: /")
        printf '%s\n' "${cases:-$1}"
}

# stage_reasons STAGE LOG prints the same, with the reasons.
stage_reasons() {
        local name log last=
        while IFS='|' read -r name log; do
                printf '%s\n' "$1: $name"
                [ "$log" = "$last" ] || reasons "$log"
                last=$log
        done < <(failed_cases "$2")
        [ -n "$last" ] || { printf '%s\n' "$1"; reasons "$2"; }
}

# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The goals of docs/performance.md, for tools/bench, which has bench_boot() and bench_run() and sets the variables
# that are not set here.
# shellcheck disable=SC2154

# shellcheck disable=SC2034     # for tools/bench
GOALS_PARTS=(start exit churn growth memory calls input)
# Each of them is a start of 1000 roles on both sides.
GOALS_CHURN_ROUNDS=5

# The lines of the table are what a benchmark prints with BENCH_ROWS set; they begin with a bar. Those of the
# plot begin with a word.
goals_part() {
        local part=$1 on=$2
        # A part that goes wrong must not cost what the others have measured.
        if ! { bench_boot "$sandbox" "$BUILD-dest" "$on" && BENCH_ROWS=1 bench_run "$sandbox" "$part"; } >"$goals_dir/part"; then
                echo "| $part ($on) | **ended with an error** | | | | **not met** |" >>"$goals_dir/part"
                goals_failed=1
        fi
        [ -s "$goals_dir/versions" ] || goals_versions >"$goals_dir/versions"
        "$TOOLS/sandbox" stop "$sandbox" 2>/dev/null || true
        sed -n $'s/^plot\t//p' "$goals_dir/part" >>"$goals_dir/values"
        grep '^|' "$goals_dir/part" >"$goals_dir/rows" || true
        if [ "$part" = input ]; then
                sed -i "s/^| \([^|]*\) |/| \1, dbus-$on |/" "$goals_dir/rows"
        fi
        tee -a "$goals_dir/table" <"$goals_dir/rows"
}

goals_churn_against() {
        bench_boot "$sandbox" "$BUILD-dest" && bench_boot "$other" "$BUILD-against-dest" || return 1
        bench_take_turns churn $GOALS_CHURN_ROUNDS || return 1
        bench_stop
        printf '%s\n' "${now[@]}" | sort -g >"$goals_dir/now"
        awk -v then="$(median "${then[@]}")" -v now="$(median "${now[@]}")" -v rev="$against" \
                -v min="$(head -n 1 "$goals_dir/now")" -v max="$(tail -n 1 "$goals_dir/now")" 'BEGIN {
                printf "| churn beside an earlier build | %.0f (%.0f to %.0f) starts/s | %s: %.0f starts/s | %.2f | at least 2 | %s |\n",
                        now, min, max, rev, then, now / then, (now / then >= 2 ? "met" : "**not met**") }' | tee -a "$goals_dir/table"
}

# The version of a kernel without the name that its builder has given it.
goals_machine() {
        printf '%s cores of %s, Linux %s, %s.\n' "$(nproc)" \
                "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sed -n 1p)" \
                "$(uname -r | sed 's/^\([0-9.]*[0-9]\).*/\1/')" "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
}

goals_versions() {
        # shellcheck disable=SC2016,SC2086  # for dpkg-query to expand; the peers are words
        "$TOOLS/sandbox" exec "$sandbox" -- dpkg-query -W -f '${Package} ${Version}\n' systemd dbus dbus-broker $PEERS </dev/null |
                paste -sd, | sed 's/,/, /g'
}

goals_table() {
        goals_machine
        printf 'Packages: %s. The bus daemon is dbus-%s where no other is named.\n' "$(cat "$goals_dir/versions")" "$bus"
        printf 'Measured on %s; load of the machine at the beginning %s.\n\n' "$(date -u +%Y-%m-%d)" "$1"
        echo "| what | median (min to max) | reference | ratio | goal | |"
        echo "|---|---|---|---|---|---|"
        cat "$goals_dir/table"
}

# After each part, so that a run that is interrupted leaves what it has measured.
goals_write() {
        [ -n "$output" ] || return 0
        goals_table "$1" >"$output/goals.md"
        cp -- "$goals_dir/values" "$output/goals.tsv"
        [ ! -s "$goals_dir/values" ] || goals_plot "$output"
}

goals_run() {
        local part load
        [ -z "$output" ] || mkdir -p -- "$output"
        goals_dir=$(mktemp -d) goals_failed=0
        trap 'bench_stop; rm -rf -- "$goals_dir"' EXIT
        : >"$goals_dir/table"
        : >"$goals_dir/values"
        : >"$goals_dir/versions"
        load=$(cut -d' ' -f1 /proc/loadavg)
        for part; do
                warn "measuring: $part"
                if [ "$part" = input ]; then
                        goals_part "$part" daemon
                        goals_part "$part" broker
                else
                        goals_part "$part" "$bus"
                fi
                if [ "$part" = churn ] && [ -n "$against" ]; then
                        goals_churn_against || goals_failed=1
                fi
                goals_write "$load"
        done
        [ -z "$output" ] || say "written: $output/goals.md"
        return $goals_failed
}

# goals_plot DIR draws goals.svg from goals.tsv, in which a line is a plot, a curve, x and y.
goals_plot() {
        gnuplot -e "values='$1/goals.tsv'; set output '$1/goals.svg'" "$TOOLS/lib/bench-goals.gnuplot"
}

# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Draws what tools/bench goals has measured, from the file that the variable "values" names. Each of its lines is
# a plot, a curve, x and y, separated by tabs.

set terminal svg size 900,900 font "sans,13" background "white"
set datafile separator tab
set key left top
set grid

command(plot, name) = sprintf("awk -F'\\t' -v OFS='\\t' '$1 == \"%s\" && $2 == \"%s\" { print $3, $4 }' '%s'", plot, name, values)
curve(plot, name) = "< " . command(plot, name)
# The median of each x.
medians(plot, name) = curve(plot, name) . " | sort -g | awk -v OFS='\\t' '$1 != x { if (n) print x, v[int((n + 1) / 2)]; x = $1; n = 0 } { v[++n] = $2 } END { print x, v[int((n + 1) / 2)] }'"
has(plot, name) = int(system(command(plot, name) . " | wc -l")) > 0

has_start = has("start", "node")
exits = "kill -9, back to back"
has_exit = has(exits, "RoleExited")
set multiplot layout has_start + has_exit, 1

if (has_start) {
        set title "Time until N processes run (medians and single values)"
        set xlabel "N"
        set ylabel "ms"
        set logscale xy
        plot for [i = 1:3] medians("start", word("floor s6 node", i)) using 1:2 with lines linewidth 2 linecolor i \
                        title word("floor s6 node", i), \
                for [i = 1:3] curve("start", word("floor s6 node", i)) using 1:2 with points pointtype 6 pointsize 0.5 \
                        linecolor i notitle
}
if (has_exit) {
        set title "From the end of a process to the message, back to back (cumulative distribution)"
        set xlabel "ms"
        set ylabel "share"
        unset logscale y
        set logscale x
        set yrange [0:1]
        set key right bottom
        plot curve(exits, "pidfd") using 2:(1) smooth cnormal title "pidfd, kill -9", \
                curve(exits, "RoleExited") using 2:(1) smooth cnormal title "RoleExited, kill -9", \
                curve("exit 0, back to back", "RoleExited") using 2:(1) smooth cnormal title "RoleExited, exit 0", \
                curve(exits, "systemd") using 2:(1) smooth cnormal title "signal of systemd, kill -9"
}
unset multiplot

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The run time of a loop that takes the first element out of a GHashTable until the table is empty grows with
# the square of the number of elements.
#
# Software: GLib 2.74.6-2+deb12u9.
#
# Expected: g_hash_table_iter_init() with one g_hash_table_iter_next() finds some element in constant time on
# average, because the table shrinks as elements leave and so is never mostly empty. The removal of that element
# takes constant time as well. So the loop is as linear as one iterator that removes every element on its way,
# only with a larger constant. It is the natural loop for a set of pending things whose handler may add and
# remove others, which is not allowed while an iterator is in use.
#
# Seen: a removal leaves a mark in the slot, and the table is rebuilt only when less than a quarter of its slots
# hold elements. Until then each new iterator starts at the first slot again and passes all the marks that the
# earlier rounds have left there. Four times the elements take sixteen times as long. (Both sizes fill the same
# share of the slots, 61 %.)
#
# Output (the times vary, the growth does not):
#
#                      20000 elements  80000 elements  growth
#   first element         35.61 ms       564.35 ms       15.8
#   one iterator           0.16 ms         0.71 ms        4.4
#
# The exit status is 0 if the behaviour is as described (the growth of the first line is above 10, that of the
# second below 10), 1 if it has changed, 2 if the script could not run. The machine provides apt, dpkg, a C
# compiler and the headers of its library.

set -euo pipefail

VERSION=2.74.6-2+deb12u9
PACKAGES=("libglib2.0-0=$VERSION" "libglib2.0-dev=$VERSION" libpcre2-8-0=10.42-1)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

cd "$directory"
apt-get -qq download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(echo root/usr/lib/*-linux-gnu*)

cat >drain.c <<'END'
#include <glib.h>
#include <stdio.h>
#include <time.h>

static double cpu_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static void take_first(GHashTable *table) {
    GHashTableIter iter;
    gpointer key;

    for (;;) {
        g_hash_table_iter_init(&iter, table);
        if (!g_hash_table_iter_next(&iter, &key, NULL))
            return;
        g_hash_table_remove(table, key);
    }
}

static void one_iterator(GHashTable *table) {
    GHashTableIter iter;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, NULL))
        g_hash_table_iter_remove(&iter);
}

/* Returns the least time of five, because other processes can only make it longer. */
static double measure(void (*drain)(GHashTable *), guint n) {
    double least = 0;

    for (int round = 0; round < 5; round++) {
        g_autoptr(GHashTable) table = g_hash_table_new(g_direct_hash, g_direct_equal);

        for (guint i = 1; i <= n; i++)
            g_hash_table_add(table, GUINT_TO_POINTER(i));

        double begin = cpu_ms();
        drain(table);
        double used = cpu_ms() - begin;

        g_assert(g_hash_table_size(table) == 0);
        if (round == 0 || used < least)
            least = used;
    }

    return least;
}

static double report(const char *name, void (*drain)(GHashTable *)) {
    double small = measure(drain, 20000), large = measure(drain, 80000);

    printf("%-16s   %8.2f ms     %8.2f ms     %6.1f\n", name, small, large, large / small);
    return large / small;
}

int main(void) {
    g_assert(glib_check_version(2, 74, 6) == NULL && glib_minor_version == 74);

    printf("%-16s%15s%16s%8s\n", "", "20000 elements", "80000 elements", "growth");
    double first = report("first element", take_first);
    double iterator = report("one iterator", one_iterator);

    return first > 10 && iterator < 10 ? 0 : 1;
}
END

# The linker and the program search the directory first, so they do not use the GLib of the machine.
cc -O2 -Iroot/usr/include/glib-2.0 -I"$libraries/glib-2.0/include" drain.c -o drain \
	-L"$libraries" -Wl,-rpath-link,"$libraries" -lglib-2.0 2>cc.log ||
	cannot_run "The program could not be compiled: $(cat cc.log)"

status=0
LD_LIBRARY_PATH=$libraries ./drain || status=$?
if [ "$status" -eq 1 ]; then
	echo "The behaviour has changed." >&2
elif [ "$status" -ne 0 ]; then
	cannot_run "The program failed with status $status."
fi
exit "$status"

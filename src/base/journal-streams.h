/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* journald takes 4096 streams of output (STDOUT_STREAMS_MAX in its source), those of all services of a
 * machine together, and closes each further one when it has been connected. It keeps a file for each stream
 * in this directory. Uses libc only. */

#define JOURNAL_STREAMS_DIRECTORY "/run/systemd/journal/streams"

/* Returns how many files are in this directory, or a negative errno. */
int journal_streams_count(const char *directory);

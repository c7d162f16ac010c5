/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The role of the benchmarks. It is linked statically, so that the cost of a start does not contain the
 * dynamic linker. SIGUSR1 ends it with status 0. With an argument "say", it writes a line when it starts and
 * at each SIGUSR2: the rest of its arguments. It writes a byte to the FIFO that BENCH_READY= names, if there
 * is one, when it runs. */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char line[256];
static size_t length;

/* A line that is lost is missed by who counts them. The sleeper goes on. */
static void say(void) {
        if (length > 0 && write(STDOUT_FILENO, line, length) < 0)
                return;
}

static void on_signal(int sig) {
        if (sig == SIGUSR1)
                _exit(EXIT_SUCCESS);
        say();
}

int main(int argc, char *argv[]) {
        const char *ready = getenv("BENCH_READY");

        (void) signal(SIGUSR1, on_signal);
        (void) signal(SIGUSR2, on_signal);
        if (argc == 3 && strcmp(argv[1], "say") == 0 && strlen(argv[2]) < sizeof(line)) {
                length = strlen(argv[2]);
                (void) memcpy(line, argv[2], length);
                line[length++] = '\n';
                say();
        }
        if (ready) {
                const int fd = open(ready, O_WRONLY | O_CLOEXEC);

                if (fd < 0 || write(fd, "", 1) != 1)
                        return EXIT_FAILURE;
                (void) close(fd);
        }
        for (;;)
                (void) pause();
}

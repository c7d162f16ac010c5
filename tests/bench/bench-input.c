/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures how fast a client can write to the standard input of a role by WriteInput, in chunks of 1 MiB,
 * compared with a pipe to the same program. The time ends when the program has read everything and ended. The
 * same calls of a service that only replies show what the bus itself leaves of that. They take turns. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CHUNK 1048576U
#define CHUNKS 128U
#define IN_FLIGHT 3U
#define REPETITIONS 7U
#define GOAL 0.6
#define READER "/bin/cat"
#define NODE "org.architect.Node"
#define OBJECT "/org/architect/Node", "org.architect.Node"

extern char **environ;

static double rate(double begin) {
        return (double) CHUNK * CHUNKS / 1e6 / ((bench_now() - begin) / 1e3);
}

static double write_pipe(const char *chunk) {
        char *const argv[] = { (char *) READER, NULL };
        posix_spawn_file_actions_t actions;
        int fds[2], status;
        pid_t pid;

        bench_check(pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0, "pipe");
        bench_check(-posix_spawn_file_actions_init(&actions), "posix_spawn");
        bench_check(-posix_spawn_file_actions_adddup2(&actions, fds[0], STDIN_FILENO), "posix_spawn");
        bench_check(-posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0),
                "posix_spawn");
        bench_check(-posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), argv[0]);
        (void) posix_spawn_file_actions_destroy(&actions);
        (void) close(fds[0]);

        const double begin = bench_now();
        for (unsigned i = 0; i < CHUNKS; i++)
                for (size_t done = 0; done < CHUNK;) {
                        const ssize_t n = write(fds[1], chunk + done, CHUNK - done);

                        bench_check(n < 0 ? -errno : 0, "write");
                        done += (size_t) n;
                }
        (void) close(fds[1]);
        bench_check(waitpid(pid, &status, 0) < 0 ? -errno : 0, "waitpid");
        if (status != 0)
                bench_die("%s: %d", READER, status);
        return rate(begin);
}

typedef struct Input {
        unsigned in_flight;
        bool ended;
} Input;

static int on_written(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Input *input = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("WriteInput: %s", sd_bus_message_get_error(m)->message);
        input->in_flight--;
        return 0;
}

static int on_exited(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Input *input = userdata;
        const char *code;
        int32_t status;

        bench_check(sd_bus_message_read(m, "sosi", NULL, NULL, &code, &status), "RoleExited");
        if (strcmp(code, "exited") != 0 || status != 0)
                bench_die("%s: %s %d", READER, code, status);
        input->ended = true;
        return 0;
}

static void call_write(sd_bus *bus, const char *service, const char *chunk, Input *input) {
        sd_bus_message *m = NULL;

        bench_check(sd_bus_message_new_method_call(bus, &m, service, OBJECT, "WriteInput"), "WriteInput");
        bench_check(sd_bus_message_append(m, "s", "bench-input"), "WriteInput");
        bench_check(sd_bus_message_append_array(m, 'y', chunk, CHUNK), "WriteInput");
        bench_check(sd_bus_call_async(bus, NULL, m, on_written, input, 0), "WriteInput");
        sd_bus_message_unref(m);
        input->in_flight++;
}

static void write_chunks(sd_bus *bus, const char *service, const char *chunk, Input *input) {
        for (unsigned i = 0; i < CHUNKS || input->in_flight > 0;) {
                if (i < CHUNKS && input->in_flight < IN_FLIGHT) {
                        call_write(bus, service, chunk, input);
                        i++;
                } else
                        bench_turn(bus);
        }
}

static double write_role(sd_bus *bus, const char *chunk) {
        sd_bus_slot *match = NULL;
        Input input = {};

        bench_check(sd_bus_match_signal(bus, &match, "org.architect.Node", NULL, "org.architect.Node",
                            "RoleExited", on_exited, &input),
                "match");
        bench_call_node(bus, "Start", NULL, "sasa{sv}", "bench-input", 1, READER, 1, "output", "s", "null");

        const double begin = bench_now();
        write_chunks(bus, NODE, chunk, &input);
        bench_call_node(bus, "CloseInput", NULL, "s", "bench-input");
        while (!input.ended)
                bench_turn(bus);
        const double result = rate(begin);
        bench_call_node(bus, "Kill", NULL, "s", "bench-input");
        bench_call_node(bus, "Purge", NULL, "as", 1, "bench-input");
        sd_bus_slot_unref(match);
        return result;
}

/* -- a service that drops the data -- */

static int on_write(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, NULL);
}

/* Ends with this program. The policy of the bus lets it be called because it waits for a name that all
 * instances of the node wait for. */
static void spawn_dropper(char name[static 32]) {
        static const sd_bus_vtable vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("WriteInput", "say", "", on_write, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END,
        };
        const char *unique;
        int fds[2];

        bench_check(pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0, "pipe");
        const pid_t pid = fork();
        bench_check(pid < 0 ? -errno : 0, "fork");
        if (pid > 0) {
                (void) close(fds[1]);
                if (read(fds[0], name, 32) != 32)
                        bench_die("the service that drops the data has not started");
                (void) close(fds[0]);
                return;
        }

        char text[32] = {};
        bench_check(prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0, "prctl");
        sd_bus *bus = bench_bus();
        bench_check(sd_bus_add_object_vtable(bus, NULL, OBJECT, vtable, NULL), "vtable");
        bench_check(sd_bus_request_name(bus, "org.architect.NodeInstances", SD_BUS_NAME_QUEUE), "name");
        bench_check(sd_bus_get_unique_name(bus, &unique), "name");
        (void) snprintf(text, sizeof(text), "%s", unique);
        if (write(fds[1], text, sizeof(text)) != sizeof(text))
                _exit(EXIT_FAILURE);
        for (;;)
                bench_turn(bus);
}

static double write_dropper(sd_bus *bus, const char *service, const char *chunk) {
        Input input = {};

        const double begin = bench_now();
        write_chunks(bus, service, chunk, &input);
        return rate(begin);
}

int main(void) {
        double role[REPETITIONS], plain[REPETITIONS], dropped[REPETITIONS];
        char dropper[32];
        char *chunk = malloc(CHUNK);

        spawn_dropper(dropper);
        sd_bus *bus = bench_bus();
        if (!chunk)
                bench_die("out of memory");
        (void) memset(chunk, 'x', CHUNK);
        for (unsigned i = 0; i < REPETITIONS; i++) {
                role[i] = write_role(bus, chunk);
                plain[i] = write_pipe(chunk);
                dropped[i] = write_dropper(bus, dropper, chunk);
        }
        const double ratio = bench_ratio(role, plain, REPETITIONS);
        bench_compare("WriteInput of 1 MiB chunks", bench_figure(role, REPETITIONS), "MB/s", "pipe",
                bench_median(plain, REPETITIONS), ratio, BENCH_AT_LEAST, GOAL);
        const double of_bus = bench_ratio(role, dropped, REPETITIONS);
        bench_compare("WriteInput of 1 MiB chunks", bench_figure(role, REPETITIONS), "MB/s",
                "a service that drops them", bench_median(dropped, REPETITIONS), of_bus, BENCH_NO_GOAL, 0);
        free(chunk);
        sd_bus_unref(bus);
        return 0;
}

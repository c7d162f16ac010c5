/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the time from kill -9 of a role to RoleExited at a subscribed client, and the time in which the
 * kernel itself reports such an exit by a pidfd. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROLES 200U
#define GOAL_MS 0.8

typedef struct Exit {
        const char *role;
        bool seen;
} Exit;

static int on_exited(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exit *e = userdata;
        const char *role;

        bench_check(sd_bus_message_read(m, "s", &role), "RoleExited");
        if (e->role && strcmp(role, e->role) == 0)
                e->seen = true;
        return 0;
}

static pid_t role_pid(sd_bus *bus, const char *role) {
        char *path = NULL;
        uint32_t pid = 0;

        bench_check(sd_bus_path_encode("/org/architect/Node/role", role, &path), role);
        bench_check(sd_bus_get_property_trivial(bus, "org.architect.Node", path, "org.architect.Node.Role",
                            "MainPID", NULL, 'u', &pid),
                role);
        if (pid == 0)
                bench_die("%s does not run", role);
        return (pid_t) pid;
}

static double time_role(sd_bus *bus, Exit *e, const char *role) {
        pid_t pid = role_pid(bus, role);

        e->role = role;
        e->seen = false;
        double begin = bench_now();
        bench_check(kill(pid, SIGKILL) < 0 ? -errno : 0, "kill");
        while (!e->seen) {
                int r = sd_bus_process(bus, NULL);
                bench_check(r, "bus");
                if (r == 0 && !e->seen)
                        bench_check(sd_bus_wait(bus, UINT64_MAX), "bus");
        }
        return bench_now() - begin;
}

static double time_pidfd(void) {
        char *const argv[] = { (char *) bench_sleeper(), NULL };
        pid_t pid;

        bench_check(-posix_spawn(&pid, argv[0], NULL, NULL, argv, NULL), argv[0]);
        struct pollfd p = { .fd = (int) syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
        bench_check(p.fd < 0 ? -errno : 0, "pidfd_open");
        (void) usleep(2000); /* by then it sleeps, as a role does */
        double begin = bench_now();
        (void) kill(pid, SIGKILL);
        (void) poll(&p, 1, -1);
        double ms = bench_now() - begin;
        (void) close(p.fd);
        (void) waitpid(pid, NULL, 0);
        return ms;
}

int main(void) {
        double node_ms[ROLES], pidfd_ms[ROLES];
        sd_bus *bus = bench_bus();
        Exit e = {};

        bench_check(sd_bus_match_signal(bus, NULL, "org.architect.Node", NULL, "org.architect.Node",
                            "RoleExited", on_exited, &e),
                "match");
        bench_start_roles(bus, ROLES);
        for (unsigned i = 0; i < ROLES; i++) {
                char role[32];

                (void) snprintf(role, sizeof(role), "bench-%u", i);
                pidfd_ms[i] = time_pidfd();
                node_ms[i] = time_role(bus, &e, role);
        }
        bench_remove_roles(bus, ROLES);

        double node = bench_median(node_ms, ROLES), floor = bench_median(pidfd_ms, ROLES);
        printf("exit: kill -9 to RoleExited median %.3f ms (p90 %.3f), pidfd floor %.3f ms, ratio %.1f; goal below %.1f ms: %s\n",
                node, node_ms[ROLES * 9 / 10], floor, node / floor, GOAL_MS,
                node < GOAL_MS ? "met" : "not met");
        sd_bus_unref(bus);
        return 0;
}

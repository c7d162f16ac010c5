/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the CPU time that a question to polkit costs the node: a Beat of an ordinary user, which polkit
 * refuses, compared with a Beat of root, about which nobody is asked. A caller is identified once, before the
 * measurement. Both with the flag that permits interaction and without it.
 *
 * And how long a Start takes that a rule permits to that user, compared with a Start of root and the same
 * question, which root asks of polkit directly. */

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CALLS 300U
#define ROUNDS 5U
#define GOAL_USEC 100.0
#define STARTS 40U
#define GOAL_START 1.1

#define USER "alice"
#define SLEEPER "/usr/bin/sleep" /* the directory of the build may be root's alone */
#define ACTION "org.architect.node.start-role"
#define RULE "/etc/polkit-1/rules.d/10-bench.rules"
#define CONFIGURATION "/etc/architect-node"
#define LIMITS CONFIGURATION "/main.conf.d/10-bench.conf"
#define RULE_TEXT \
        "polkit.addRule(function(action, subject) {" \
        " if (action.id == '" ACTION "' && subject.user == '" USER "') return polkit.Result.YES; });\n"
#define POLKIT \
        "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", \
                "org.freedesktop.PolicyKit1.Authority"

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"

/* Makes one call that is answered, and returns whether it was permitted. A call over the allowance of the
 * user is none. */
static bool beat(sd_bus *bus) {
        for (;;) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                int r = sd_bus_call_method(bus, NODE, "Beat", &error, NULL, NULL);
                bool late = sd_bus_error_has_name(&error, "org.architect.Node.Error.LimitReached"),
                     denied = sd_bus_error_has_names(&error, SD_BUS_ERROR_ACCESS_DENIED,
                             SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);

                if (r < 0 && !denied && !late)
                        bench_die("Beat: %s", error.message);
                sd_bus_error_free(&error);
                if (!late)
                        return r >= 0;
                (void) usleep(100000);
        }
}

/* Starts a role, as this user or as the caller himself, which takes the time that is returned, in ms, and
 * kills it. */
static double start(sd_bus *bus, const char *user) {
        char name[32];
        double ms;

        (void) snprintf(name, sizeof(name), "bench-polkit-%u", (unsigned) getuid());
        for (;;) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                const double begin = bench_now();
                int r = user ? sd_bus_call_method(bus, NODE, "Start", &error, NULL, "sasa{sv}", name, 2,
                                       SLEEPER, "infinity", 1, "user", "s", user)
                             : sd_bus_call_method(bus, NODE, "Start", &error, NULL, "sasa{sv}", name, 2,
                                       SLEEPER, "infinity", 0);
                bool late = sd_bus_error_has_name(&error, "org.architect.Node.Error.LimitReached"),
                     denied = sd_bus_error_has_name(&error, SD_BUS_ERROR_ACCESS_DENIED);

                ms = bench_now() - begin;
                /* polkit may not have read the rule yet. */
                if (r < 0 && !late && !denied)
                        bench_die("Start: %s", error.message);
                sd_bus_error_free(&error);
                if (r >= 0)
                        break;
                (void) usleep(100000);
        }
        bench_check(sd_bus_call_method(bus, NODE, "Kill", NULL, NULL, "s", name), "Kill");
        return ms;
}

/* A child that makes its calls when it is told to, as this user. */
typedef struct Caller {
        pid_t pid;
        int fds[2]; /* to it and from it */
        char name[32];
} Caller;

enum { DO_BEATS, DO_START, DO_START_AS_USER, DO_NOTHING };

static void caller_run(int in, int out, bool interactive, bool permitted) {
        sd_bus *bus = bench_bus();
        char what = DO_NOTHING, name[32] = {};
        const char *unique;

        bench_check(sd_bus_set_allow_interactive_authorization(bus, interactive), "bus");
        bench_check(sd_bus_get_unique_name(bus, &unique), "name");
        (void) snprintf(name, sizeof(name), "%s", unique);
        if (beat(bus) != permitted)
                bench_die("Beat was %s", permitted ? "refused" : "permitted");
        if (write(out, name, sizeof(name)) != sizeof(name))
                _exit(1);
        while (read(in, &what, 1) == 1) {
                double ms = 0;

                for (unsigned i = 0; what == DO_BEATS && i < CALLS; i++)
                        (void) beat(bus);
                if (what == DO_START)
                        ms = start(bus, NULL);
                else if (what == DO_START_AS_USER)
                        ms = start(bus, USER);
                if (write(out, &ms, sizeof(ms)) != sizeof(ms))
                        break;
        }
        _exit(0);
}

static void caller_read(const Caller *caller, void *ret, size_t size) {
        if (read(caller->fds[1], ret, size) != (ssize_t) size)
                bench_die("a caller has ended");
}

static void caller_start(Caller *ret, const struct passwd *pw, bool interactive) {
        int in[2], out[2];

        bench_check(pipe(in) < 0 || pipe(out) < 0 ? -errno : 0, "pipe");
        ret->pid = fork();
        bench_check(ret->pid < 0 ? -errno : 0, "fork");
        if (ret->pid == 0) {
                (void) close(in[1]);
                (void) close(out[0]);
                if (pw && (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
                                  setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0))
                        bench_die("setresuid: %s", strerror(errno));
                caller_run(in[0], out[1], interactive, !pw);
        }
        (void) close(in[0]);
        (void) close(out[1]);
        ret->fds[0] = in[1];
        ret->fds[1] = out[0];
        caller_read(ret, ret->name, sizeof(ret->name));
}

static double caller_do(const Caller *caller, char what) {
        double ms;

        if (write(caller->fds[0], &what, 1) != 1)
                bench_die("a caller has ended");
        caller_read(caller, &ms, sizeof(ms));
        return ms;
}

/* Returns the CPU time of the node for a call, in us. */
static double caller_measure(const Caller *caller, pid_t node) {
        const double before = bench_cpu(node);

        (void) caller_do(caller, DO_BEATS);
        return (bench_cpu(node) - before) * 1e3 / CALLS;
}

static void measure_questions(const Caller callers[static 3], pid_t node) {
        double root[ROUNDS], plain[ROUNDS], interactive[ROUNDS];

        for (unsigned i = 0; i < ROUNDS; i++) {
                root[i] = caller_measure(callers, node);
                plain[i] = caller_measure(callers + 1, node);
                interactive[i] = caller_measure(callers + 2, node);
        }
        const double base = bench_median(root, ROUNDS);
        const double questions[] = { bench_median(plain, ROUNDS) - base,
                bench_median(interactive, ROUNDS) - base };
        for (unsigned i = 0; i < 2; i++)
                printf("polkit: CPU time of the node for a question, %s: %.0f us, %.2f times that of a call of root (%.0f us); goal at most %.0f us: %s\n",
                        i == 0 ? "without interaction" : "with interaction", questions[i],
                        questions[i] / base, base, GOAL_USEC, questions[i] <= GOAL_USEC ? "met" : "not met");
}

/* Returns how long polkit takes, in ms. */
static double ask(sd_bus *bus, const char *subject) {
        sd_bus_message *reply = NULL;
        int permitted;
        const double begin = bench_now();

        bench_check(sd_bus_call_method(bus, POLKIT, "CheckAuthorization", NULL, &reply, "(sa{sv})sa{ss}us",
                            "system-bus-name", 1, "name", "s", subject, ACTION, 3, "role", "bench", "verb",
                            "start", "command", SLEEPER " infinity", 0, ""),
                "CheckAuthorization");
        const double ms = bench_now() - begin;
        bench_check(sd_bus_message_enter_container(reply, 'r', "bba{ss}"), "CheckAuthorization");
        bench_check(sd_bus_message_read(reply, "b", &permitted), "CheckAuthorization");
        if (!permitted)
                bench_die("polkit does not permit " ACTION);
        sd_bus_message_unref(reply);
        return ms;
}

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                bench_die("%s: %s", path, strerror(errno));
}

static void measure_starts(sd_bus *bus, const Caller callers[static 2]) {
        static double root[STARTS * ROUNDS], as_user[STARTS * ROUNDS], user[STARTS * ROUNDS],
                polkit[STARTS * ROUNDS];

        write_file(RULE, RULE_TEXT);
        (void) mkdir(CONFIGURATION, 0755);
        (void) mkdir(CONFIGURATION "/main.conf.d", 0755);
        /* Otherwise the user would have to wait now and then. */
        write_file(LIMITS, "[Node]\nMaxStartsPerUser=6000\n");
        bench_check(sd_bus_call_method(bus, NODE, "Reload", NULL, NULL, NULL), "Reload");
        /* The first ones make slices, and wait until polkit has read the rule. */
        for (unsigned i = 0; i < 2; i++)
                (void) caller_do(callers + i, DO_START);
        for (unsigned i = 0; i < STARTS * ROUNDS; i++) {
                root[i] = caller_do(callers, DO_START);
                as_user[i] = caller_do(callers, DO_START_AS_USER);
                user[i] = caller_do(callers + 1, DO_START);
                polkit[i] = ask(bus, callers[1].name);
        }
        (void) unlink(RULE);
        (void) unlink(LIMITS);
        const double r = bench_median(root, STARTS * ROUNDS), a = bench_median(as_user, STARTS * ROUNDS),
                     u = bench_median(user, STARTS * ROUNDS), p = bench_median(polkit, STARTS * ROUNDS);
        printf("polkit: Start of a user whom polkit permits it: %.2f ms, the same role started by root %.2f ms, one of root's own %.2f ms, polkit itself %.2f ms: without polkit %.2f times root's (%.2f times the one of root's own); goal at most %.1f: %s\n",
                u, a, r, p, (u - p) / a, (u - p) / r, GOAL_START,
                (u - p) / a <= GOAL_START ? "met" : "not met");
}

int main(void) {
        const struct passwd *pw = getpwnam(USER);
        sd_bus *bus = bench_bus();
        const pid_t node = bench_main_pid(bus, "architect-node.service");
        Caller callers[3];

        if (!pw)
                bench_die("there is no user " USER);
        /* The lease of root's Beat must not run out in between. */
        bench_check(sd_bus_call_method(bus, NODE, "SetMonitorTimeout", NULL, NULL, "t", UINT64_C(3600000000)),
                "SetMonitorTimeout");
        caller_start(callers, NULL, false);
        caller_start(callers + 1, pw, false);
        caller_start(callers + 2, pw, true);
        measure_questions(callers, node);
        measure_starts(bus, callers);
        for (unsigned i = 0; i < 3; i++) {
                (void) kill(callers[i].pid, SIGKILL);
                (void) waitpid(callers[i].pid, NULL, 0);
        }
        return 0;
}

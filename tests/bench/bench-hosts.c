/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures architectctl with many hosts, which are simulated (tests/bus/sim-nodes.h), so that what is
 * measured is architectctl and not the machines: one call to each of 16 hosts whose connections are there,
 * compared with 16 calls to one node, and the same through the desk; a list of 100 hosts with 50 roles each,
 * from its start to its end, and its memory; and the same of 500 hosts, which shall take five times as long.
 * How long ssh takes is a part of the stage system-remote, as it needs another machine. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time-util.h"
#include "bench.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/desk-service.h"
#include "ctl/fan-out.h"
#include "proto/node-names.h"
#include "sim-nodes.h"
#include "util/autoptr.h"

#define HELD 16U
#define ROUNDS 200U
#define WARM_UP 20U
#define MANY 100U
#define MORE 500U
#define ROLES 50U
#define REPETITIONS 7U
#define GOAL_HELD 2.0
#define GOAL_LIST_MS 1000.0
#define GOAL_LIST_MB 30.0
#define GOAL_LINEAR 6.0

static SimHost hosts[MORE];
static char names[MORE][8];

static char *host_list(unsigned n) {
        GString *list = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(list, "%s%s", i > 0 ? "," : "", names[i]);
        return g_string_free(list, FALSE);
}

/* Runs a verb in this process; the options end with NULL. */
static CtlExit run(const CtlVerb *verb, const char *const *words) {
        Ctl ctl = { .instance = NODE_DEFAULT_INSTANCE, .legend = true, .auto_start = true };
        char *argv[8] = {};
        int argc = 0;

        for (; words[argc]; argc++)
                argv[argc] = (char *) words[argc];
        optind = 0;
        CtlExit e = verb->run(&ctl, argc, argv);
        return e == CTL_EXIT_OK && ctl.hosts
                       ? fan_out_run(&ctl, verb, argc, (char **) words, sim_nodes_address)
                       : e;
}

/* -- held connections -- */

static unsigned n_here, n_round;
static double round_begin, held_ms[ROUNDS], local_ms[ROUNDS];

static CtlExit held_call(Ctl *ctl) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;

        CtlExit e = ctl_new_call(ctl, &call, "Poll", "as", 0);
        return e == CTL_EXIT_OK ? ctl_send(ctl, call, &reply) : e;
}

/* The last one to come back ends the round and begins the next one. */
static void held_meet(void) {
        const unsigned mine = n_round;

        if (++n_here < HELD) {
                while (n_round == mine)
                        baton_wait(BATON_GO);
                return;
        }
        if (n_round >= WARM_UP && n_round < WARM_UP + ROUNDS)
                held_ms[n_round - WARM_UP] = bench_now() - round_begin;
        n_here = 0;
        n_round++;
        round_begin = bench_now();
        baton_wake(BATON_GO);
}

/* A verb of this benchmark. */
static CtlExit verb_held(Ctl *ctl, int argc, char *argv[]) {
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, INT_MAX, &e))
                return e;
        e = held_call(ctl); /* connects */
        held_meet();
        for (unsigned i = 0; e == CTL_EXIT_OK && i < WARM_UP + ROUNDS; i++) {
                e = held_call(ctl);
                held_meet();
        }
        return e;
}

static void measure_local(void) {
        g_autofree char *address = sim_nodes_address(names[0]);
        Ctl ctl = { .instance = NODE_DEFAULT_INSTANCE, .bus_name = g_strdup(NODE_BUS_NAME) };

        bench_check(sd_bus_new(&ctl.bus), "a bus");
        bench_check(sd_bus_set_address(ctl.bus, address), address);
        bench_check(sd_bus_set_bus_client(ctl.bus, true), address);
        bench_check(sd_bus_start(ctl.bus), address);
        for (unsigned i = 0; i < WARM_UP + ROUNDS; i++) {
                const double begin = bench_now();

                for (unsigned j = 0; j < HELD; j++)
                        if (held_call(&ctl) != CTL_EXIT_OK)
                                bench_die("a local call has failed");
                if (i >= WARM_UP)
                        local_ms[i - WARM_UP] = bench_now() - begin;
        }
        ctl_disconnect(&ctl);
}

static void measure_held(void) {
        static const CtlVerb verb = { "poll", verb_held, "", "", .many = CTL_MANY_STREAM };
        g_autofree char *list = host_list(HELD);
        const char *words[] = { "poll", "-H", list, NULL };

        if (run(&verb, words) != CTL_EXIT_OK)
                bench_die("a call to a host has failed");
        measure_local();
        bench_compare("one call to each of 16 hosts", bench_figure(held_ms, ROUNDS), "ms",
                "16 calls to one node", bench_figure(local_ms, ROUNDS).median,
                bench_ratio(held_ms, local_ms, ROUNDS), BENCH_AT_MOST, GOAL_HELD);
}

/* -- the desk -- */

static double desk_ms[ROUNDS];

static void desk_on_changed(const DeskHost *host, unsigned n_connected, unsigned n_hosts, void *userdata) {
}

static sd_bus *desk_open(int fd, bool server) {
        sd_id128_t id;
        sd_bus *bus;

        bench_check(sd_bus_new(&bus), "a bus");
        bench_check(sd_bus_set_fd(bus, fd, fd), "a bus");
        if (server) {
                bench_check(sd_id128_randomize(&id), "an id");
                bench_check(sd_bus_set_server(bus, true, id), "a bus");
        }
        bench_check(sd_bus_start(bus), "a bus");
        return bus;
}

_Noreturn static void desk_run(int fd) {
        g_autoptr(GPtrArray) held = g_ptr_array_new();
        sd_event *event;
        Desk *desk;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned i = 0; i < HELD; i++)
                g_ptr_array_add(held, names[i]);
        bench_check(sd_event_new(&event), "an event loop");
        sd_bus *bus = desk_open(fd, true);
        bench_check(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL), "an event loop");
        bench_check(desk_new(event, bus, NODE_DEFAULT_INSTANCE, held, sim_nodes_address, 60 * USEC_PER_SEC,
                            desk_on_changed, NULL, &desk),
                "the desk");
        bench_check(sd_event_loop(event), "the desk");
        _exit(0);
}

static unsigned desk_count(sd_bus *bus, char **paths) {
        g_autoptr(sd_bus_message) reply = NULL;
        const char *host, *state, *reason, *path, *epoch;
        unsigned n = 0, n_connected = 0;
        uint64_t seq;

        bench_check(sd_bus_call_method(bus, NULL, DESK_PATH, DESK_INTERFACE, "ListHosts", NULL, &reply, NULL),
                "ListHosts");
        bench_check(sd_bus_message_enter_container(reply, 'a', "(sssost)"), "ListHosts");
        while (sd_bus_message_read(reply, "(sssost)", &host, &state, &reason, &path, &epoch, &seq) > 0) {
                g_free(paths[n]);
                paths[n++] = g_strdup(path);
                n_connected += strcmp(state, "connected") == 0;
        }
        return n_connected;
}

static int desk_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("a call by the desk has failed: %s", sd_bus_message_get_error(m)->message);
        --*(unsigned *) userdata;
        return 0;
}

static double desk_round(sd_bus *bus, char **paths) {
        const double begin = bench_now();
        unsigned left = HELD;

        for (unsigned i = 0; i < HELD; i++)
                bench_check(sd_bus_call_method_async(bus, NULL, NULL, paths[i], NODE_INTERFACE, "Poll",
                                    desk_on_reply, &left, "as", 0),
                        "Poll");
        while (left > 0) {
                const int r = sd_bus_process(bus, NULL);

                bench_check(r, "the desk");
                if (r == 0)
                        bench_check(sd_bus_wait(bus, UINT64_MAX), "the desk");
        }
        return bench_now() - begin;
}

/* The other end of the socket is the desk: neither it nor the local node has a bus daemon before it. */
static void measure_desk(void) {
        char *paths[HELD] = {};
        int fds[2];

        bench_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ? -errno : 0,
                "a socket");
        (void) fflush(NULL);
        const pid_t pid = fork();
        if (pid < 0)
                bench_die("fork: %s", strerror(errno));
        if (pid == 0)
                desk_run(fds[0]);
        (void) close(fds[0]);
        sd_bus *bus = desk_open(fds[1], false);
        while (desk_count(bus, paths) < HELD)
                ;
        for (unsigned i = 0; i < WARM_UP + ROUNDS; i++) {
                const double ms = desk_round(bus, paths);

                if (i >= WARM_UP)
                        desk_ms[i - WARM_UP] = ms;
        }
        sd_bus_close_unref(bus);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        for (unsigned i = 0; i < HELD; i++)
                g_free(paths[i]);
        measure_local();
        bench_compare("one call to each of 16 hosts by the desk", bench_figure(desk_ms, ROUNDS), "ms",
                "16 calls to one node", bench_figure(local_ms, ROUNDS).median,
                bench_ratio(desk_ms, local_ms, ROUNDS), BENCH_AT_MOST, GOAL_HELD);
}

/* -- the list -- */

_Noreturn static void list_run(const char *list) {
        const char *words[] = { "list", "-H", list, NULL };
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
                _exit(127);
        const CtlExit e = run(ctl_verb_find("list"), words);
        _exit(fflush(stdout) == 0 ? (int) e : 127);
}

/* Returns its time in ms, and its memory in MB. */
static double list_measure(const char *list, double *ret_mb) {
        const double begin = bench_now();
        struct rusage usage;
        int status;

        (void) fflush(NULL);
        const pid_t pid = fork();
        if (pid < 0)
                bench_die("fork: %s", strerror(errno));
        if (pid == 0)
                list_run(list);
        if (wait4(pid, &status, 0, &usage) != pid || status != 0)
                bench_die("the list has failed");
        if (ret_mb)
                *ret_mb = (double) usage.ru_maxrss / 1024;
        return bench_now() - begin;
}

static void measure_list(void) {
        g_autofree char *one = g_strdup_printf("%s,%s", names[0], names[0]), *many = host_list(MANY),
                        *more = host_list(MORE);
        double one_ms[REPETITIONS], many_ms[REPETITIONS], more_ms[REPETITIONS], mb[REPETITIONS],
                more_mb[REPETITIONS];

        (void) list_measure(one, NULL);
        for (unsigned i = 0; i < REPETITIONS; i++) {
                one_ms[i] = list_measure(one, NULL);
                many_ms[i] = list_measure(many, &mb[i]);
                more_ms[i] = list_measure(more, &more_mb[i]);
        }
        const double linear = bench_ratio(more_ms, many_ms, REPETITIONS),
                     each = bench_ratio(many_ms, one_ms, REPETITIONS);
        const BenchFigure first = bench_figure(one_ms, REPETITIONS),
                          figure = bench_figure(many_ms, REPETITIONS);

        bench_compare("list of 100 hosts, 5000 roles", figure, "ms", "list of one host", first.median, each,
                BENCH_NO_GOAL, 0);
        bench_print("list of 100 hosts, 5000 roles", figure, "ms", BENCH_AT_MOST, GOAL_LIST_MS);
        bench_print("memory of that", bench_figure(mb, REPETITIONS), "MB", BENCH_AT_MOST, GOAL_LIST_MB);
        bench_compare("list of 500 hosts, 25000 roles", bench_figure(more_ms, REPETITIONS), "ms",
                "list of 100 hosts", figure.median, linear, BENCH_AT_MOST, GOAL_LINEAR);
        bench_print("memory of that", bench_figure(more_mb, REPETITIONS), "MB", BENCH_NO_GOAL, 0);
}

int main(void) {
        SimNodes sim;

        for (unsigned i = 0; i < MORE; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "h%u", i);
                hosts[i] = (SimHost){ names[i], SIM_GOOD, ROLES };
        }
        sim_nodes_start(&sim, hosts, MORE);
        measure_list();
        measure_held();
        measure_desk();
        sim_nodes_stop(&sim);
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "top": CPU, memory and tasks of the roles, from the control groups of their scopes. */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/time-util.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/loop.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "util/autoptr.h"

#define TOP_DELAY_USEC USEC_PER_SEC
#define TOP_DELAY_MIN_USEC (10 * USEC_PER_MSEC)
#define TOP_HEAD_LINES 3 /* what is no role: the head, an empty line, the headings */

#define SCREEN_ENTER "\033[?1049h\033[?25l"
#define SCREEN_LEAVE "\033[?25h\033[?1049l"
#define SCREEN_HOME "\033[H"
#define SCREEN_CLEAR_BELOW "\033[J"
#define SCREEN_CLEAR_LINE "\033[K"

typedef enum TopOrder { TOP_CPU, TOP_MEMORY, TOP_TASKS, _TOP_ORDER_MAX } TopOrder;

static const char *const top_orders[_TOP_ORDER_MAX] = { "cpu", "memory", "tasks" };

typedef struct TopRole {
        char *name;
        uint32_t pid;
        /* UINT64_MAX: not known, for example because the machine does not count it. */
        uint64_t cpu_usec, memory, tasks;
        uint64_t read_usec; /* when, CLOCK_MONOTONIC */
        double percent;     /* of one CPU since the sample before; negative: not known */
} TopRole;

typedef struct Top {
        Ctl *ctl;
        uint64_t delay_usec;
        uint32_t n_left; /* samples to show; 0: no limit */
        TopOrder order;
        bool interactive;

        GPtrArray *roles; /* of TopRole: the last sample, NULL before the first one */
        bool waits;       /* for a reply */
        bool done;
        CtlExit exit;
        char *problem; /* what the service has said instead of a reply */

        int timer_fd, signal_fd;
        struct termios settings;
        bool raw;
        CtlOutput output;
        GString *frame; /* what the terminal has not accepted yet */
        bool redraw;    /* when it has */
} Top;

/* -- a sample -- */

static void top_role_free(void *p) {
        g_free(((TopRole *) p)->name);
        g_free(p);
}

static uint64_t top_read(const char *cgroup, const char *file, const char *key) {
        unsigned long long value;

        return cgroup_read_u64(cgroup, file, key, &value) < 0 ? UINT64_MAX : value;
}

static const TopRole *top_find(const GPtrArray *roles, const char *name) {
        for (guint i = 0; roles && i < roles->len; i++) {
                const TopRole *role = g_ptr_array_index(roles, i);

                if (strcmp(role->name, name) == 0)
                        return role;
        }
        return NULL;
}

static TopRole *top_sample_role(const CtlDetails *details, const TopRole *before) {
        const char *cgroup = details->control_group;
        TopRole *role = g_new(TopRole, 1);

        *role = (TopRole){
                .name = g_strdup(details->name),
                .pid = details->main_pid,
                .cpu_usec = top_read(cgroup, "cpu.stat", "usage_usec"),
                .memory = top_read(cgroup, "memory.current", NULL),
                .tasks = top_read(cgroup, "pids.current", NULL),
                .read_usec = now_usec(CLOCK_MONOTONIC),
                .percent = -1,
        };
        /* Less than before is another run. */
        if (before && role->cpu_usec != UINT64_MAX && before->cpu_usec <= role->cpu_usec &&
                role->read_usec > before->read_usec)
                role->percent = 100.0 * (double) (role->cpu_usec - before->cpu_usec) /
                                (double) (role->read_usec - before->read_usec);
        return role;
}

/* What is not known comes last. */
static double top_key(const TopRole *role, TopOrder order) {
        const uint64_t value = order == TOP_MEMORY ? role->memory : role->tasks;

        if (order == TOP_CPU)
                return role->percent;
        return value == UINT64_MAX ? -1 : (double) value;
}

static int top_compare(const void *a, const void *b, void *userdata) {
        const TopRole *x = *(TopRole *const *) a, *y = *(TopRole *const *) b;
        const TopOrder order = ((Top *) userdata)->order;
        const double k = top_key(x, order), l = top_key(y, order);

        return k != l ? (k < l ? 1 : -1) : strcmp(x->name, y->name);
}

static void top_sort(Top *top) {
        if (top->roles)
                g_ptr_array_sort_with_data(top->roles, top_compare, top);
}

static void top_sample(Top *top, const GPtrArray *details) {
        GPtrArray *roles = g_ptr_array_new_with_free_func(top_role_free);

        for (guint i = 0; i < details->len; i++) {
                const CtlDetails *role = g_ptr_array_index(details, i);

                if (role->control_group && role->control_group[0])
                        g_ptr_array_add(roles, top_sample_role(role, top_find(top->roles, role->name)));
        }
        g_clear_pointer(&top->roles, g_ptr_array_unref);
        top->roles = roles;
        top_sort(top);
}

/* -- the table -- */

enum { TOP_ROLE, TOP_PID, TOP_PERCENT, TOP_TIME, TOP_BYTES, TOP_N_TASKS };

static const TableColumn top_columns[] = {
        [TOP_ROLE] = { "ROLE", "role" },
        [TOP_PID] = { "PID", "pid", TABLE_NUMBER },
        [TOP_PERCENT] = { "CPU%", "cpu-percent", TABLE_NUMBER },
        [TOP_TIME] = { "TIME", "cpu-usec", TABLE_NUMBER },
        [TOP_BYTES] = { "MEMORY", "memory", TABLE_NUMBER },
        [TOP_N_TASKS] = { "TASKS", "tasks", TABLE_NUMBER },
};

static void top_set_number(
        Table *table, struct libscols_line *row, size_t column, uint64_t value, char *(*word)(uint64_t)) {
        if (value == UINT64_MAX)
                return;
        g_autofree char *json = g_strdup_printf("%" PRIu64, value), *text = word ? word(value) : NULL;
        table_set_two(table, row, column, text ?: json, json);
}

static Table *top_table(const Top *top, guint max) {
        Table *table = table_new(top->ctl, top_columns, ELEMENTSOF(top_columns));

        for (guint i = 0; i < top->roles->len && i < max; i++) {
                const TopRole *role = g_ptr_array_index(top->roles, i);
                struct libscols_line *row = table_add_row(table, NULL);
                char number[G_ASCII_DTOSTR_BUF_SIZE];

                table_set(table, row, TOP_ROLE, role->name);
                if (role->pid > 0)
                        table_setf(table, row, TOP_PID, "%" PRIu32, role->pid);
                if (role->percent >= 0)
                        table_set(table, row, TOP_PERCENT,
                                g_ascii_formatd(number, sizeof(number), "%.1f", role->percent));
                top_set_number(table, row, TOP_TIME, role->cpu_usec, words_precise);
                top_set_number(table, row, TOP_BYTES, role->memory, words_size);
                top_set_number(table, row, TOP_N_TASKS, role->tasks, NULL);
        }
        return table;
}

/* -- the screen -- */

static void top_append_lines(GString *frame, const char *text) {
        for (const char *end; (end = strchr(text, '\n')); text = end + 1)
                g_string_append_printf(frame, "%.*s" SCREEN_CLEAR_LINE "\r\n", (int) (end - text), text);
        g_string_append_printf(frame, "%s" SCREEN_CLEAR_LINE, text);
}

static void top_write(Top *top) {
        while (top->frame->len > 0) {
                ssize_t n = write(top->output.fd, top->frame->str, top->frame->len);

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0 && errno != EINTR) {
                        top->done = true; /* the terminal is gone */
                        return;
                }
                if (n > 0)
                        g_string_erase(top->frame, 0, n);
        }
}

static void top_draw(Top *top) {
        struct winsize size = { .ws_row = 24, .ws_col = 80 };
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *time = g_date_time_format(now, "%H:%M:%S");

        /* A terminal that is slow gets fewer frames. */
        top->redraw = top->frame->len > 0;
        if (top->redraw)
                return;
        (void) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        const guint max = size.ws_row > TOP_HEAD_LINES + 1 ? size.ws_row - TOP_HEAD_LINES - 1U : 1;
        g_string_append(top->frame, SCREEN_HOME);
        g_autofree char *head =
                top->problem ? g_strdup(top->problem)
                             : g_strdup_printf("%s  %u roles run, by %s  (c m t: order, q: quit)", time,
                                       top->roles ? top->roles->len : 0, top_orders[top->order]);
        g_string_append_printf(top->frame, "%.*s" SCREEN_CLEAR_LINE "\r\n" SCREEN_CLEAR_LINE "\r\n",
                MAX(size.ws_col - 1, 1), head);
        if (top->roles) {
                g_autoptr(Table) table = top_table(top, max);
                g_autofree char *text = table_to_text(table);

                top_append_lines(top->frame, text);
        }
        g_string_append(top->frame, SCREEN_CLEAR_BELOW);
        top_write(top);
}

static CtlExit top_open_screen(Top *top) {
        ctl_output_open(&top->output, STDOUT_FILENO);
        if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &top->settings) >= 0) {
                struct termios raw = top->settings;

                /* Signals of keys stay, but Ctrl-Z would leave the screen to the shell. */
                raw.c_lflag &= ~((tcflag_t) ICANON | ECHO);
                raw.c_cc[VMIN] = 1;
                raw.c_cc[VTIME] = 0;
                raw.c_cc[VSUSP] = _POSIX_VDISABLE;
                if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
                        return ctl_failed(errno, "set up the terminal");
                top->raw = true;
        }
        g_string_append(top->frame, SCREEN_ENTER);
        top_write(top);
        return CTL_EXIT_OK;
}

static void top_close_screen(Top *top) {
        if (top->raw)
                (void) tcsetattr(STDIN_FILENO, TCSANOW, &top->settings);
        /* The rest of a frame could end within a sequence, which this one would continue. */
        (void) !write(top->output.fd, "\030" SCREEN_LEAVE, sizeof("\030" SCREEN_LEAVE) - 1);
        ctl_output_close(&top->output);
}

/* -- events -- */

static CtlExit top_show(Top *top) {
        if (top->interactive) {
                top_draw(top);
                return CTL_EXIT_OK;
        }
        g_autoptr(Table) table = top_table(top, UINT_MAX);
        if (top->roles->len == 0 && top->ctl->json == CTL_JSON_OFF)
                ctl_say(top->ctl, "No role runs.");
        CtlExit e = table_print(table);
        if (fflush(stdout) != 0 && e == CTL_EXIT_OK)
                e = ctl_failed(errno, "write to standard output");
        return e;
}

static int top_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(reply);
        g_autoptr(GPtrArray) details = NULL;
        Top *top = userdata;

        top->waits = false;
        g_clear_pointer(&top->problem, g_free);
        if (failure && top->interactive) {
                /* It may come back, for example after an upgrade. */
                top->problem =
                        g_strdup_printf("The service does not answer: %s", failure->message ?: failure->name);
                top_draw(top);
                return 0;
        }
        int r = failure ? 0 : ctl_read_details(reply, &details);
        if (failure || r < 0) {
                top->exit = failure ? ctl_report(top->ctl, NULL, failure) : ctl_bad_reply(r);
                top->done = true;
                return 0;
        }
        /* The first one is what the next one is compared with. On a screen it is better than nothing. */
        const bool first = !top->roles;
        top_sample(top, details);
        if (first && !top->interactive)
                return 0;
        top->exit = top_show(top);
        top->done = top->done || top->exit != CTL_EXIT_OK || (top->n_left > 0 && --top->n_left == 0);
        return 0;
}

static CtlExit top_ask(Top *top) {
        g_autoptr(sd_bus_message) call = NULL;

        if (top->waits)
                return CTL_EXIT_OK;
        CtlExit e = ctl_new_details_call(top->ctl, &call);
        if (e == CTL_EXIT_OK)
                e = ctl_send_async(top->ctl, call, top_on_reply, top);
        top->waits = e == CTL_EXIT_OK;
        return e;
}

static void top_on_key(Top *top) {
        char keys[64];
        ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        top->done = top->done || n <= 0; /* the terminal is gone */
        for (ssize_t i = 0; i < n; i++) {
                if (keys[i] == 'q')
                        top->done = true;
                for (unsigned order = 0; order < _TOP_ORDER_MAX; order++)
                        if (keys[i] == top_orders[order][0])
                                top->order = (TopOrder) order;
        }
        top_sort(top);
        if (!top->done)
                top_draw(top);
}

static void top_on_signal(Top *top) {
        struct signalfd_siginfo info;

        if (read(top->signal_fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo != SIGWINCH)
                top->done = true;
        else if (top->interactive)
                top_draw(top);
}

static CtlExit top_watch(Top *top) {
        const struct timespec delay = {
                .tv_sec = (time_t) (top->delay_usec / USEC_PER_SEC),
                .tv_nsec = (long) (top->delay_usec % USEC_PER_SEC) * 1000,
        };
        const struct itimerspec timer = { .it_interval = delay, .it_value = delay };

        top->signal_fd = ctl_open_signals();
        if (top->signal_fd < 0)
                return ctl_failed(top->signal_fd, "watch signals");
        if (top->interactive)
                (void) signal(SIGPIPE, SIG_IGN);
        top->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (top->timer_fd < 0 || timerfd_settime(top->timer_fd, 0, &timer, NULL) < 0)
                return ctl_failed(errno, "make a timer");
        return CTL_EXIT_OK;
}

static CtlExit top_process_bus(Top *top) {
        int r;

        do
                r = sd_bus_process(top->ctl->bus, NULL);
        while (r > 0 && !top->done);
        return r < 0 ? ctl_report_lost(r) : top->exit;
}

static CtlExit top_loop(Top *top) {
        CtlExit e = top_ask(top);

        while (e == CTL_EXIT_OK && !top->done) {
                e = top_process_bus(top);
                if (e != CTL_EXIT_OK || top->done)
                        break;
                const bool full = top->frame->len > 0;
                struct pollfd p[] = {
                        { .fd = sd_bus_get_fd(top->ctl->bus),
                                .events = (short) sd_bus_get_events(top->ctl->bus) },
                        { .fd = top->signal_fd, .events = POLLIN },
                        { .fd = top->timer_fd, .events = POLLIN },
                        { .fd = top->raw ? STDIN_FILENO : -1, .events = POLLIN },
                        { .fd = full ? top->output.fd : -1, .events = POLLOUT },
                };
                uint64_t expirations;

                if (poll(p, ELEMENTSOF(p), -1) < 0) {
                        if (errno != EINTR)
                                e = ctl_failed(errno, "wait for events");
                        continue;
                }
                if (p[1].revents)
                        top_on_signal(top);
                if (p[2].revents && read(top->timer_fd, &expirations, sizeof(expirations)) > 0)
                        e = top_ask(top);
                if (p[3].revents)
                        top_on_key(top);
                if (full && p[4].revents) {
                        top_write(top);
                        if (top->redraw)
                                top_draw(top);
                }
        }
        return e;
}

/* -- the verb -- */

static CtlExit top_run(Top *top) {
        CtlExit e = ctl_connect_bus(top->ctl);

        if (e == CTL_EXIT_OK)
                e = top_watch(top);
        if (e == CTL_EXIT_OK && top->interactive) {
                e = top_open_screen(top);
                if (e == CTL_EXIT_OK)
                        e = top_loop(top);
                top_close_screen(top);
        } else if (e == CTL_EXIT_OK)
                e = top_loop(top);
        return e;
}

static CtlExit top_parse_order(Top *top, const char *text) {
        for (unsigned i = 0; i < _TOP_ORDER_MAX; i++)
                if (strcmp(text, top_orders[i]) == 0) {
                        top->order = (TopOrder) i;
                        return CTL_EXIT_OK;
                }
        return ctl_usage("top", "--order=%s: there are cpu, memory and tasks", text);
}

static CtlExit top_parse(Top *top, int argc, char *argv[], bool *ret_help) {
        enum { ARG_BATCH = CTL_OPTION_OWN, ARG_ORDER };
        static const struct option options[] = {
                { "iterations", required_argument, NULL, 'n' },
                { "delay", required_argument, NULL, 'd' },
                { "batch", no_argument, NULL, ARG_BATCH },
                { "order", required_argument, NULL, ARG_ORDER },
                { 0 },
        };
        const char *term = getenv("TERM");
        bool batch = top->ctl->json != CTL_JSON_OFF || !term || strcmp(term, "dumb") == 0, counted = false;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while (e == CTL_EXIT_OK && (c = ctl_getopt(top->ctl, argc, argv, "n:d:", options, &e)) >= 0)
                switch (c) {
                case 'n':
                        counted = true;
                        if (parse_u32(optarg, &top->n_left) < 0 || top->n_left == 0)
                                e = ctl_usage("top", "--iterations=%s is not a number from 1 on", optarg);
                        break;
                case 'd':
                        if (parse_time(optarg, USEC_PER_SEC, &top->delay_usec) < 0 ||
                                top->delay_usec < TOP_DELAY_MIN_USEC || top->delay_usec == USEC_INFINITY)
                                e = ctl_usage("top", "--delay=%s is not a time of at least 10ms", optarg);
                        break;
                case ARG_BATCH:
                        batch = true;
                        break;
                default:
                        e = top_parse_order(top, optarg);
                        break;
                }
        *ret_help = e == CTL_EXIT_OK && c == CTL_OPTION_EXIT;
        if (e != CTL_EXIT_OK || *ret_help)
                return e;
        batch = batch || top->ctl->json != CTL_JSON_OFF;
        top->interactive = !batch && ctl_stdout_is_terminal();
        /* As systemd-cgtop. */
        if (!counted && !ctl_stdout_is_terminal())
                top->n_left = 1;
        return ctl_check_arguments(argc, argv, 0, 0);
}

CtlExit verb_top(Ctl *ctl, int argc, char *argv[]) {
        Top top = {
                .ctl = ctl,
                .delay_usec = TOP_DELAY_USEC,
                .timer_fd = -EBADF,
                .signal_fd = -EBADF,
                .output = { .fd = -EBADF },
        };
        bool help = false;

        CtlExit e = top_parse(&top, argc, argv, &help);
        if (e != CTL_EXIT_OK || help)
                return e;
        if (ctl->host || ctl->machine)
                return ctl_refuse_place(ctl, "top");
        ctl->pager = false;
        top.frame = g_string_new(NULL);
        e = top_run(&top);
        (void) g_string_free(top.frame, TRUE);
        g_clear_pointer(&top.roles, g_ptr_array_unref);
        g_free(top.problem);
        (void) fd_close(top.timer_fd);
        (void) fd_close(top.signal_fd);
        return e;
}

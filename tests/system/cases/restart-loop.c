/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The service is restarted repeatedly while lines are sent to roles and returned by them. Acknowledged lines
 * are returned once, and others at most once. */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay.h"
#include "testlib.h"

#define RESTARTS "8"
/* The limit of dbus-daemon is 128 pending calls. */
#define WINDOW 32
/* A size that a write puts into a pipe at once, and a size above the capacity of a pipe. */
#define SIZE_SMALL 3000
#define SIZE_LARGE 100000

typedef struct Line {
        guint32 serial;
        guint size;
        bool acknowledged;
} Line;

typedef struct Flow {
        Bus *bus;
        const char *role;
        guint size_max;
        GArray *lines; /* of Line */
        guint n_answered, n_acknowledged;
} Flow;

/* Sends <NUMBER:SIZE:xxx…> and a newline. */
static void flow_send(Flow *flow, GRand *random) {
        bool large = flow->size_max > SIZE_SMALL && g_rand_int_range(random, 0, 20) == 0;
        Line line = { .size = (guint) g_rand_int_range(
                              random, 0, (gint32) (large ? flow->size_max : SIZE_SMALL)) };
        g_autofree char *fill = g_strnfill(line.size, 'x');
        g_autofree char *text = g_strdup_printf("<%u:%u:%s>", flow->lines->len, line.size, fill);

        line.serial = node_send(flow->bus, "SendInput", g_variant_new("(ss)", flow->role, text));
        g_array_append_val(flow->lines, line);
}

static void flow_wait(Flow *flow, guint in_flight) {
        for (; flow->lines->len - flow->n_answered > in_flight; flow->n_answered++) {
                Line *line = &g_array_index(flow->lines, Line, flow->n_answered);
                Event *reply = bus_wait_reply(flow->bus, line->serial);

                line->acknowledged = reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN;
                flow->n_acknowledged += line->acknowledged;
                if (!line->acknowledged)
                        node_wait_name(flow->bus, true);
        }
}

/* What has come around the place, without the fill, so that a failure shows what happened to its lines. */
static void flow_show(const char *text, const char *place) {
        g_autoptr(GString) shown = g_string_new(NULL);
        gssize at = -1;

        for (const char *p = text; *p;) {
                size_t n_fill = strspn(p, "x");

                if (p >= place && at < 0)
                        at = (gssize) shown->len;
                if (n_fill > 0)
                        g_string_append_printf(shown, "%zu", n_fill);
                else
                        g_string_append_c(shown, *p);
                p += MAX(n_fill, 1);
        }
        if (at < 0)
                at = (gssize) shown->len;
        print_message("  %zu bytes, of which around the failure (each fill as its length):\n%.*s\n",
                strlen(text), 4000, shown->str + MAX(at - 2000, 0));
}

static void flow_fail(const Flow *flow, const char *text, const char *place, guint n, const char *why) {
        flow_show(text, place);
        fail_msg("line %u of %s, of %u bytes, %s", n, flow->role, g_array_index(flow->lines, Line, n).size,
                why);
}

/* A line that was being written when the service ended may be incomplete, but never an acknowledged one. */
static void flow_check(Flow *flow, const char *text) {
        guint next = 0, n_torn = 0, n_unasked = 0;

        for (const char *p = strchr(text, '<'); p; p = strchr(p + 1, '<')) {
                char *end;
                guint n = (guint) strtoul(p + 1, &end, 10), size = 0;
                bool whole = *end == ':' && n < flow->lines->len;

                if (whole) {
                        size = (guint) strtoul(end + 1, &end, 10);
                        whole = *end == ':' && size == g_array_index(flow->lines, Line, n).size &&
                                strspn(end + 1, "x") == size && strncmp(end + 1 + size, ">\n", 2) == 0;
                }
                if (!whole) {
                        n_torn++;
                        continue;
                }
                if (n < next)
                        flow_fail(flow, text, p, n, "has come twice, or too late");
                for (; next < n; next++)
                        if (g_array_index(flow->lines, Line, next).acknowledged)
                                flow_fail(flow, text, p, next,
                                        "was acknowledged and has not come before this place");
                n_unasked += !g_array_index(flow->lines, Line, next).acknowledged;
                next++;
        }
        for (; next < flow->lines->len; next++)
                if (g_array_index(flow->lines, Line, next).acknowledged)
                        flow_fail(flow, text, strchr(text, '\0'), next, "was acknowledged and has not come");
        print_message("  %s: %u lines, %u acknowledged, %u others have come too, %u in part\n", flow->role,
                flow->lines->len, flow->n_acknowledged, n_unasked, n_torn);
        assert_true(flow->n_acknowledged > 20);
}

static void lines_flow(Bus *bus, const char *command) {
        Flow flows[] = {
                { bus, role_name("file"), SIZE_LARGE, g_array_new(false, true, sizeof(Line)) },
                { bus, role_name("journal"), SIZE_SMALL, g_array_new(false, true, sizeof(Line)) },
        };
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        g_autofree char *path = g_strdup(scratch("output")), *output = g_strconcat("append:", path, NULL),
                        *filter = NULL, *text = NULL, *said = NULL;
        pid_t pids[2], node = node_pid(bus), keeper = keeper_pid(bus), loop;
        guint64 sequence;
        int status;

        start(bus, flows[0].role, OPTIONS("{'output': <%s>}", output), actor(), "cat", NULL);
        start(bus, flows[1].role, NULL, actor(), "cat", NULL);
        for (size_t i = 0; i < 2; i++)
                pids[i] = role_pid(bus, flows[i].role);
        sequence = event_sequence(bus);

        loop = spawn("bash", "-c", command, NULL);
        while (waitpid(loop, &status, WNOHANG) == 0)
                for (size_t i = 0; i < 2; i++) {
                        flow_send(&flows[i], random);
                        flow_wait(&flows[i], WINDOW);
                }
        assert_int_equal(status, 0);
        for (size_t i = 0; i < 2; i++)
                flow_wait(&flows[i], 0);
        node_wait_name(bus, true);
        /* One more line, without an interruption. */
        for (size_t i = 0; i < 2; i++) {
                flow_send(&flows[i], random);
                flow_wait(&flows[i], 0);
                assert_true(g_array_index(flows[i].lines, Line, flows[i].lines->len - 1).acknowledged);
                assert_int_equal(role_pid(bus, flows[i].role), pids[i]);
        }
        assert_int_not_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_equal(event_sequence(bus), sequence);

        for (size_t i = 0; i < 2; i++) {
                close_input(bus, flows[i].role);
                expect_exited(bus, flows[i].role, "exited", 0, "self");
        }
        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        flow_check(&flows[0], text);
        filter = g_strdup_printf("_PID=%d", (int) pids[1]);
        said = journal(filter, NULL);
        flow_check(&flows[1], said);
        for (size_t i = 0; i < 2; i++)
                g_array_unref(flows[i].lines);
}

static void test_restarts(void **state) {
        lines_flow(*state,
                "set -e; for ((i = 0; i < " RESTARTS "; i++)); do systemctl restart " NODE_UNIT "; done");
}

static void test_crashes(void **state) {
        lines_flow(*state, "set -e; for ((i = 0; i < " RESTARTS "; i++)); do"
                           " old=$(systemctl show -P MainPID " NODE_UNIT "); kill -KILL $old;"
                           " until new=$(systemctl show -P MainPID " NODE_UNIT
                           ") && [ $new -gt 1 ] && [ $new != $old ] &&"
                           " systemctl --quiet is-active " NODE_UNIT "; do sleep 0.02; done; done");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_restarts),
                TEST(test_crashes),
        };
        return run_case("restart-loop", tests);
}

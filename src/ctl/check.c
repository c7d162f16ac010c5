/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "check", a monitoring plug-in: one line with performance data, and its four exit statuses.
 * architectctl(1) says what is a warning and what is critical. */

#include <stdio.h>
#include <string.h>

#include "base/time-util.h"
#include "client/json.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/json.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* A plug-in ends after ten seconds, before what has started it ends it. */
#define CHECK_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* The names of the first ones are in the line. */
#define CHECK_NAMES_MAX 5U

typedef enum CheckStatus { CHECK_OK, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN } CheckStatus;

typedef struct Check {
        CheckStatus status;
        GPtrArray *reasons; /* of strings; the worst come first */
        guint n_critical;
        unsigned n_roles, n_running, n_failed, n_restarting, n_ended;
} Check;

/* For the line: '|' begins the performance data, and a line has an end. */
static void check_add(Check *check, CheckStatus status, char *reason) {
        for (char *p = reason; *p; p++)
                if (*p == '|' || g_ascii_iscntrl(*p))
                        *p = ' ';
        check->status = MAX(check->status, status);
        if (status == CHECK_CRITICAL)
                g_ptr_array_insert(check->reasons, (gint) check->n_critical++, reason);
        else
                g_ptr_array_add(check->reasons, reason);
}

/* -- what is wrong -- */

static void check_role(Check *check, const CtlDetails *role, bool is_named) {
        const bool up = ctl_details_are_up(role), failed = ctl_details_have_failed(role),
                   restarting = !up && role->started && role->next_start_usec != 0;
        g_autofree char *end = role->started ? words_end(role->exit_code, role->exit_status) : NULL;

        check->n_roles++;
        check->n_running += up;
        check->n_failed += failed;
        check->n_restarting += restarting;
        check->n_ended += !up && !failed && !restarting;
        if (failed)
                check_add(check, CHECK_CRITICAL,
                        g_strdup_printf("%s failed (%s, %s)", role->name, role->result, end));
        else if (restarting)
                check_add(check, CHECK_WARNING,
                        g_strdup_printf("%s waits for its restart (%s)", role->name, end));
        else if (!up && is_named)
                check_add(check, CHECK_CRITICAL,
                        role->started ? g_strdup_printf("%s has ended (%s, %s)", role->name, end, role->cause)
                                      : g_strdup_printf("%s was not started", role->name));
        else if (!up && strcmp(role->cause, "monitor") == 0)
                check_add(check, CHECK_WARNING, g_strdup_printf("%s was ended by the monitor", role->name));
        if (up && role->output_lost)
                check_add(check, CHECK_WARNING, g_strdup_printf("%s has no output", role->name));
}

/* A missed beat is near when less than a quarter of the time is left. */
static void check_node(Ctl *ctl, Check *check, const CtlNode *node) {
        int64_t left;

        for (char **warning = node->warnings; *warning; warning++)
                check_add(check, CHECK_WARNING, g_strdup(*warning));
        if (strcmp(node->state, "running") != 0)
                check_add(check, CHECK_WARNING, g_strdup_printf("the service is %s", node->state));
        if (!ctl_node_deadline(ctl, node, &left))
                return;
        g_autofree char *span = words_span((uint64_t) ABS(left));
        if (left < 0)
                check_add(check, CHECK_WARNING, g_strdup_printf("the beat is late by %s", span));
        else if ((uint64_t) left < node->timeout_usec / 4)
                check_add(check, CHECK_WARNING, g_strdup_printf("the beat is due in %s", span));
}

/* Whoever names a role wants it to run; "there is none" is no mistake of the command line then. */
static void check_words(Check *check, char *const *words, const GPtrArray *roles) {
        for (guint i = 0; i < roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(roles, i);

                if (ctl_words_select(words, role->name, role->groups))
                        check_role(check, role, *words != NULL);
        }
        for (; *words; words++) {
                bool any = false;

                for (guint i = 0; i < roles->len; i++) {
                        const CtlDetails *role = g_ptr_array_index(roles, i);
                        any = any || ctl_word_selects(*words, role->name, role->groups);
                }
                if (!any)
                        check_add(check, CHECK_CRITICAL, g_strdup_printf("there is no role %s", *words));
        }
}

/* -- the line -- */

static void check_print(const Ctl *ctl, const Check *check) {
        static const char *const names[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };
        g_autoptr(GString) line = g_string_new(NULL);
        const guint n = check->reasons->len;

        for (guint i = 0; i < n && i < CHECK_NAMES_MAX; i++)
                g_string_append_printf(
                        line, "%s%s", i > 0 ? ", " : "", (char *) g_ptr_array_index(check->reasons, i));
        if (n > CHECK_NAMES_MAX)
                g_string_append_printf(line, ", and %u more", n - CHECK_NAMES_MAX);
        if (n == 0)
                g_string_append_printf(
                        line, "%u role%s running", check->n_running, check->n_running == 1 ? "" : "s");
        if (ctl->json != CTL_JSON_OFF) {
                g_autoptr(GString) json = g_string_new("{\"status\":");

                json_append_string(json, names[check->status]);
                g_string_append(json, ",\"text\":");
                json_append_string(json, line->str);
                g_string_append_printf(json,
                        ",\"roles\":%u,\"running\":%u,\"failed\":%u,\"restarting\":%u,\"ended\":%u}",
                        check->n_roles, check->n_running, check->n_failed, check->n_restarting,
                        check->n_ended);
                json_print(json->str, ctl->json);
                return;
        }
        (void) printf("ARCHITECT %s - %s", names[check->status], line->str);
        if (check->status != CHECK_UNKNOWN)
                (void) printf(" | roles=%u running=%u failed=%u restarting=%u ended=%u", check->n_roles,
                        check->n_running, check->n_failed, check->n_restarting, check->n_ended);
        (void) putchar('\n');
}

static bool check_is_silent(const sd_bus_error *error) {
        return ctl_error_is_no_service(error) || sd_bus_error_has_names(error, SD_BUS_ERROR_TIMEOUT,
                                                         SD_BUS_ERROR_NO_REPLY, "System.Error.ETIMEDOUT");
}

/* Without a service nothing runs that it could tell about, which is critical, as for every plug-in. What
 * keeps this program from asking is unknown. */
static void check_explain(Check *check, CtlExit e, const sd_bus_error *error) {
        if (sd_bus_error_is_set(error))
                check_add(check, check_is_silent(error) ? CHECK_CRITICAL : CHECK_UNKNOWN,
                        g_strdup_printf("the service does not answer: %s", error->message ?: error->name));
        else
                check_add(check, CHECK_UNKNOWN,
                        g_strdup(e == CTL_EXIT_USAGE ? "the options are wrong" : "there is no connection"));
}

static CtlExit check_run(Ctl *ctl, Check *check, char *const *words, sd_bus_error *error) {
        g_autoptr(GPtrArray) roles = NULL;
        g_auto(CtlNode) node = {};
        /* A check for each role would otherwise tell of one fault of the node as often. */
        const bool with_node = !*words;

        /* On the private socket a service that hangs would not even complete the connection, for which
         * libsystemd waits 90 s. */
        CtlExit e = ctl_connect_bus(ctl);
        if (e == CTL_EXIT_OK && with_node)
                e = ctl_get_node(ctl, error, &node);
        if (e == CTL_EXIT_OK)
                e = ctl_get_details(ctl, words, error, &roles);
        if (e == CTL_EXIT_OK)
                e = ctl_add_defined(ctl, words, roles);
        if (e != CTL_EXIT_OK)
                return e;
        check_words(check, words, roles);
        if (with_node)
                check_node(ctl, check, &node);
        return CTL_EXIT_OK;
}

CtlExit verb_check(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Check check = { .reasons = reasons };
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, INT_MAX, &e)) {
                if (e == CTL_EXIT_OK) /* the help */
                        return e;
        } else {
                if (ctl->timeout_usec == 0)
                        ctl->timeout_usec = CHECK_TIMEOUT_USEC;
                e = check_run(ctl, &check, argv + optind, &error);
        }
        if (e != CTL_EXIT_OK)
                check_explain(&check, e, &error);
        check_print(ctl, &check);
        return (CtlExit) check.status;
}

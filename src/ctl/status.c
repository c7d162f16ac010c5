/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "status": a block for each role, as of systemctl status, or one for the node. */

#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "ctl/definitions.h"
#include "ctl/details.h"
#include "ctl/pager.h"
#include "ctl/show.h"
#include "ctl/verb.h"
#include "ctl/words.h"

#define STATUS_LINES 10

typedef struct Status {
        Ctl *ctl;
        GArray *definitions;
        uint32_t n_lines; /* of the journal, for each role */
} Status;

/* -- one line of a block -- */

static _printf_(2, 3) void status_line(const char *label, const char *format, ...);
static void status_line(const char *label, const char *format, ...) {
        va_list ap;

        (void) printf("%12s%s ", label, label[0] ? ":" : " ");
        va_start(ap, format);
        (void) vprintf(format, ap);
        va_end(ap);
        (void) putchar('\n');
}

static void status_text(const char *label, const char *text) {
        g_autofree char *escaped = words_escape(text);

        status_line(label, "%s", escaped);
}

static void status_strings(const char *label, char *const *strings) {
        for (; strings && *strings; strings++) {
                status_text(label, *strings);
                label = "";
        }
}

static void status_joined(const char *label, char *const *strings) {
        if (!strings || !*strings)
                return;
        g_autofree char *line = g_strjoinv(" ", (char **) strings);
        status_line(label, "%s", line);
}

typedef enum Look { LOOK_GOOD, LOOK_BAD, LOOK_OTHER, LOOK_NONE } Look;

static const char *look_color(Look look) {
        static const char *const colors[] = { "\033[0;1;32m", "\033[0;1;31m", "\033[0;1;33m", "" };

        return ctl_has_color() ? colors[look] : "";
}

static const char *color_off(Look look) {
        return look != LOOK_NONE && ctl_has_color() ? "\033[0m" : "";
}

static void status_head(Look look, const char *name, const char *description) {
        static const char *const dots[] = { "\u25cf", "\u00d7", "\u25cf", "\u25cb" };
        static const char *const letters[] = { "*", "x", "*", "-" };
        const bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        g_autofree char *escaped = words_escape(description ?: "");

        (void) printf("%s%s%s %s%s%s\n", look_color(look), utf8 ? dots[look] : letters[look], color_off(look),
                name, description && description[0] ? " - " : "", escaped);
}

/* -- a role -- */

static Look role_look(const CtlDetails *role) {
        if (!role->started)
                return LOOK_NONE;
        if (strcmp(role->state, "ended") == 0)
                return role->ready                     ? LOOK_GOOD
                       : role->next_start_usec != 0    ? LOOK_OTHER
                       : ctl_details_have_failed(role) ? LOOK_BAD
                                                       : LOOK_NONE;
        return strcmp(role->state, "running") == 0 ? LOOK_GOOD : LOOK_OTHER;
}

/* "ended (exit 3)", "running (frozen)". */
static char *role_state_words(const CtlDetails *role) {
        if (!role->started)
                return g_strdup("not started");
        if (strcmp(role->state, "ended") == 0) {
                g_autofree char *end = words_end(role->exit_code, role->exit_status);

                return g_strdup_printf("ended (%s)", end);
        }
        if (role->frozen)
                return g_strdup_printf("%s (frozen)", role->state);
        if (strcmp(role->state, "running") == 0 && !role->ready)
                return g_strdup("running (not ready yet)");
        return g_strdup(role->state);
}

static void role_print_state(const CtlDetails *role) {
        const uint64_t since =
                role->started && strcmp(role->state, "ended") == 0 ? role->exit_usec : role->start_usec;
        g_autofree char *state = role_state_words(role), *time = words_timestamp(since),
                        *ago = words_ago(since);
        const Look look = role_look(role);

        if (since == 0)
                status_line("State", "%s%s%s", look_color(look), state, color_off(look));
        else
                status_line("State", "%s%s%s since %s; %s ago", look_color(look), state, color_off(look),
                        time, ago);
}

static void role_print_next(const CtlDetails *role) {
        if (role->next_start_usec == UINT64_MAX)
                status_line("Next start", "when %s is ready",
                        role->waits_for && role->waits_for[0] ? role->waits_for : "another role");
        else if (role->next_start_usec != 0) {
                const uint64_t now = now_usec(CLOCK_REALTIME);
                g_autofree char *time = words_timestamp(role->next_start_usec),
                                *left = words_span(
                                        role->next_start_usec > now ? role->next_start_usec - now : 0);

                status_line("Next start", "%s; %s left", time, left);
        }
        if (role->waits_for && role->waits_for[0] && role->next_start_usec != UINT64_MAX)
                status_line("Waits for", "%s", role->waits_for);
        if (role->n_restarts > 0)
                status_line("Restarts", "%" PRIu32, role->n_restarts);
}

static void role_print_end(const CtlDetails *role) {
        if (strcmp(role->state, "ended") != 0)
                return;
        status_line("Cause", "%s", role->cause);
        if (strcmp(role->result, "success") != 0)
                status_line("Result", "%s", role->result);
}

static void role_print_warnings(const CtlDetails *role) {
        if (role->output_lost)
                status_line("Warning", "nothing of what it prints reaches the journal");
        if (role->damaged)
                status_line("Warning", "its saved state was damaged, its options have their defaults");
        if (role->need_reload)
                status_line("Warning", "its definition has changed since it was started");
}

static void role_print_run(const CtlDetails *role) {
        g_autofree char *command = words_command((const char *const *) role->command);

        role_print_end(role);
        role_print_next(role);
        status_text("Command", command);
        if (role->main_pid > 0)
                status_line("Main PID", "%" PRIu32, role->main_pid);
        if (role->scope && role->scope[0])
                status_line("Unit", "%s", role->scope);
        if (role->control_group && role->control_group[0])
                status_line("CGroup", "%s", role->control_group);
        status_strings("Strays", role->strays);
        if (role->user && role->user[0])
                status_line("User", "%s", role->user);
        if (role->product && role->product[0])
                status_line("Product", "%s%s%s (%s)", role->product,
                        role->version && role->version[0] ? " " : "", role->version ?: "",
                        role->provider ?: "");
        if (role->managed_by && role->managed_by[0])
                status_text("Managed by", role->managed_by);
        if (role->lease && role->lease[0])
                status_line("Lease", "%s", role->lease);
        if (role->status_text && role->status_text[0])
                status_text("Status", role->status_text);
}

static const CtlDefinition *status_find_definition(const Status *status, const char *name) {
        for (guint i = 0; i < status->definitions->len; i++) {
                const CtlDefinition *definition = &g_array_index(status->definitions, CtlDefinition, i);

                if (strcmp(definition->name, name) == 0)
                        return definition;
        }
        return NULL;
}

static void role_print_definition(const Status *status, const CtlDetails *role) {
        const CtlDefinition *definition = status_find_definition(status, role->name);

        if (role->definition && role->definition[0])
                status_line("Definition", "%s%s", role->definition,
                        definition && definition->autostart ? "; starts with the service" : "");
        if (definition && definition->error)
                status_line(
                        "", "%srefused: %s%s", look_color(LOOK_BAD), definition->error, color_off(LOOK_BAD));
        status_joined("Groups", role->groups);
}

/* As systemctl, it shows none of another host. The services of several users have scopes of the same name. */
static void role_print_log(const Status *status, const CtlDetails *role) {
        const Ctl *ctl = status->ctl;
        _cleanup_free_ char *scope = role_scope_name(ctl->instance, role->name);
        g_autofree char *match = g_strdup_printf(
                                "%s=%s", ctl->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", scope),
                        *lines = g_strdup_printf("--lines=%" PRIu32, status->n_lines),
                        *machine = g_strdup_printf("--machine=%s", ctl->machine ?: ""),
                        *user = g_strdup_printf("_UID=%u", (unsigned) getuid());
        const char *argv[] = { "journalctl", "--quiet", "--no-pager", lines, match,
                ctl->machine ? machine
                : ctl->user  ? user
                             : NULL,
                NULL };
        g_autofree char *out = NULL;

        if (!role->started || status->n_lines == 0 || ctl->host)
                return;
        /* Without journalctl, or without the right to read the journal, there are no lines. */
        if (!g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                    NULL, &out, NULL, NULL, NULL) ||
                !out || !out[0])
                return;
        (void) printf("\n%s", out);
}

static void role_print(const Status *status, const CtlDetails *role) {
        const CtlDefinition *definition = status_find_definition(status, role->name);

        status_head(role_look(role), role->name, definition ? definition->description : NULL);
        role_print_state(role);
        if (role->started)
                role_print_run(role);
        role_print_definition(status, role);
        role_print_warnings(role);
        role_print_log(status, role);
}

static CtlExit status_print(Status *status, const GPtrArray *selected) {
        GPtrArray *started = g_ptr_array_new();
        CtlExit e = CTL_EXIT_OK;

        for (guint i = 0; i < selected->len; i++) {
                CtlDetails *role = g_ptr_array_index(selected, i);

                if (role->started)
                        g_ptr_array_add(started, role);
                if (!ctl_details_are_up(role))
                        e = CTL_EXIT_NOT_RUNNING;
        }
        if (status->ctl->json != CTL_JSON_OFF) {
                CtlExit shown = ctl_show_roles(status->ctl, started);
                e = shown != CTL_EXIT_OK ? shown : e;
        } else if (selected->len > 0) {
                pager_open(status->ctl);
                for (guint i = 0; i < selected->len; i++) {
                        if (i > 0)
                                (void) putchar('\n');
                        role_print(status, g_ptr_array_index(selected, i));
                }
        }
        g_ptr_array_unref(started);
        return e;
}

static CtlExit status_roles(Status *status, char *const *words) {
        g_autoptr(GPtrArray) roles = NULL, selected = NULL;

        CtlExit e = ctl_get_details(status->ctl, words, NULL, &roles);
        if (e == CTL_EXIT_OK)
                e = ctl_list_definitions(status->ctl, &status->definitions);
        if (e != CTL_EXIT_OK)
                return e;
        ctl_add_definitions(status->definitions, words, roles);
        const CtlExit missing = ctl_select_details(status->ctl, words, roles, &selected);
        e = status_print(status, selected);
        g_clear_pointer(&status->definitions, g_array_unref);
        return missing != CTL_EXIT_OK ? missing : e;
}

/* -- the node -- */

static void node_print_monitor(const Ctl *ctl, const CtlNode *node) {
        g_autofree char *timeout = words_span(node->timeout_usec);
        int64_t left;

        if (node->timeout_usec == 0)
                status_line("Monitor", "off");
        else if (node->deadline_usec == 0)
                status_line("Monitor", "not armed; the first beat starts it (limit %s)", timeout);
        else if (!ctl_node_deadline(ctl, node, &left))
                status_line("Monitor", "armed (limit %s)", timeout);
        else {
                g_autofree char *span = words_span((uint64_t) ABS(left));

                status_line("Monitor",
                        left >= 0 ? "next beat due in %s (limit %s)" : "next beat late by %s (limit %s)",
                        span, timeout);
        }
}

static CtlExit status_node(Ctl *ctl) {
        g_autoptr(GPtrArray) roles = NULL;
        g_auto(CtlNode) node = {};
        unsigned n_failed = 0, n_waiting = 0;

        CtlExit e = ctl_get_node(ctl, NULL, &node);
        if (e == CTL_EXIT_OK)
                e = ctl_get_details(ctl, NULL, NULL, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        for (guint i = 0; i < roles->len; i++) {
                n_failed += ctl_details_have_failed(g_ptr_array_index(roles, i));
                n_waiting += ((CtlDetails *) g_ptr_array_index(roles, i))->next_start_usec != 0;
        }
        const bool well = strcmp(node.state, "running") == 0 && !node.warnings[0];
        const Look look = well ? LOOK_GOOD : LOOK_OTHER;

        pager_open(ctl);
        status_head(look, "architect-node", node.instance);
        status_line("State", "%s%s%s", look_color(look), node.state, color_off(look));
        status_line("Version", "%s", node.version);
        status_line("Roles", "%u known, %u running, %u failed, %u to be restarted", node.n_roles,
                node.n_running, n_failed, n_waiting);
        status_line("Keeper", node.keeper_connected ? "connected" : "not connected");
        node_print_monitor(ctl, &node);
        status_line("Slice", "%s", node.slice ?: "");
        status_joined("Features", node.features);
        status_strings("Warnings", node.warnings);
        return CTL_EXIT_OK;
}

CtlExit verb_status(Ctl *ctl, int argc, char *argv[]) {
        static const struct option options[] = {
                { "lines", required_argument, NULL, 'n' },
                { 0 },
        };
        Status status = { .ctl = ctl, .n_lines = STATUS_LINES };
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, "n:", options, &e)) >= 0)
                if (parse_u32(optarg, &status.n_lines) < 0)
                        return ctl_usage("status", "--lines=%s is not a number of lines", optarg);
        if (c == CTL_OPTION_EXIT)
                return e;
        if (optind < argc)
                return status_roles(&status, argv + optind);
        if (ctl->json != CTL_JSON_OFF) {
                char *show[] = { (char *) "show", NULL };

                optind = 0;
                return verb_show(ctl, 1, show);
        }
        return status_node(ctl);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <syslog.h>

#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node.h"
#include "util/log.h"

static void journal_fields_add(GPtrArray *fields, const char *format, ...) _printf_(2, 3);
static void journal_fields_add(GPtrArray *fields, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(fields, g_strdup_vprintf(format, ap));
        va_end(ap);
}

static GPtrArray *journal_fields_of_node(const Node *node, const char *id, const Caller *caller) {
        GPtrArray *fields = g_ptr_array_new_with_free_func(g_free);

        journal_fields_add(fields, "ARCHITECT_INSTANCE=%s", node->instance);
        if (id)
                journal_fields_add(fields, "MESSAGE_ID=%s", id);
        if (caller && caller->known) {
                journal_fields_add(fields, "ARCHITECT_CALLER_UID=%u", (unsigned) caller->uid);
                if (caller->pid > 0)
                        journal_fields_add(fields, "ARCHITECT_CALLER_PID=%d", (int) caller->pid);
                if (caller->unit)
                        journal_fields_add(fields, "ARCHITECT_CALLER_UNIT=%s", caller->unit);
        }
        return fields;
}

static GPtrArray *journal_fields_of_role(const Role *role, const char *id, const Caller *caller) {
        GPtrArray *fields = journal_fields_of_node(role->node, id, caller);
        char invocation[SD_ID128_STRING_MAX];

        journal_fields_add(fields, "ARCHITECT_ROLE=%s", role->name);
        /* "journalctl -u SCOPE" shows messages of root with the first field, "journalctl --user -u SCOPE"
         * messages of a user with the second. */
        journal_fields_add(fields, "OBJECT_SYSTEMD_UNIT=%s", role->scope);
        if (role->node->user)
                journal_fields_add(fields, "OBJECT_SYSTEMD_USER_UNIT=%s", role->scope);
        if (!sd_id128_is_null(role->invocation))
                journal_fields_add(fields, "ARCHITECT_INVOCATION_ID=%s",
                        sd_id128_to_string(role->invocation, invocation));
        return fields;
}

static void journal_send_v(GPtrArray *fields, const Role *role, int level, const char *format, va_list ap)
        _printf_(4, 0);
static void journal_send_v(GPtrArray *fields, const Role *role, int level, const char *format, va_list ap) {
        if (level <= log_get_max_level()) {
                g_autofree char *text = g_strdup_vprintf(format, ap);

                g_ptr_array_add(fields, NULL);
                (void) log_fields(level, 0, (const char *const *) fields->pdata, "%s%s%s",
                        role ? role->name : "", role ? ": " : "", text);
        }
        g_ptr_array_unref(fields);
}

static void journal_send(GPtrArray *fields, const Role *role, int level, const char *format, ...)
        _printf_(4, 5);
static void journal_send(GPtrArray *fields, const Role *role, int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        journal_send_v(fields, role, level, format, ap);
        va_end(ap);
}

void journal_role_v(
        const Role *role, const char *id, int level, const Caller *caller, const char *format, va_list ap) {
        if (level <= log_get_max_level())
                journal_send_v(journal_fields_of_role(role, id, caller), role, level, format, ap);
}

void journal_role(
        const Role *role, const char *id, int level, const Caller *caller, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        journal_role_v(role, id, level, caller, format, ap);
        va_end(ap);
}

void journal_node(
        const Node *node, const char *id, int level, const Caller *caller, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        journal_send_v(journal_fields_of_node(node, id, caller), NULL, level, format, ap);
        va_end(ap);
}

void journal_role_started(const Role *role) {
        GPtrArray *fields = journal_fields_of_role(role, MESSAGE_ROLE_STARTED, &role->owner);

        journal_fields_add(fields, "ARCHITECT_USER=%s", role_user(role));
        journal_send(fields, role, LOG_INFO, "Started (main PID %d, user %s)", (int) role->main_pid,
                role_user(role));
}

void journal_role_exited(const Role *role) {
        GPtrArray *fields = journal_fields_of_role(role, MESSAGE_ROLE_EXITED, &role->cause_caller);
        const char *code = exit_code_to_string(role->exit.code), *cause = role_cause_to_string(role->cause);

        journal_fields_add(fields, "EXIT_CODE=%s", code);
        journal_fields_add(fields, "EXIT_STATUS=%d", role->exit.status);
        journal_fields_add(fields, "ARCHITECT_CAUSE=%s", cause);
        journal_send(fields, role, LOG_INFO, "Main process exited, code=%s, status=%d (cause: %s)", code,
                role->exit.status, cause);
}

void journal_role_left(const Role *role, GVariant *left) {
        g_autoptr(GString) names = g_string_new(NULL);
        GVariantIter iter;
        const char *name;
        uint32_t pid;

        g_variant_iter_init(&iter, left);
        while (g_variant_iter_next(&iter, "(u&s)", &pid, &name))
                g_string_append_printf(names, "%s%s (pid %u)", names->len > 0 ? ", " : "", name, pid);
        /* A main process that was killed had no say in what it leaves. */
        journal_role(role, MESSAGE_ROLE_LEFT_PROCESSES, LOG_NOTICE, NULL,
                "Stopping what its main process has left: %s%s", names->str,
                role->exit.code != EXIT_CODE_EXITED
                        ? ""
                        : "; run the program in the foreground (without &, nohup, -d, --daemon), or start the role with exit-type=cgroup");
}

void journal_role_left_scope(const Role *role, const char *cgroup, const char *format, ...) {
        GPtrArray *fields = journal_fields_of_role(role, MESSAGE_ROLE_LEFT_SCOPE, NULL);
        va_list ap;

        journal_fields_add(fields, "ARCHITECT_CONTROL_GROUP=%s", cgroup);
        va_start(ap, format);
        journal_send_v(fields, role, LOG_NOTICE, format, ap);
        va_end(ap);
}

void journal_lease_expired(const Node *node, const char *lease, const char *format, ...) {
        GPtrArray *fields = journal_fields_of_node(node, MESSAGE_LEASE_EXPIRED, NULL);
        va_list ap;

        journal_fields_add(fields, "ARCHITECT_LEASE=%s", lease);
        va_start(ap, format);
        journal_send_v(fields, NULL, LOG_WARNING, format, ap);
        va_end(ap);
}

void journal_shutting_down(const Node *node, const char *reason, const Caller *caller) {
        GPtrArray *fields = journal_fields_of_node(node, MESSAGE_SHUTTING_DOWN, caller);

        journal_fields_add(fields, "ARCHITECT_REASON=%s", reason);
        journal_send(fields, NULL, LOG_NOTICE, "Shutting down%s%s", reason[0] ? ": " : "", reason);
}

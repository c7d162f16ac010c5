/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/command-list.h"
#include "model/products.h"
#include "model/role-fields.h"

static void field_put_strv(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_strv(s, key, *(char **const *) member);
}

static void field_get_strv(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        *(char ***) member = state_take_strv(fields, key);
}

static void field_get_command(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        if (state_fields_have(fields, "DAMAGED") && !state_fields_have(fields, key))
                return;
        g_auto(GStrv) command = state_take_strv(fields, key);

        if (role_spec_set_command(spec, command, NULL) < 0)
                state_fields_set_bad(fields);
}

static void field_get_commands(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        char ***list = member;

        *list = state_take_strv(fields, key);
        if (command_list_is_valid(*list))
                return;
        state_fields_set_bad(fields);
        g_clear_pointer(list, g_strfreev);
}

static void field_get_pairs(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        char ***pairs = member;

        *pairs = state_take_strv(fields, key);
        if (*pairs && g_strv_length(*pairs) % 2 != 0)
                state_fields_set_bad(fields);
}

static void field_put_string(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_string(s, key, *(char *const *) member);
}

static void field_get_string(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        *(char **) member = state_take_string(fields, key);
}

static void field_put_flag(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_nonzero(s, key, *(const bool *) member);
}

static void field_get_flag(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        *(bool *) member = state_take_bool(fields, key);
}

/* 0 is not written. */
static void field_put_bound(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_nonzero(s, key, *(const uint64_t *) member);
}

static void field_get_bound(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        *(uint64_t *) member = state_take_u64(fields, key);
}

static void field_put_usec(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_u64(s, key, *(const uint64_t *) member);
}

static void field_get_usec(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        if (state_fields_have(fields, key))
                *(uint64_t *) member = state_take_u64(fields, key);
}

/* The same, but the default is not written: an option of a later version leaves the files as they were. */
static void field_put_u64(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        const size_t offset = (size_t) ((const char *) member - (const char *) spec);
        const uint64_t value = *(const uint64_t *) member;

        if (value != *(const uint64_t *) ((const char *) &role_spec_defaults + offset))
                state_put_u64(s, key, value);
}

static void field_put_int(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        state_put_i64(s, key, *(const int *) member);
}

static void field_get_int(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        *(int *) member = state_take_i32(fields, key, *(int *) member);
}

/* Written together with nice_set. */
static void field_put_nice(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (spec->nice_set)
                field_put_int(s, key, spec, member);
}

static void field_get_nice(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        spec->nice_set = state_fields_have(fields, key);
        field_get_int(fields, key, spec, member);
}

/* Written together with oom_score_adjust_set. */
static void field_put_oom_score(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (spec->oom_score_adjust_set)
                field_put_int(s, key, spec, member);
}

static void field_get_oom_score(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        spec->oom_score_adjust_set = state_fields_have(fields, key);
        field_get_int(fields, key, spec, member);
}

#define ENUM_KIND(name, type) \
        static void field_put_##name( \
                GString *s, const char *key, const RoleSpec *spec, const void *member) { \
                state_put_enum(s, key, name, *(const type *) member); \
        } \
        static void field_get_##name(StateFields *fields, const char *key, RoleSpec *spec, void *member) { \
                *(type *) member = state_take_enum(fields, key, name, *(type *) member); \
        } \
        struct name##_kind_semicolon

ENUM_KIND(role_stdin, RoleStdin);
ENUM_KIND(exit_type, ExitType);
ENUM_KIND(notify_access, NotifyAccess);
ENUM_KIND(role_type, RoleType);
ENUM_KIND(stop_to, StopTo);
ENUM_KIND(monitor_loss, MonitorLoss);
ENUM_KIND(product_provider, ProductProvider);
ENUM_KIND(restart_policy, RestartPolicy);

static bool restart_is_saved(const RoleSpec *spec) {
        return spec->restart != RESTART_NO;
}

static bool type_is_saved(const RoleSpec *spec) {
        return spec->type != ROLE_TYPE_EXEC;
}

static void field_put_access(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (spec->notify_access != NOTIFY_ACCESS_DEFAULT)
                field_put_notify_access(s, key, spec, member);
}

static void field_put_watchdog_signal(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (role_spec_is_watched(spec))
                field_put_int(s, key, spec, member);
}

/* Written together with timeout_start_set. */
static void field_put_start_timeout(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (spec->timeout_start_set)
                field_put_usec(s, key, spec, member);
}

static void field_get_start_timeout(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        spec->timeout_start_set = state_fields_have(fields, key);
        field_get_usec(fields, key, spec, member);
}

static void field_put_loss(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        if (spec->on_monitor_loss != MONITOR_LOSS_DEFAULT)
                field_put_monitor_loss(s, key, spec, member);
}

/* If the options have no provider (provider_set), the ProductProvider= of the node was filled in. */
static void field_get_provider(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        spec->provider_set = state_fields_have(fields, key);
        field_get_product_provider(fields, key, spec, member);
}

/* Written together with output_path. */
static void field_put_output(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        g_autofree char *output = role_spec_output(spec);

        state_put_string(s, key, output);
}

static void field_get_output(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        g_autofree char *output = state_take_string(fields, key);

        if (output && role_spec_set_output(spec, output, NULL) < 0)
                state_fields_set_bad(fields);
}

/* Written for limits_set, with limits. */
static void field_put_limits(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        for (int i = 0; i < RLIMIT_COUNT; i++)
                if (spec->limits_set & (UINT64_C(1) << i)) {
                        g_autofree char *limit = g_strdup_printf(
                                "%s:%" G_GUINT64_FORMAT, rlimit_to_string(i), spec->limits[i]);
                        state_put_string(s, key, limit);
                }
}

static void field_get_limits(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        g_auto(GStrv) limits = state_take_strv(fields, key);

        for (char **l = limits; l && *l; l++) {
                char *colon = strchr(*l, ':');
                uint64_t value;

                if (colon)
                        *colon = '\0';
                if (!colon || parse_u64(colon + 1, &value) < 0 ||
                        role_spec_add_limit(spec, *l, value, NULL) < 0)
                        state_fields_set_bad(fields);
        }
}

static void field_put_ports(GString *s, const char *key, const RoleSpec *spec, const void *member) {
        const GArray *ports = *(GArray *const *) member;

        for (unsigned i = 0; ports && i < ports->len; i++)
                state_put_u64(s, key, g_array_index(ports, uint16_t, i));
}

static void field_get_ports(StateFields *fields, const char *key, RoleSpec *spec, void *member) {
        g_auto(GStrv) texts = state_take_strv(fields, key);
        g_autoptr(GArray) numbers = g_array_new(false, false, sizeof(uint64_t));
        const RolePorts which = (RolePorts) ((GArray **) member - spec->ports);

        for (char **t = texts; t && *t; t++) {
                uint64_t number = 0;

                if (parse_u64(*t, &number) < 0)
                        state_fields_set_bad(fields);
                g_array_append_val(numbers, number);
        }
        if (texts && role_spec_set_ports(spec, which, (uint64_t *) numbers->data, numbers->len, NULL) < 0)
                state_fields_set_bad(fields);
}

static void field_clear_string(RoleSpec *spec, void *member) {
        g_free(*(char **) member);
}

static void field_clear_strv(RoleSpec *spec, void *member) {
        g_strfreev(*(char ***) member);
}

static void field_clear_output(RoleSpec *spec, void *member) {
        g_clear_pointer(&spec->output_path, g_free);
}

static void field_clear_limits(RoleSpec *spec, void *member) {
        memset(spec->limits, 0, sizeof(spec->limits));
}

static void field_clear_ports(RoleSpec *spec, void *member) {
        g_clear_pointer((GArray **) member, g_array_unref);
}

/* -- the types -- */

#define FIELD(name, put, get, ...) \
        const RoleField role_field_##name = { field_put_##put, field_get_##get, __VA_ARGS__ }

FIELD(bound, bound, bound);
FIELD(command, strv, command, field_clear_strv);
FIELD(commands, strv, commands, field_clear_strv);
FIELD(exit_type, exit_type, exit_type);
FIELD(flag, flag, flag);
FIELD(int, int, int);
FIELD(limits, limits, limits, field_clear_limits);
FIELD(loss, loss, monitor_loss);
FIELD(nice, nice, nice);
FIELD(oom_score, oom_score, oom_score);
FIELD(notify_access, access, notify_access);
FIELD(output, output, output, field_clear_output);
FIELD(pairs, strv, pairs, field_clear_strv);
FIELD(ports, ports, ports, field_clear_ports);
FIELD(provider, product_provider, provider, .is_saved = products_wanted);
FIELD(restart, restart_policy, restart_policy, .is_saved = restart_is_saved);
FIELD(role_stdin, role_stdin, role_stdin);
FIELD(role_type, role_type, role_type, .is_saved = type_is_saved);
FIELD(start_timeout, start_timeout, start_timeout);
FIELD(stop_to, stop_to, stop_to);
FIELD(string, string, string, field_clear_string);
FIELD(strv, strv, strv, field_clear_strv);
FIELD(u64, u64, usec);
FIELD(usec, usec, usec);
FIELD(watchdog_signal, watchdog_signal, int);

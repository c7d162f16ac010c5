/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/unit-name.h"
#include "model/event-details.h"

static void details_put(GVariantBuilder *b, const char *key, GVariant *value) {
        g_variant_builder_add(b, "{sv}", key, value);
}

static void details_put_u64(GVariantBuilder *b, const char *key, uint64_t value) {
        details_put(b, key, g_variant_new_uint64(value));
}

static GVariant *details_pairs(char *const *pairs) {
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE("a(ss)"));
        for (char *const *p = pairs; p && *p; p += 2)
                g_variant_builder_add(&b, "(ss)", p[0], p[1]);
        return g_variant_builder_end(&b);
}

static void details_put_caller(GVariantBuilder *b, const Caller *caller) {
        if (!caller || !caller->known)
                return;
        details_put(b, "caller-uid", g_variant_new_uint32((uint32_t) caller->uid));
        if (caller->pid > 0)
                details_put(b, "caller-pid", g_variant_new_uint32((uint32_t) caller->pid));
        if (caller->unit)
                details_put(b, "caller-unit", g_variant_new_string(caller->unit));
}

/* What a manager looks for. */
static void details_put_manager(GVariantBuilder *b, const Role *role) {
        if (role->spec->lease)
                details_put(b, "lease", g_variant_new_string(role->spec->lease));
        if (role->spec->managed_by)
                details_put(b, "managed-by", g_variant_new_string(role->spec->managed_by));
}

static void details_begin(GVariantBuilder *b, const Role *role) {
        char invocation[SD_ID128_STRING_MAX];

        g_variant_builder_init(b, G_VARIANT_TYPE_VARDICT);
        if (role)
                details_put(b, "invocation-id",
                        g_variant_new_string(sd_id128_to_string(role->invocation, invocation)));
}

GVariant *event_details_started(const Role *role) {
        GVariantBuilder b;

        details_begin(&b, role);
        details_put(&b, "pid", g_variant_new_uint32((uint32_t) role->main_pid));
        details_put(&b, "scope", g_variant_new_string(role->scope));
        details_put(&b, "user", g_variant_new_string(role_user(role)));
        if (role->environment_hash) {
                details_put(&b, "resolved-products", details_pairs(role->resolved_products));
                details_put(&b, "environment-hash", g_variant_new_string(role->environment_hash));
        }
        if (role->output_lost)
                details_put(&b, "output-lost", g_variant_new_boolean(true));
        details_put_manager(&b, role);
        details_put_u64(&b, "realtime-usec", role->start_realtime_usec);
        details_put_u64(&b, "monotonic-usec", role->start_monotonic_usec);
        details_put_caller(&b, &role->owner);
        return g_variant_builder_end(&b);
}

GVariant *event_details_exited(const Role *role, const char *result, GVariant *left) {
        const RoleExit *e = &role->exit;
        GVariantBuilder b;

        details_begin(&b, role);
        if (role->main_pid > 0)
                details_put(&b, "pid", g_variant_new_uint32((uint32_t) role->main_pid));
        details_put(&b, "code", g_variant_new_string(exit_code_to_string(e->code)));
        details_put(&b, "status", g_variant_new_int32(e->status));
        details_put(&b, "cause", g_variant_new_string(role_cause_to_string(role->cause)));
        details_put(&b, "result", g_variant_new_string(result));
        details_put_caller(&b, &role->cause_caller);
        details_put_u64(&b, "start-realtime-usec", role->start_realtime_usec);
        details_put_u64(&b, "start-monotonic-usec", role->start_monotonic_usec);
        details_put_u64(&b, "exit-realtime-usec", e->realtime_usec);
        details_put_u64(&b, "exit-monotonic-usec", e->monotonic_usec);
        if (e->usage_known) {
                details_put_u64(&b, "cpu-usec", e->cpu_user_usec + e->cpu_system_usec);
                details_put_u64(&b, "cpu-user-usec", e->cpu_user_usec);
                details_put_u64(&b, "cpu-system-usec", e->cpu_system_usec);
                details_put_u64(&b, "maxrss", e->maxrss_bytes);
        }
        if (e->scope_cpu_usec > 0)
                details_put_u64(&b, "scope-cpu-usec", e->scope_cpu_usec);
        if (e->scope_memory_peak > 0)
                details_put_u64(&b, "memory-peak", e->scope_memory_peak);
        if (e->oom_known)
                details_put(&b, "oom-kill", g_variant_new_boolean(e->oom));
        details_put_manager(&b, role);
        if (left)
                details_put(&b, "left", left);
        return g_variant_builder_end(&b);
}

GVariant *event_details_restarting(const Role *role, const char *result, uint64_t delay_usec) {
        GVariantBuilder b;

        details_begin(&b, role);
        details_put(&b, "result", g_variant_new_string(result));
        details_put(&b, "attempt", g_variant_new_uint32((uint32_t) MIN(role->restarts.attempt, UINT32_MAX)));
        details_put_u64(&b, "delay-usec", delay_usec);
        details_put_u64(&b, "next-realtime-usec", role->next_realtime_usec);
        details_put_u64(&b, "next-monotonic-usec", role->next_deadline);
        return g_variant_builder_end(&b);
}

GVariant *event_details_failed(const Role *role, const char *result) {
        GVariantBuilder b;

        details_begin(&b, role);
        details_put(&b, "result", g_variant_new_string(result));
        details_put(&b, "n-restarts", g_variant_new_uint32((uint32_t) MIN(role->restarts.n, UINT32_MAX)));
        return g_variant_builder_end(&b);
}

GVariant *event_details_purged(const Role *role, const Caller *caller) {
        GVariantBuilder b;

        details_begin(&b, role);
        details_put_caller(&b, caller);
        return g_variant_builder_end(&b);
}

GVariant *event_details_monitor_timed_out(uint64_t timeout_usec) {
        GVariantBuilder b;

        details_begin(&b, NULL);
        details_put_u64(&b, "timeout-usec", timeout_usec);
        return g_variant_builder_end(&b);
}

GVariant *event_details_lease_expired(const char *lease, uint64_t timeout_usec, uid_t owner, uint64_t token) {
        GVariantBuilder b;

        details_begin(&b, NULL);
        details_put(&b, "lease", g_variant_new_string(lease));
        details_put_u64(&b, "timeout-usec", timeout_usec);
        details_put(&b, "owner-uid", g_variant_new_uint32((uint32_t) owner));
        details_put_u64(&b, "fencing-token", token);
        return g_variant_builder_end(&b);
}

GVariant *event_details_shutting_down(const char *reason, const Caller *caller) {
        GVariantBuilder b;

        details_begin(&b, NULL);
        details_put(&b, "reason", g_variant_new_string(reason));
        details_put_caller(&b, caller);
        return g_variant_builder_end(&b);
}

bool event_is_of(const Event *event, const Role *role) {
        char invocation[SD_ID128_STRING_MAX];

        return g_str_equal(
                event_get_string(event, "invocation-id"), sd_id128_to_string(role->invocation, invocation));
}

void event_restore_started(const Event *event, Role *role) {
        role->started_sequence = event->sequence;
        role->start_realtime_usec = event_get_u64(event, "realtime-usec");
        role->start_monotonic_usec = event_get_u64(event, "monotonic-usec");
        role->output_lost = role->output_lost || event_get_bool(event, "output-lost");
}

void event_restore_restarting(const Event *event, Role *role) {
        role->next_run = role->follows ? NEXT_RUN_DEPENDENCY : NEXT_RUN_WAITING;
        role->next_sequence = event->sequence;
        role->next_deadline = event_get_u64(event, "next-monotonic-usec");
        role->next_realtime_usec = event_get_u64(event, "next-realtime-usec");
        role->restarts.attempt = (uint64_t) event_get_i64(event, "attempt", 0);
}

void event_restore_failed(const Event *event, Role *role) {
        role->next_run = g_str_equal(event_get_string(event, "result"), "start-limit-hit")
                                 ? NEXT_RUN_LIMIT_HIT
                                 : NEXT_RUN_GIVEN_UP;
        role->next_sequence = event->sequence;
}

static void event_restore_caller(const Event *event, Caller *caller) {
        int64_t uid = event_get_i64(event, "caller-uid", -1);
        const char *unit = event_get_string(event, "caller-unit");

        caller_clear(caller);
        if (uid < 0)
                return;
        *caller = (Caller){
                .known = true,
                .uid = (uid_t) uid,
                .pid = (pid_t) event_get_i64(event, "caller-pid", 0),
                .unit = unit[0] ? g_strdup(unit) : NULL,
        };
}

static char **event_get_pairs(const Event *event, const char *key) {
        g_autoptr(GVariant) list = g_variant_lookup_value(event->details, key, G_VARIANT_TYPE("a(ss)"));
        g_autoptr(GPtrArray) pairs = g_ptr_array_new();
        const char *first, *second;
        GVariantIter iter;

        if (!list || g_variant_n_children(list) == 0)
                return NULL;
        g_variant_iter_init(&iter, list);
        while (g_variant_iter_next(&iter, "(&s&s)", &first, &second)) {
                g_ptr_array_add(pairs, g_strdup(first));
                g_ptr_array_add(pairs, g_strdup(second));
        }
        g_ptr_array_add(pairs, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&pairs), false);
}

bool event_restore_run(const Event *event, Role *role) {
        const char *user = event_get_string(event, "user");
        const char *hash = event_get_string(event, "environment-hash");
        const char *lease = event_get_string(event, "lease");
        const char *manager = event_get_string(event, "managed-by");

        if (sd_id128_from_string(event_get_string(event, "invocation-id"), &role->invocation) < 0)
                return false;
        if (event->type != EVENT_ROLE_STARTED)
                return true;
        event_restore_caller(event, &role->owner);
        g_free(role->spec->user);
        role->spec->user = user[0] && !g_str_equal(user, g_get_user_name()) ? g_strdup(user) : NULL;
        g_strfreev(role->resolved_products);
        role->resolved_products = event_get_pairs(event, "resolved-products");
        g_free(role->environment_hash);
        role->environment_hash = hash[0] ? g_strdup(hash) : NULL;
        /* Else somebody without the lease could act on it. */
        g_free(role->spec->lease);
        role->spec->lease = lease[0] && role_name_is_valid(lease) ? g_strdup(lease) : NULL;
        g_free(role->spec->managed_by);
        role->spec->managed_by = manager[0] ? g_strdup(manager) : NULL;
        return true;
}

void event_restore_exited(const Event *event, Role *role) {
        ExitCode code = exit_code_from_string(event_get_string(event, "code"));
        RoleCause cause = role_cause_from_string(event_get_string(event, "cause"));
        g_autoptr(GVariant) usage = g_variant_lookup_value(event->details, "cpu-usec", NULL);
        g_autoptr(GVariant) oom = g_variant_lookup_value(event->details, "oom-kill", NULL);

        role->exited_sequence = event->sequence;
        role->exit = (RoleExit){
                .code = (int) code < 0 ? EXIT_CODE_LOST : code,
                .status = (int) event_get_i64(event, "status", -1),
                .realtime_usec = event_get_u64(event, "exit-realtime-usec"),
                .monotonic_usec = event_get_u64(event, "exit-monotonic-usec"),
                .usage_known = usage != NULL,
                .cpu_user_usec = event_get_u64(event, "cpu-user-usec"),
                .cpu_system_usec = event_get_u64(event, "cpu-system-usec"),
                .maxrss_bytes = event_get_u64(event, "maxrss"),
                .oom_known = oom != NULL,
                .oom = event_get_bool(event, "oom-kill"),
                .scope_cpu_usec = event_get_u64(event, "scope-cpu-usec"),
                .scope_memory_peak = event_get_u64(event, "memory-peak"),
        };
        role->cause = (int) cause < 0 ? ROLE_CAUSE_EXTERNAL : cause;
        role->cause_known = true;
        event_restore_caller(event, &role->cause_caller);
}

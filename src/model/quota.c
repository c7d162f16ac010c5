/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/quota.h"

/* Users who have nothing are forgotten when there are so many. */
#define QUOTAS_MAX 256U

GHashTable *quotas_new(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

static gboolean quota_is_empty(void *key, void *value, void *userdata) {
        const Quota *quota = value;
        const uint64_t *now = userdata;

        return quota->n_ended == 0 && quota->n_binding == 0 && quota->queued_input == 0 &&
               (quota->starts == 0 || *now - quota->starts_usec >= QUOTA_START);
}

Quota *quota_get(GHashTable *quotas, uid_t uid) {
        Quota *quota = g_hash_table_lookup(quotas, GUINT_TO_POINTER(uid));

        if (!quota) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);

                if (g_hash_table_size(quotas) >= QUOTAS_MAX)
                        (void) g_hash_table_foreach_remove(quotas, quota_is_empty, &now);
                quota = g_new(Quota, 1);
                *quota = (Quota){ .uid = uid };
                (void) g_hash_table_insert(quotas, GUINT_TO_POINTER(uid), quota);
        }
        return quota;
}

/* Of each microsecond that passes, the maximum is given back, so after a minute all of it. A setting that a
 * reload changes takes effect at once. */
static Quota *quota_count_starts(GHashTable *quotas, uid_t uid, unsigned max) {
        Quota *quota = quota_get(quotas, uid);
        uint64_t now = now_usec(CLOCK_MONOTONIC), passed = MIN(now - quota->starts_usec, QUOTA_START);

        quota->starts -= MIN(quota->starts, passed * max);
        quota->starts_usec = now;
        return quota;
}

int quota_check_start(GHashTable *quotas, uid_t uid, const char *role, unsigned max, Fault *fault) {
        if (quota_count_starts(quotas, uid, max)->starts + QUOTA_START <= max * QUOTA_START)
                return 0;
        return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                "Role \"%s\" cannot be started: uid %u starts more than %u roles within a minute (MaxStartsPerUser=), try again later",
                role, (unsigned) uid, max);
}

void quota_take_start(GHashTable *quotas, uid_t uid, unsigned max) {
        quota_count_starts(quotas, uid, max)->starts += QUOTA_START;
}

int quota_take_input(Quota *quota, size_t size, const char *role, size_t max, Fault *fault) {
        if (quota->queued_input + size + QUOTA_CALL_SIZE > max)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot write %zu bytes to role \"%s\": %zu bytes of uid %u wait already, the limit is %zu (MaxQueuedInputPerUser=); its roles have to read first",
                        size, role, quota->queued_input, (unsigned) quota->uid, max);
        quota->queued_input += size + QUOTA_CALL_SIZE;
        return 0;
}

void quota_return_input(Quota *quota, size_t size) {
        quota->queued_input -= size + QUOTA_CALL_SIZE;
}

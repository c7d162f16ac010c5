/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names and numbers that come from systemd, the kernel or a person, each in the same text: names of roles,
 * instances and scopes, paths of cgroups, descriptors that systemd stores for the keeper, integers. What is
 * accepted is written in the same bytes. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "base/parse-util.h"
#include "base/stray-scope.h"
#include "base/unit-name.h"
#include "fuzz.h"
#include "keeper/cgroup-signal.h"
#include "keeper/keeper-store.h"

static void check_scope_name(const char *text) {
        _cleanup_free_ char *role = NULL, *again = NULL;

        if (role_scope_name_parse("main", text, &role) < 0) {
                fuzz_check(!role);
                return;
        }
        fuzz_check(role_name_is_valid(role));
        again = role_scope_name("main", role);
        fuzz_check(again && strcmp(again, text) == 0);
}

static void check_names(const char *text) {
        _cleanup_free_ char *scope = NULL, *role = NULL, *suggested = role_name_suggest(text);

        fuzz_check(!suggested || role_name_is_valid(suggested));
        if (!role_name_is_valid(text)) {
                fuzz_check(!role_scope_name("main", text));
                return;
        }
        fuzz_check(suggested && strcmp(suggested, text) == 0);
        /* It is used as the name of a file, and in that of a unit. */
        fuzz_check(strlen(text) <= ROLE_NAME_MAX && !strchr(text, '/') && text[0] != '.');
        scope = role_scope_name("main", text);
        fuzz_check(scope && role_scope_name_parse("main", scope, &role) == 0 && strcmp(role, text) == 0);
}

/* A scope that is signalled is never a role's, nor that of a systemd. */
static void check_stray(const char *text) {
        _cleanup_free_ char *scope = NULL, *again = NULL;
        const char *name;
        int r = stray_scope_of(text, &scope);

        fuzz_check(r == 0 || (r == -ENODATA && !scope));
        if (r < 0)
                return;
        fuzz_check(text[0] == '/' && strncmp(text, scope, strlen(scope)) == 0);
        name = strrchr(scope, '/') + 1;
        fuzz_check(strlen(name) > strlen(".scope") && strcmp(name, "init.scope") != 0);
        fuzz_check(strcmp(name + strlen(name) - strlen(".scope"), ".scope") == 0);
        fuzz_check(strncmp(name, "architect-", strlen("architect-")) != 0);
        fuzz_check(stray_scope_of(scope, &again) == 0 && strcmp(again, scope) == 0);
}

static void check_cgroups(const char *text) {
        if (cgroup_is_of_role(text, "main")) {
                const char *name = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;

                fuzz_check(strncmp(name, "architect-main-", strlen("architect-main-")) == 0);
        }
        (void) cgroup_may_be_stray(text);
}

static void check_stored(const char *text, size_t size) {
        struct keeper_state_stored stored;

        if (!store_item_parse(text, size, &stored))
                return;
        fuzz_check(stored.kind == (uint32_t) text[0] && stored.kind != 0);
        fuzz_check(!memchr(text, '\0', size));
}

static void check_numbers(const char *text) {
        char again[32];
        uint64_t u64;
        uint32_t u32;
        int32_t i32;

        /* Leading zeroes are not written again. */
        if (parse_u64(text, &u64) >= 0) {
                (void) snprintf(again, sizeof(again), "%" PRIu64, u64);
                text += strspn(text, "0");
                fuzz_check(strcmp(u64 == 0 ? "" : again, text) == 0);
                fuzz_check(u64 == 0 || (parse_u32(text, &u32) >= 0) == (u64 <= UINT32_MAX));
        } else
                fuzz_check(parse_u32(text, &u32) < 0 && (text[0] == '-' || parse_i32(text, &i32) < 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = malloc(size + 1);

        fuzz_check(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        check_names(text);
        check_scope_name(text);
        (void) instance_name_is_valid(text);
        check_stray(text);
        check_cgroups(text);
        check_numbers(text);
        check_stored((const char *) data, size);
        return 0;
}

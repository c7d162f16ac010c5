/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Compares two RoleSpecs, member by member. */

#include "spec-members.h"

static bool same_ports(const void *a, const void *b, size_t size) {
        GArray *const *x = a, *const *y = b;

        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                if (!x[i] || !y[i] ? x[i] != y[i]
                                   : x[i]->len != y[i]->len || memcmp(x[i]->data, y[i]->data,
                                                                       x[i]->len * sizeof(uint16_t)) != 0)
                        return false;
        return true;
}

static bool same_dependencies(const void *a, const void *b, size_t size) {
        char **const *x = a, **const *y = b;

        for (int i = 0; i < _DEPENDENCY_MAX; i++)
                if (!same_strv(&x[i], &y[i], sizeof(x[i])))
                        return false;
        return true;
}

static bool same_account(const void *a, const void *b, size_t size) {
        const Account *x = *(Account *const *) a, *y = *(Account *const *) b;

        if (!x || !y)
                return x == y;
        return x->uid == y->uid && x->gid == y->gid && x->groups->len == y->groups->len &&
               memcmp(x->groups->data, y->groups->data, x->groups->len * sizeof(gid_t)) == 0 &&
               g_str_equal(x->name, y->name) && g_str_equal(x->group, y->group) &&
               g_str_equal(x->home, y->home) && g_str_equal(x->shell, y->shell);
}

typedef struct SpecMember {
        const char *name;
        size_t offset, size;
        bool (*same)(const void *a, const void *b, size_t size);
        bool saved;
} SpecMember;

static const SpecMember spec_members[] = {
#define MEMBER(member, kind, saved, to, ...) \
        { #member, offsetof(RoleSpec, member), sizeof(((RoleSpec *) NULL)->member), same_##kind, saved },
        SPEC_MEMBERS(MEMBER)
};

static bool same_member(const SpecMember *m, const RoleSpec *a, const RoleSpec *b) {
        return m->same((const char *) a + m->offset, (const char *) b + m->offset, m->size);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fd-util.h"
#include "base/id-map.h"
#include "base/unit-name.h"
#include "keeper/keeper-state.h"

static const char state_magic[8] = { 'a', 'r', 'c', 'h', 'k', 'e', 'e', 'p' };

struct state_header {
        char magic[8];
        uint32_t version;
        uint32_t n_sections;
};

typedef enum SectionTag {
        SECTION_SELF = 1,
        SECTION_CHILDREN = 2,
        SECTION_PORTS = 3,
        SECTION_STORED = 4,
        SECTION_TERMINALS = 5,
        SECTION_TERMINAL_SOCKETS = 6,
        SECTION_NOTIFY = 7,
        _SECTION_MAX,
} SectionTag;

struct state_section {
        uint32_t tag;
        uint32_t item_size;
        uint64_t n;
};

ASSERT_FIXED_SIZE(struct state_header, 16);
ASSERT_FIXED_SIZE(struct state_section, 16);
ASSERT_FIXED_SIZE(struct keeper_state_self, 48);
ASSERT_FIXED_SIZE(struct keeper_state_child, 160);
ASSERT_FIXED_SIZE(struct keeper_state_port, 48);
ASSERT_FIXED_SIZE(struct keeper_state_terminal, 120);
ASSERT_FIXED_SIZE(struct keeper_state_terminal_socket, 24);
ASSERT_FIXED_SIZE(struct keeper_state_notify, 24);
ASSERT_FIXED_SIZE(struct keeper_state_stored, 24);

/* The analyzer of gcc 12 does not follow what is reached through the table of sections and reports a leak;
 * LeakSanitizer does not. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void keeper_state_clear(KeeperState *state) {
        free(state->children);
        free(state->ports);
        free(state->terminals);
        free(state->terminal_sockets);
        free(state->notify);
        free(state->stored);
        *state = (KeeperState){ 0 };
}

static bool state_has_timestamps(const KeeperState *state) {
        for (size_t i = 0; i < state->n_terminals; i++)
                if (state->terminals[i].flags & KEEPER_STATE_TERMINAL_TIMESTAMPS)
                        return true;
        return false;
}

int keeper_state_write(const KeeperState *state) {
        const struct {
                struct state_section section;
                const void *items;
        } all[] = {
                { { SECTION_SELF, sizeof(state->self), 1 }, &state->self },
                { { SECTION_CHILDREN, sizeof(state->children[0]), state->n_children }, state->children },
                { { SECTION_PORTS, sizeof(state->ports[0]), state->n_ports }, state->ports },
                { { SECTION_STORED, sizeof(state->stored[0]), state->n_stored }, state->stored },
                { { SECTION_TERMINALS, sizeof(state->terminals[0]), state->n_terminals }, state->terminals },
                /* The last ones, which version 1 does not have, and version 2 has the first one of; they may
                 * be empty. */
                { { SECTION_TERMINAL_SOCKETS, sizeof(state->terminal_sockets[0]), state->n_terminal_sockets },
                        state->terminal_sockets },
                { { SECTION_NOTIFY, sizeof(state->notify[0]), state->n_notify }, state->notify },
        };
        const uint32_t version = state_has_timestamps(state) || state->self.node_version > 5     ? 4
                                 : state->n_notify > 0 || state->self.node_version > 4           ? 3
                                 : state->n_terminal_sockets > 0 || state->self.node_version > 2 ? 2
                                                                                                 : 1;
        const uint32_t n_sections = ELEMENTSOF(all) - (version < 3 ? 3 - version : 0);
        struct state_header header = { .version = version, .n_sections = n_sections };
        struct iovec pieces[1 + 2 * ELEMENTSOF(all)];
        size_t n = 0;

        memcpy(header.magic, state_magic, sizeof(state_magic));
        pieces[n++] = (struct iovec){ .iov_base = &header, .iov_len = sizeof(header) };
        /* Writes from the original memory, because with thousands of children copies are slow. */
        for (size_t i = 0; i < n_sections; i++) {
                pieces[n++] = (struct iovec){ .iov_base = (void *) &all[i].section,
                        .iov_len = sizeof(all[i].section) };
                pieces[n++] = (struct iovec){ .iov_base = (void *) all[i].items,
                        .iov_len = all[i].section.item_size * all[i].section.n };
        }
        return memfd_new_sealed_pieces("keeper-state", pieces, n);
}

static int state_refuse(int error, const char *why, const char **ret_why) {
        *ret_why = why;
        return error;
}

/* This is checked here, because a keeper that has already replaced the other one could not handle it. */
static int state_check_twins(const KeeperState *state, const char **ret_why) {
        _cleanup_(id_map_clear) IdMap seen = { 0 };

        for (size_t i = 0; i < state->n_children; i++) {
                int r = id_map_put(&seen, state->children[i].id, &state->children[i]);

                if (r == -EEXIST)
                        return state_refuse(-EBADMSG, "it has a child twice", ret_why);
                if (r < 0)
                        return state_refuse(r, "there is not enough memory for it", ret_why);
        }
        return 0;
}

static int state_check(const KeeperState *state, const char **ret_why) {
        if (state->self.pid <= 0)
                return state_refuse(-EBADMSG, "it does not have the identity of its keeper", ret_why);
        for (size_t i = 0; i < state->n_children; i++) {
                const struct keeper_state_child *c = &state->children[i];

                if (c->id == 0 || c->pid <= 0 || !memchr(c->role, '\0', sizeof(c->role)) ||
                        !role_name_is_valid(c->role))
                        return state_refuse(-EBADMSG, "it has an invalid child", ret_why);
        }
        for (size_t i = 0; i < state->n_ports; i++) {
                const struct keeper_state_port *p = &state->ports[i];

                if (p->port.number == 0 || p->port.protocol > KEEPER_UDP ||
                        (p->address.in.sin_family != AF_INET && p->address.in.sin_family != AF_INET6))
                        return state_refuse(-EBADMSG, "it has an invalid port", ret_why);
        }
        for (size_t i = 0; i < state->n_terminals; i++) {
                const struct keeper_state_terminal *t = &state->terminals[i];

                if (t->pid < 0 || (t->child == 0 && t->pid == 0) || !memchr(t->role, '\0', sizeof(t->role)))
                        return state_refuse(-EBADMSG, "it has an invalid terminal", ret_why);
        }
        for (size_t i = 0; i < state->n_terminal_sockets; i++)
                if (state->terminal_sockets[i].child == 0)
                        return state_refuse(-EBADMSG, "it has an invalid terminal socket", ret_why);
        for (size_t i = 0; i < state->n_notify; i++)
                if (state->notify[i].child == 0)
                        return state_refuse(-EBADMSG, "it has an invalid socket of notifications", ret_why);
        return state_check_twins(state, ret_why);
}

int keeper_state_parse(const void *data, size_t size, KeeperState *ret, const char **ret_why) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        struct keeper_state_self *self = NULL;
        size_t n_self = 0;
        const struct {
                size_t item_size;
                void **items;
                size_t *n;
        } known[_SECTION_MAX] = {
                [SECTION_SELF] = { sizeof(*self), (void **) &self, &n_self },
                [SECTION_CHILDREN] = { sizeof(state.children[0]), (void **) &state.children,
                        &state.n_children },
                [SECTION_PORTS] = { sizeof(state.ports[0]), (void **) &state.ports, &state.n_ports },
                [SECTION_STORED] = { sizeof(state.stored[0]), (void **) &state.stored, &state.n_stored },
                [SECTION_TERMINALS] = { sizeof(state.terminals[0]), (void **) &state.terminals,
                        &state.n_terminals },
                [SECTION_TERMINAL_SOCKETS] = { sizeof(state.terminal_sockets[0]),
                        (void **) &state.terminal_sockets, &state.n_terminal_sockets },
                [SECTION_NOTIFY] = { sizeof(state.notify[0]), (void **) &state.notify, &state.n_notify },
        };
        const char *p = data, *const end = p + size;
        struct state_header header;
        bool seen[_SECTION_MAX] = { 0 };
        int r = 0;

        if (size < sizeof(header) || memcmp(p, state_magic, sizeof(state_magic)) != 0)
                return state_refuse(-EBADMSG, "it is not the state of a keeper", ret_why);
        memcpy(&header, p, sizeof(header));
        p += sizeof(header);
        if (header.version == 0 || header.version > KEEPER_STATE_VERSION)
                return state_refuse(-EPROTONOSUPPORT, "its version is not supported", ret_why);

        for (uint32_t i = 0; r >= 0 && i < header.n_sections; i++) {
                struct state_section s;

                if ((size_t) (end - p) < sizeof(s)) {
                        r = state_refuse(-EBADMSG, "it is truncated", ret_why);
                        break;
                }
                memcpy(&s, p, sizeof(s));
                p += sizeof(s);
                if (s.tag >= _SECTION_MAX || !known[s.tag].items || s.item_size != known[s.tag].item_size)
                        r = state_refuse(-EPROTONOSUPPORT, "it has an unknown section", ret_why);
                else if (seen[s.tag])
                        r = state_refuse(-EBADMSG, "it has a section twice", ret_why);
                else if (s.n > (size_t) (end - p) / s.item_size)
                        r = state_refuse(-EBADMSG, "it is truncated", ret_why);
                else if (s.n > 0) {
                        void *items = malloc(s.item_size * s.n);

                        if (!items) {
                                r = state_refuse(-ENOMEM, "there is not enough memory for it", ret_why);
                                break;
                        }
                        memcpy(items, p, s.item_size * s.n);
                        p += s.item_size * s.n;
                        *known[s.tag].items = items;
                        *known[s.tag].n = s.n;
                        seen[s.tag] = true;
                }
        }
        if (r >= 0 && p != end)
                r = state_refuse(-EBADMSG, "it has data after its end", ret_why);
        if (r >= 0 && n_self != 1)
                r = state_refuse(-EBADMSG, "it does not have the identity of its keeper", ret_why);
        if (r >= 0) {
                state.self = *self;
                r = state_check(&state, ret_why);
        }
        free(self);
        if (r < 0)
                return r;

        *ret = state;
        state = (KeeperState){ 0 };
        return 0;
}

int keeper_state_read(int fd, KeeperState *ret, const char **ret_why) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        *ret_why = "it cannot be read";
        r = memfd_read(fd, KEEPER_STATE_SIZE_MAX, &data, &size);
        if (r == -E2BIG)
                return state_refuse(-EBADMSG, "it is not the state of a keeper", ret_why);
        return r < 0 ? r : keeper_state_parse(data, size, ret, ret_why);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The state that a keeper passes to the next one: what is read can be written, and what is written is read
 * back unchanged. */

#include <string.h>

#include "base/fd-util.h"
#include "fuzz.h"
#include "keeper/keeper-state.h"

static int same(const void *a, const void *b, size_t item_size, size_t n) {
        return n == 0 || memcmp(a, b, n * item_size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 }, again = { 0 };
        const char *why = NULL;
        autofd fd = -EBADF;

        if (keeper_state_parse(data, size, &state, &why) < 0) {
                fuzz_check(why && !state.children && !state.ports && !state.terminals && !state.stored);
                return 0;
        }

        fuzz_check(state.self.pid > 0);
        for (size_t i = 0; i < state.n_children; i++) {
                const struct keeper_state_child *c = &state.children[i];

                fuzz_check(c->id != 0 && c->pid > 0 && memchr(c->role, '\0', sizeof(c->role)));
                fuzz_check(role_name_is_valid(c->role));
        }
        for (size_t i = 0; i < state.n_ports; i++)
                fuzz_check(state.ports[i].port.number != 0 && state.ports[i].port.protocol <= KEEPER_UDP);
        for (size_t i = 0; i < state.n_terminals; i++)
                fuzz_check(memchr(state.terminals[i].role, '\0', sizeof(state.terminals[i].role)));

        fd = keeper_state_write(&state);
        fuzz_check(fd >= 0);
        fuzz_check(keeper_state_read(fd, &again, &why) == 0);
        fuzz_check(memcmp(&state.self, &again.self, sizeof(state.self)) == 0);
        fuzz_check(state.n_children == again.n_children && state.n_ports == again.n_ports);
        fuzz_check(state.n_terminals == again.n_terminals && state.n_stored == again.n_stored);
        fuzz_check(same(state.children, again.children, sizeof(state.children[0]), state.n_children));
        fuzz_check(same(state.ports, again.ports, sizeof(state.ports[0]), state.n_ports));
        fuzz_check(same(state.terminals, again.terminals, sizeof(state.terminals[0]), state.n_terminals));
        fuzz_check(same(state.stored, again.stored, sizeof(state.stored[0]), state.n_stored));
        return 0;
}

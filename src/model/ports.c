/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "model/node.h"
#include "model/ports-private.h"
#include "model/quota.h"
#include "model/role.h"
#include "model/settings.h"
#include "model/state-fields.h"
#include "util/log.h"

#define PORTS_VERSION 1U

static const StateFile ports_file = {
        .name = "ports",
        .max = 1024U * 1024U,
        .what = "the saved list of reserved ports",
        .consequence = "; they are released",
};

struct PortsRequest {
        Ports *ports;
        PortProtocol protocol;
        unsigned n;
        uid_t uid;
        char *address; /* for messages */
        bool range;
        Waiter waiter;
        uint16_t *ret_numbers; /* of the caller, until the waiter is called */
};

static void ports_add(Ports *ports, PortProtocol protocol, uint16_t number, uid_t uid) {
        Port *port = g_new(Port, 1);

        *port = (Port){ protocol, number, uid };
        (void) g_hash_table_replace(ports->table, ports_key(protocol, number), port);
        (void) g_hash_table_remove(ports->kept, ports_key(protocol, number));
}

bool ports_is_kept(Ports *ports, PortProtocol protocol, uint16_t number) {
        return g_hash_table_contains(ports->kept, ports_key(protocol, number));
}

/* -- the disk ---------------------------------------------------------------------------------- */

/* The format is PROTOCOL NUMBER UID for a port that is reserved, and PROTOCOL NUMBER for one that was
 * kept. */
static int port_parse(Ports *ports, const char *text, unsigned n_words) {
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        uint32_t number, uid = 0;

        if (g_strv_length(words) != n_words || (int) port_protocol_from_string(words[0]) < 0 ||
                parse_u32(words[1], &number) < 0 || number == 0 || number > UINT16_MAX ||
                (n_words > 2 && parse_u32(words[2], &uid) < 0))
                return -EBADMSG;
        PortProtocol protocol = port_protocol_from_string(words[0]);
        if (n_words > 2)
                ports_add(ports, protocol, (uint16_t) number, uid);
        else
                (void) g_hash_table_add(ports->kept, ports_key(protocol, (uint16_t) number));
        return 0;
}

static int ports_parse(void *userdata, StateFields *fields) {
        Ports *ports = userdata;
        g_auto(GStrv) saved = state_take_strv(fields, "PORT"), kept = state_take_strv(fields, "KEPT");

        if (state_fields_version(fields) == 0)
                return -EBADMSG;
        for (char **p = saved; p && *p; p++)
                if (port_parse(ports, *p, 3) < 0)
                        return -EBADMSG;
        for (char **p = kept; p && *p; p++)
                if (port_parse(ports, *p, 2) < 0)
                        return -EBADMSG;
        return state_fields_end(fields, &ports->unknown);
}

static void ports_load(Ports *ports) {
        if (state_file_load(&ports_file, ports->dir_fd, ports_parse, ports) == STATE_FILE_DAMAGED) {
                g_hash_table_remove_all(ports->table);
                g_hash_table_remove_all(ports->kept);
        }
}

static int ports_save(Ports *ports) {
        GHashTableIter iter;
        gpointer key;
        Port *port;

        GString *s = state_fields_new("", PORTS_VERSION, ports->unknown);
        g_hash_table_iter_init(&iter, ports->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &port)) {
                g_autofree char *text = g_strdup_printf("%s %u %u", port_protocol_to_string(port->protocol),
                        port->number, (unsigned) port->uid);
                state_put_string(s, "PORT", text);
        }
        g_hash_table_iter_init(&iter, ports->kept);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
                g_autofree char *text = g_strdup_printf(
                        "%s %u", port_protocol_to_string(ports_key_protocol(key)), ports_key_number(key));
                state_put_string(s, "KEPT", text);
        }
        return state_file_save(&ports_file, ports->dir_fd, s);
}

void ports_save_or_log(Ports *ports) {
        int r = ports_save(ports);
        if (r < 0)
                log_error_errno(r, "Cannot save the list of reserved ports: %m");
}

int ports_open(Node *node, int dir_fd, Ports **ret) {
        g_autoptr(Ports) ports = g_new0(Ports, 1);

        ports->node = node;
        ports->dir_fd = dir_fd;
        ports->table = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        ports->users = g_hash_table_new(NULL, NULL);
        ports->kept = g_hash_table_new(NULL, NULL);
        ports_load(ports);
        *ret = g_steal_pointer(&ports);
        return 0;
}

Ports *ports_close(Ports *ports) {
        if (!ports)
                return NULL;
        g_hash_table_unref(ports->table);
        g_hash_table_unref(ports->users);
        g_hash_table_unref(ports->kept);
        g_free(ports->unknown);
        g_free(ports);
        return NULL;
}

/* -- reserving --------------------------------------------------------------------------------- */

static char *bind_address_describe(const BindAddress *address) {
        char text[INET6_ADDRSTRLEN];

        if (address->ip_version == 0 || !inet_ntop(address->ip_version == 4 ? AF_INET : AF_INET6,
                                                address->address, text, sizeof(text)))
                return g_strdup("any address");
        return g_strdup(text);
}

static int ports_keeper_fault(const char *what, Fault *fault) {
        return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE, "Cannot %s: there is no keeper", what);
}

static PortsRequest *ports_request_free(PortsRequest *request) {
        g_free(request->address);
        g_free(request);
        return NULL;
}

int ports_check_count(PortProtocol protocol, uint32_t n, Fault *fault) {
        if (n >= 1 && n <= PORTS_PER_CALL_MAX)
                return 0;
        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                "Cannot reserve %u %s ports: one call reserves from 1 to %u", n,
                ports_protocol_name(protocol), PORTS_PER_CALL_MAX);
}

static int ports_check_quota(
        Ports *ports, PortProtocol protocol, uint32_t n, const Caller *caller, Fault *fault) {
        const unsigned max = ports->node->settings->max_ports_per_user;
        GHashTableIter iter;
        Port *port;

        if (!node_limits(ports->node, caller))
                return 0;
        unsigned n_own = quota_get(ports->node->quotas, caller->uid)->n_binding;
        g_hash_table_iter_init(&iter, ports->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &port))
                n_own += port->uid == caller->uid;
        if (n_own + n <= max)
                return 0;
        return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                "Cannot reserve %u %s ports: uid %u has reserved %u ports already, and may have %u (MaxPortsPerUser=); release some",
                n, ports_protocol_name(protocol), (unsigned) caller->uid, n_own, max);
}

/* A port is not 0, and in the list once. */
static int ports_check_numbers(PortProtocol protocol, const uint16_t *numbers, size_t n, Fault *fault) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        for (size_t i = 0; i < n; i++) {
                if (numbers[i] == 0)
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "0 is not a %s port",
                                ports_protocol_name(protocol));
                if (!g_hash_table_add(seen, GUINT_TO_POINTER(numbers[i])))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s port %u is given twice",
                                ports_protocol_name(protocol), numbers[i]);
        }
        return 0;
}

static int ports_check_range(const PortsWanted *wanted, Fault *fault) {
        const unsigned first = wanted->first, last = wanted->last;

        if (first == 0 || last < first)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The range of ports is %u to %u, but must go from a port to the same or a greater one",
                        first, last);
        if (last - first >= PORTS_RANGE_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The range of ports has %u ports, more than %u", last - first + 1, PORTS_RANGE_MAX);
        if (wanted->n > last - first + 1)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Cannot reserve %u ports of the range %u to %u, which has %u", wanted->n, first, last,
                        last - first + 1);
        return 0;
}

int ports_check_wanted(const PortsWanted *wanted, Fault *fault) {
        int r = ports_check_count(wanted->protocol, wanted->n, fault);
        if (r >= 0 && wanted->numbers)
                r = ports_check_numbers(wanted->protocol, wanted->numbers, wanted->n, fault);
        else if (r >= 0 && (wanted->first > 0 || wanted->last > 0))
                r = ports_check_range(wanted, fault);
        return r;
}

/* Programs of users trust that what listens on a low port was started by root. */
static int ports_check_low(
        const Ports *ports, const PortsWanted *wanted, const Caller *caller, Fault *fault) {
        unsigned lowest = wanted->first > 0 ? wanted->first : PORTS_OF_ROOT;

        for (unsigned i = 0; wanted->numbers && i < wanted->n; i++)
                lowest = MIN(lowest, wanted->numbers[i]);
        if (lowest >= PORTS_OF_ROOT || !node_limits(ports->node, caller))
                return 0;
        return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                "Cannot reserve %s port %u: only root may reserve ports below %u",
                ports_protocol_name(wanted->protocol), lowest, PORTS_OF_ROOT);
}

int ports_bind(Ports *ports, const PortsWanted *wanted, const Caller *caller, Waiter waiter,
        uint16_t *ret_numbers, Fault *fault) {
        const PortProtocol protocol = wanted->protocol;
        const char *name = ports_protocol_name(protocol);
        const unsigned n = wanted->n;

        int r = ports_check_wanted(wanted, fault);
        if (r < 0)
                return r;
        if (!caller || !caller->known)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Cannot reserve %s ports: the credentials of the caller are not known", name);
        r = ports_check_low(ports, wanted, caller, fault);
        if (r >= 0)
                r = ports_check_quota(ports, protocol, n, caller, fault);
        if (r < 0)
                return r;
        unsigned n_all = g_hash_table_size(ports->table) + ports->n_binding;
        if (n_all + n > PORTS_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Cannot reserve %u %s ports: %u are reserved already, the limit is %u", n, name,
                        n_all, PORTS_MAX);

        PortsRequest *request = g_new(PortsRequest, 1);
        *request = (PortsRequest){
                .ports = ports,
                .protocol = protocol,
                .n = n,
                .uid = caller->uid,
                .address = bind_address_describe(&wanted->address),
                .range = wanted->first > 0,
                .waiter = waiter,
                .ret_numbers = ret_numbers,
        };
        r = ASK(ports->node, link, ports_bind, wanted, request);
        if (r < 0) {
                ports_request_free(request);
                return ports_keeper_fault("reserve ports", fault);
        }
        ports->n_binding += n;
        quota_get(ports->node->quotas, caller->uid)->n_binding += n;
        return 0;
}

static int ports_request_take(
        PortsRequest *request, int error, const uint16_t *numbers, size_t n, Fault *fault) {
        Ports *ports = request->ports;

        if (error == -ENOTCONN)
                return ports_keeper_fault("reserve ports", fault);
        if (error == -EOPNOTSUPP)
                return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot reserve ports by their numbers: the running keeper is too old; reload architect-keeper.service");
        if (error < 0 && n == 1)
                return fault_set(fault, NODE_ERROR_PORTS_UNAVAILABLE, "Cannot reserve %s port %u on %s: %s",
                        ports_protocol_name(request->protocol), numbers[0], request->address,
                        error == -EEXIST ? "it is reserved already" : g_strerror(-error));
        if (error < 0 || n != request->n)
                return fault_set(fault, NODE_ERROR_PORTS_UNAVAILABLE, "Cannot reserve %u %s port%s on %s: %s",
                        request->n, ports_protocol_name(request->protocol), request->n == 1 ? "" : "s",
                        request->address,
                        error == -EADDRINUSE && request->range ? "not enough of the range are free"
                        : error == -EADDRINUSE                 ? "not enough are free"
                                                               : g_strerror(error < 0 ? -error : EBADMSG));

        for (size_t i = 0; i < n; i++)
                ports_add(ports, request->protocol, numbers[i], request->uid);
        int r = ports_save(ports);
        if (r >= 0) {
                memcpy(request->ret_numbers, numbers, n * sizeof(numbers[0]));
                return 0;
        }

        /* A reservation that is not saved would be lost with this process, so it is not confirmed. */
        g_autofree PortLoan *bound = g_new0(PortLoan, n);
        for (size_t i = 0; i < n; i++) {
                bound[i] = (PortLoan){ .number = numbers[i], .protocol = request->protocol };
                (void) g_hash_table_remove(ports->table, ports_key(request->protocol, numbers[i]));
        }
        (void) ASK(ports->node, link, ports_release, bound, n, (Waiter){});
        return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save reserved ports: %s", g_strerror(-r));
}

void ports_on_bound(PortsRequest *request, int error, const uint16_t *numbers, size_t n) {
        g_auto(Fault) fault = {};

        request->ports->n_binding -= request->n;
        quota_get(request->ports->node->quotas, request->uid)->n_binding -= request->n;
        (void) ports_request_take(request, error, numbers, n, &fault);
        waiter_wake(request->waiter, &fault);
        ports_request_free(request);
}

/* -- releasing --------------------------------------------------------------------------------- */

int ports_check_list(PortProtocol protocol, const uint16_t *numbers, size_t n, Fault *fault) {
        if (n == 0 || n > PORTS_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Cannot release %zu %s ports: one call releases from 1 to %u", n,
                        ports_protocol_name(protocol), PORTS_MAX);
        return ports_check_numbers(protocol, numbers, n, fault);
}

int ports_release(Ports *ports, PortProtocol protocol, const uint16_t *numbers, size_t n,
        const Caller *caller, Waiter waiter, Fault *fault) {
        g_autofree PortLoan *released = g_new0(PortLoan, n);
        g_autofree uid_t *uids = g_new(uid_t, n);
        g_autofree char *name = g_strdup_printf("%s port", ports_protocol_name(protocol));

        int r = ports_check_list(protocol, numbers, n, fault);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                Port *port = ports_find(ports, protocol, numbers[i]);

                if (!port)
                        return ports_no_such(name, numbers[i], fault);
                r = ports_check_owner(port, caller, fault);
                if (r >= 0)
                        r = ports_check_unused(ports, port, NULL, fault);
                if (r < 0)
                        return r;
                released[i] = (PortLoan){ .number = numbers[i], .protocol = protocol };
                uids[i] = port->uid;
        }
        /* They are removed from the list first, because the keeper releases each port that is not in it. */
        for (size_t i = 0; i < n; i++)
                (void) g_hash_table_remove(ports->table, ports_key(protocol, numbers[i]));
        r = ports_save(ports);
        if (r < 0) {
                r = fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot save that ports are released: %s",
                        g_strerror(-r));
        } else {
                r = ASK(ports->node, link, ports_release, released, n, waiter);
                if (r >= 0)
                        return 0;
                r = ports_keeper_fault("release ports", fault);
        }
        for (size_t i = 0; i < n; i++)
                ports_add(ports, protocol, numbers[i], uids[i]);
        ports_save_or_log(ports);
        return r;
}

/* -- the keeper -------------------------------------------------------------------------------- */

/* What it has reserved is not known, so a port without a role may be its. The keeper knows, and takes it back
 * at its end. */
static bool node_has_damaged(const Node *node) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->damaged && !role_is_over(role))
                        return true;
        return false;
}

void ports_on_keeper(Ports *ports, const PortLoan *held, size_t n) {
        g_autoptr(GHashTable) kept = g_hash_table_new(NULL, NULL);
        g_autoptr(GArray) unknown = g_array_new(false, false, sizeof(PortLoan)),
                          idle = g_array_new(false, false, sizeof(PortLoan));
        GHashTableIter iter;
        bool changed = false;
        gpointer key;
        Port *port;

        for (size_t i = 0; i < n; i++) {
                PortLoan p = { .number = held[i].number, .protocol = held[i].protocol };

                key = ports_key(p.protocol, p.number);
                if (p.number == 0)
                        continue;
                (void) g_hash_table_add(kept, key);
                if (!g_hash_table_contains(ports->table, key))
                        g_array_append_val(unknown, p); /* not reserved for any caller, or released */
                else if (!g_hash_table_contains(ports->users, key))
                        g_array_append_val(idle, p);
        }

        g_hash_table_iter_init(&iter, ports->table);
        while (g_hash_table_iter_next(&iter, &key, (void **) &port)) {
                if (g_hash_table_contains(kept, key))
                        continue;
                Role *role = g_hash_table_lookup(ports->users, key);
                log_warning("%s port %u is no longer reserved: the keeper that held it is gone%s%s%s",
                        ports_protocol_name(port->protocol), port->number, role ? "; role \"" : "",
                        role ? role->name : "", role ? "\" has it as long as it runs" : "");
                g_hash_table_iter_remove(&iter);
                changed = true;
        }
        if (changed)
                ports_save_or_log(ports);
        if (unknown->len > 0)
                (void) ASK(ports->node, link, ports_release, (PortLoan *) unknown->data, unknown->len,
                        (Waiter){});
        if (idle->len > 0 && !node_has_damaged(ports->node))
                ASK(ports->node, link, ports_rest, (PortLoan *) idle->data, idle->len);
}

void ports_on_kept(Ports *ports, const PortLoan *kept, size_t n) {
        bool changed = false;

        for (size_t i = 0; i < n; i++) {
                gpointer key = ports_key(kept[i].protocol, kept[i].number);

                if (!g_hash_table_remove(ports->table, key))
                        continue;
                changed = true;
                /* It only makes the error of a Start more precise, so it need not be complete. */
                if (g_hash_table_size(ports->kept) < PORTS_MAX)
                        (void) g_hash_table_add(ports->kept, key);
                log_warning("%s port %u is no longer reserved: a process has kept the socket that a role had",
                        ports_protocol_name(kept[i].protocol), kept[i].number);
        }
        if (changed)
                ports_save_or_log(ports);
}

static int ports_compare_listed(const void *a, const void *b) {
        const PortListed *x = a, *y = b;

        return x->port.protocol != y->port.protocol ? (int) x->port.protocol - (int) y->port.protocol
                                                    : x->port.number - y->port.number;
}

GArray *ports_list(Ports *ports) {
        GArray *list = g_array_new(false, false, sizeof(PortListed));
        GHashTableIter iter;
        gpointer key;
        Port *port;

        g_hash_table_iter_init(&iter, ports->table);
        while (g_hash_table_iter_next(&iter, &key, (void **) &port)) {
                Role *role = g_hash_table_lookup(ports->users, key);
                PortListed listed = { *port, role ? role->name : "" };

                g_array_append_val(list, listed);
        }
        g_array_sort(list, ports_compare_listed);
        return list;
}

void ports_forget(Ports *ports) {
        g_autoptr(GArray) all = g_array_new(false, false, sizeof(PortLoan));
        GHashTableIter iter;
        Port *port;

        g_hash_table_iter_init(&iter, ports->table);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &port)) {
                PortLoan p = { .number = port->number, .protocol = port->protocol };
                g_array_append_val(all, p);
        }
        /* A reservation that the keeper has not answered yet is among all of them, because it handles
         * requests in order. */
        if (ASK(ports->node, link, ports_release_all) == -EPROTONOSUPPORT && all->len > 0)
                (void) ASK(ports->node, link, ports_release, (PortLoan *) all->data, all->len, (Waiter){});
        g_hash_table_remove_all(ports->table);
        g_hash_table_remove_all(ports->kept);
        state_file_forget(&ports_file, ports->dir_fd);
}

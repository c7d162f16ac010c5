/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "client/node-client.h"
#include "cluster/node-calls.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_UNIT_PREFIX "/org/freedesktop/systemd1/unit"

/* The kernel announces the end of the last process in cgroup.events, unless systemd removes the cgroup first.
 */
#define SCOPE_LOOK_MSEC 500

void node_calls_init(NodeCalls *calls, const char *instance) {
        *calls = (NodeCalls){ .instance = instance, .deadline_usec = USEC_INFINITY };
}

void node_calls_clear(NodeCalls *calls) {
        /* What was not sent is for nobody any more, and flushing would wait. */
        calls->bus = sd_bus_close_unref(calls->bus);
}

/* -- calls -- */

/* The library would wait for 90 s until a node that is frozen lets it in. */
static int calls_wait_ready(const NodeCalls *calls, sd_bus *bus) {
        for (;;) {
                int r = sd_bus_is_ready(bus);
                if (r != 0)
                        return r;
                r = sd_bus_process(bus, NULL);
                if (r == 0) {
                        const uint64_t left = usec_until(calls->deadline_usec);

                        r = left == 0 ? -ETIMEDOUT : sd_bus_wait(bus, left);
                }
                if (r < 0)
                        return r;
        }
}

/* The private socket is faster, and works without a bus. When it is not there, only the bus knows whether a
 * node is about to come. */
static int calls_open_private(NodeCalls *calls) {
        g_autofree char *path =
                g_strdup_printf(NODE_RUNTIME_DIRECTORY "/%s/" NODE_PRIVATE_SOCKET, calls->instance);
        g_autofree char *address = g_strconcat("unix:path=", path, NULL);
        g_autoptr(sd_bus) bus = NULL;

        if (access(path, W_OK) < 0)
                return -errno;
        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = calls_wait_ready(calls, bus);
        if (r >= 0)
                calls->bus = g_steal_pointer(&bus);
        calls->is_private = r >= 0;
        return r;
}

static int calls_open_bus(NodeCalls *calls) {
        calls->is_private = false;
        return sd_bus_open_system(&calls->bus);
}

static int calls_new_call(NodeCalls *calls, bool start, const char *path, const char *interface,
        const char *member, NodeCallFill fill, const void *arguments, sd_bus_message **ret) {
        g_autofree char *name = node_bus_name(calls->instance);
        g_autoptr(sd_bus_message) call = NULL;

        int r = sd_bus_message_new_method_call(
                calls->bus, &call, calls->is_private ? NULL : name, path, interface, member);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, start);
        if (r >= 0 && fill)
                r = fill(call, arguments);
        if (r >= 0)
                *ret = g_steal_pointer(&call);
        return r;
}

/* What somebody else than the node says: the bus, systemd when it starts the node, or this library. */
static bool error_is_no_answer(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                       SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_DISCONNECTED,
                       SD_BUS_ERROR_NO_SERVER, "org.freedesktop.DBus.Error.TimedOut") ||
               g_str_has_prefix(error->name, "System.Error.") ||
               g_str_has_prefix(error->name, SYSTEMD_NAME ".") ||
               g_str_has_prefix(error->name, "org.freedesktop.DBus.Error.Spawn.");
}

/* The node was there, and has gone before it answered. The next one may know the answer. */
static bool error_is_lost_answer(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED,
                "System.Error.ECONNRESET", "System.Error.ENOTCONN", "System.Error.EPIPE");
}

int node_call(NodeCalls *calls, bool start, const char *path, const char *interface, const char *member,
        NodeCallFill fill, const void *arguments, sd_bus_error *error, sd_bus_message **ret) {
        for (bool has_left = false;;) {
                g_autoptr(sd_bus_message) call = NULL, reply = NULL;
                int r = 0;

                sd_bus_error_free(error);
                if (!calls->bus && calls_open_private(calls) < 0)
                        r = calls_open_bus(calls);
                if (r >= 0)
                        r = calls_new_call(calls, start, path, interface, member, fill, arguments, &call);
                if (r < 0 && calls->bus)
                        return sd_bus_error_set_errno(error, r);
                const uint64_t left = usec_until(calls->deadline_usec);
                if (r >= 0)
                        /* 0 is the default of libsystemd, which is longer. */
                        r = sd_bus_call(calls->bus, call, MAX(left, 1), error, &reply);
                if (r >= 0) {
                        if (ret)
                                *ret = g_steal_pointer(&reply);
                        return 0;
                }
                if (!sd_bus_error_is_set(error))
                        (void) sd_bus_error_set_errno(error, r);
                /* At its end the node says this for a call that it has not completed, and the next one
                 * completes it. In a Shutdown it says the same of a start each time. */
                if (!has_left &&
                        sd_bus_error_has_name(error, node_error_to_string(NODE_ERROR_SHUTTING_DOWN))) {
                        has_left = true;
                        node_calls_clear(calls);
                        continue;
                }
                if (!error_is_no_answer(error))
                        return r;

                const bool was_private = calls->is_private;
                node_calls_clear(calls);
                if (usec_until(calls->deadline_usec) == 0)
                        return -EHOSTDOWN;
                if (was_private) {
                        /* It may be that of a node that has died. */
                        if (calls_open_bus(calls) < 0)
                                return -EHOSTDOWN;
                } else if (!error_is_lost_answer(error))
                        return -EHOSTDOWN;
        }
}

/* -- the scope -- */

static int calls_open_systemd(NodeCalls *calls) {
        if (calls->bus && !calls->is_private)
                return 0;
        node_calls_clear(calls);
        return calls_open_bus(calls);
}

int node_calls_get_scope(NodeCalls *calls, const char *role, char **ret_cgroup) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *unit = role_scope_name(calls->instance, role), *path = NULL;
        char *cgroup = NULL;

        int r = unit ? calls_open_systemd(calls) : -ENOMEM;
        if (r >= 0)
                r = sd_bus_path_encode(SYSTEMD_UNIT_PREFIX, unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(calls->bus, SYSTEMD_NAME, path, SYSTEMD_NAME ".Scope",
                        "ControlGroup", &error, &cgroup);
        if (r >= 0)
                *ret_cgroup = cgroup;
        return r;
}

static int calls_wait_empty(NodeCalls *calls, const char *cgroup) {
        autofd directory = cgroup_open(cgroup), events = -EBADF;

        if (directory < 0)
                return directory == -ENOENT ? 0 : directory;
        events = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
        for (bool populated;;) {
                struct pollfd item = { .fd = events, .events = POLLPRI };

                int r = cgroup_events(cgroup, &populated, NULL);
                if (r < 0)
                        return r;
                if (!populated)
                        return 0;
                const uint64_t left = usec_until(calls->deadline_usec);
                if (left == 0)
                        return -ETIMEDOUT;
                (void) poll(&item, 1, (int) MIN(left / USEC_PER_MSEC + 1, SCOPE_LOOK_MSEC));
        }
}

int node_calls_kill_scope(NodeCalls *calls, const char *role) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *unit = role_scope_name(calls->instance, role);
        g_autofree char *cgroup = NULL;

        int r = node_calls_get_scope(calls, role, &cgroup);
        if (r < 0 || !*cgroup)
                return r;
        r = sd_bus_call_method(calls->bus, SYSTEMD_NAME, "/org/freedesktop/systemd1", SYSTEMD_NAME ".Manager",
                "KillUnit", &error, NULL, "ssi", unit, "all", SIGKILL);
        /* It may have ended meanwhile; what counts is whether anything is left. */
        if (r < 0 &&
                !sd_bus_error_has_names(&error, SYSTEMD_NAME ".NoSuchUnit", SYSTEMD_NAME ".UnitNotLoaded"))
                return r;
        return calls_wait_empty(calls, cgroup);
}

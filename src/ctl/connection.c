/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/time-util.h"
#include "client/node-client.h"
#include "config.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/remote.h"
#include "ctl/roles.h"
#include "ctl/words.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* -- the connection -- */

static CtlExit ctl_wait(Ctl *ctl, const bool *done, uint64_t deadline_usec, bool report);

static bool ctl_is_main(const Ctl *ctl) {
        return strcmp(ctl->instance, NODE_DEFAULT_INSTANCE) == 0;
}

char *ctl_unit_name(const Ctl *ctl) {
        return ctl_is_main(ctl) ? g_strdup("architect-node.service")
                                : g_strdup_printf("architect-node@%s.service", ctl->instance);
}

/* The 25 s of sd-bus are a surprise for who waits for a stop. */
static int ctl_set_timeout(const Ctl *ctl, sd_bus *bus) {
        const uint64_t usec = ctl->timeout_usec > 0 ? ctl->timeout_usec
                              : ctl->many           ? ctl->patience_usec
                                                    : UINT64_MAX;
        return sd_bus_set_method_call_timeout(bus, usec);
}

/* Returns a negative errno without a message: then there is the bus. */
static int ctl_open_private(const Ctl *ctl, sd_bus **ret) {
        g_autofree char *path =
                g_strdup_printf(NODE_RUNTIME_DIRECTORY "/%s/" NODE_PRIVATE_SOCKET, ctl->instance);
        g_autofree char *address = g_strconcat("unix:path=", path, NULL);
        g_autoptr(sd_bus) bus = NULL;

        /* Most often it is not there because the service does not run, and the bus can start that. */
        if (access(path, W_OK) < 0)
                return -errno;
        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = ctl_set_timeout(ctl, bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                *ret = g_steal_pointer(&bus);
        return r;
}

/* A person may type a password for ssh, so the time is not limited. */
static int ctl_open_remote(const char *host, sd_bus **ret) {
        g_autofree char *address = remote_address(host, false);

        return remote_start(address, -1, ret);
}

static int ctl_open_bus(const Ctl *ctl, sd_bus **ret) {
        if (ctl->host)
                return ctl_open_remote(ctl->host, ret);
        if (ctl->machine && ctl->user)
                return sd_bus_open_user_machine(ret, ctl->machine);
        if (ctl->machine)
                return sd_bus_open_system_machine(ret, ctl->machine);
        return ctl->user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);
}

static CtlExit ctl_check_options(const Ctl *ctl) {
        if (ctl->host && ctl->machine)
                return ctl_usage(NULL, "--host= and --machine= name two places, give one of them");
        if (ctl->host && ctl->user)
                return ctl_usage(NULL,
                        "--user with --host= is not supported: the bus of a user is not reached by ssh");
        return CTL_EXIT_OK;
}

static int ctl_open_named_bus(Ctl *ctl) {
        ctl_disconnect(ctl);
        int r = ctl_open_bus(ctl, &ctl->bus);
        return r < 0 ? r : ctl_use_bus(ctl);
}

int ctl_use_bus(Ctl *ctl) {
        int r = sd_bus_set_allow_interactive_authorization(ctl->bus, ctl->ask_password);
        if (r >= 0)
                r = ctl_set_timeout(ctl, ctl->bus);
        if (r >= 0)
                ctl->bus_name = node_bus_name(ctl->instance);
        else
                ctl_disconnect(ctl);
        return r;
}

bool ctl_try_connect_bus(Ctl *ctl) {
        if (ctl->bus && ctl->bus_name)
                return true;
        if (ctl->many)
                return ctl_reconnect(ctl, NULL) >= 0;
        return !(ctl->host && (ctl->machine || ctl->user)) && ctl_open_named_bus(ctl) >= 0;
}

int ctl_reconnect(Ctl *ctl, char **ret_reason) {
        g_autofree char *reason = NULL;

        ctl_disconnect(ctl);
        int r = ctl->many ? ctl->connect(ctl, &reason) : ctl_open_named_bus(ctl);
        if (r < 0 && !reason)
                reason = g_strdup(strerror(-r));
        if (r < 0 && ret_reason)
                *ret_reason = g_steal_pointer(&reason);
        return r;
}

static CtlExit ctl_connect_many(Ctl *ctl) {
        g_autofree char *reason = NULL;

        if (ctl_reconnect(ctl, &reason) >= 0)
                return CTL_EXIT_OK;
        ctl_error("no answer: %s", reason);
        return CTL_EXIT_FAILED;
}

CtlExit ctl_connect_bus(Ctl *ctl) {
        CtlExit e = ctl_check_options(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        if (ctl->bus && ctl->bus_name)
                return CTL_EXIT_OK;
        if (ctl->many)
                return ctl_connect_many(ctl);
        int r = ctl_open_named_bus(ctl);
        if (r < 0) {
                const char *where = ctl->host ?: ctl->machine;

                ctl_error("cannot connect to the %s bus%s%s: %s", ctl->user ? "session" : "system",
                        where ? " of " : "", where ?: "", strerror(-r));
                if (ctl->user && !where && (r == -ENOMEDIUM || r == -ENOENT || r == -ECONNREFUSED))
                        ctl_say(ctl, "There is no session bus; log in, or set DBUS_SESSION_BUS_ADDRESS.");
                return CTL_EXIT_FAILED;
        }
        return CTL_EXIT_OK;
}

CtlExit ctl_connect(Ctl *ctl) {
        if (ctl->bus)
                return CTL_EXIT_OK;
        if (geteuid() == 0 && !ctl->many && !ctl->user && !ctl->host && !ctl->machine &&
                ctl_open_private(ctl, &ctl->bus) >= 0)
                return CTL_EXIT_OK;
        return ctl_connect_bus(ctl);
}

void ctl_disconnect(Ctl *ctl) {
        /* ssh has to end, which is waited for. A host that does not answer may not read either, and every
         * verb has its replies by now. */
        ctl->bus =
                ctl->many ? WITHOUT_BATON(sd_bus_close_unref(ctl->bus)) : sd_bus_flush_close_unref(ctl->bus);
        g_clear_pointer(&ctl->bus_name, g_free);
}

/* sd_bus_call_async() calls it NoReply, as the bus does when the service has ended. */
static bool error_is_timeout(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_TIMEOUT, "System.Error.ETIMEDOUT") ||
               (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) && error->message &&
                       strstr(error->message, "timed out"));
}

/* -- calls -- */

CtlExit ctl_new_call_of(
        Ctl *ctl, sd_bus_message **ret, const char *path, const char *interface, const char *member) {
        CtlExit e = ctl_connect(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_new_method_call(ctl->bus, ret, ctl->bus_name, path, interface, member);
        if (r >= 0 && ctl->ask_password)
                r = sd_bus_message_set_allow_interactive_authorization(*ret, true);
        if (r >= 0 && !ctl->auto_start)
                r = sd_bus_message_set_auto_start(*ret, false);
        return r < 0 ? ctl_failed(r, "make a call") : CTL_EXIT_OK;
}

CtlExit ctl_cannot_send(int r) {
        if (r != -EINVAL)
                return ctl_failed(r, "make a call");
        ctl_error("an argument cannot be sent: it is not valid UTF-8");
        return CTL_EXIT_USAGE;
}

static CtlExit ctl_new_callv(
        Ctl *ctl, sd_bus_message **ret, const char *member, const char *types, va_list ap) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call_of(ctl, &call, NODE_PATH, NODE_INTERFACE, member);
        if (e != CTL_EXIT_OK)
                return e;
        int r = types ? sd_bus_message_appendv(call, types, ap) : 0;
        if (r < 0)
                return ctl_cannot_send(r);
        *ret = g_steal_pointer(&call);
        return CTL_EXIT_OK;
}

CtlExit ctl_new_call(Ctl *ctl, sd_bus_message **ret, const char *member, const char *types, ...) {
        va_list ap;

        va_start(ap, types);
        CtlExit e = ctl_new_callv(ctl, ret, member, types, ap);
        va_end(ap);
        return e;
}

const char *ctl_call_role(sd_bus_message *call) {
        const char *role = NULL;
        char type;

        if (sd_bus_message_rewind(call, true) < 0 || sd_bus_message_peek_type(call, &type, NULL) <= 0 ||
                type != 's' || sd_bus_message_read_basic(call, 's', &role) < 0)
                return NULL;
        return role;
}

/* -- a call to one of several hosts -- */

typedef struct Patience {
        sd_bus_message *reply;
        bool done;
        bool silent; /* a ping was sent, and has no reply */
} Patience;

static int patience_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Patience *p = userdata;

        p->reply = sd_bus_message_ref(m);
        p->done = true;
        return 0;
}

static int patience_on_ping(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Patience *) userdata)->silent = false;
        return 0;
}

static int patience_ping(Ctl *ctl, Patience *p, sd_bus_slot **ret_slot) {
        g_autoptr(sd_bus_message) ping = NULL;

        int r = node_new_ping(ctl->bus, ctl->bus_name, &ping);
        return r < 0 ? r : sd_bus_call_async(ctl->bus, ret_slot, ping, patience_on_ping, p, UINT64_MAX);
}

/* A stop may take minutes, but a node that stops roles still answers, as soon as it is asked. So one that is
 * dead is told from one that is busy. */
static int patience_wait(Ctl *ctl, Patience *p, sd_bus_slot **ret_slot) {
        while (!p->done) {
                CtlExit e = ctl_wait(
                        ctl, &p->done, usec_add(now_usec(CLOCK_MONOTONIC), ctl->patience_usec), false);
                if (e != CTL_EXIT_OK)
                        return -ECONNRESET;
                if (p->done)
                        return 0;
                if (p->silent)
                        return -ETIMEDOUT;
                p->silent = true;
                *ret_slot = sd_bus_slot_unref(*ret_slot);
                int r = patience_ping(ctl, p, ret_slot);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int many_fail(Ctl *ctl, int r, sd_bus_error *error) {
        g_autofree char *reason = NULL;

        if (r == -ETIMEDOUT) {
                g_autofree char *span = words_span(ctl->timeout_usec ?: ctl->patience_usec);

                return sd_bus_error_setf(error, SD_BUS_ERROR_TIMEOUT, "no answer within %s", span);
        }
        reason = remote_reason(ctl->remote_errors, r);
        return sd_bus_error_setf(error, SD_BUS_ERROR_DISCONNECTED, "no answer: %s", reason);
}

static int many_call(Ctl *ctl, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret_reply) {
        const uint64_t timeout = ctl->timeout_usec > 0 ? ctl->timeout_usec : UINT64_MAX;
        sd_bus_slot *slot = NULL, *ping = NULL;
        Patience p = {};

        int r = sd_bus_call_async(ctl->bus, &slot, call, patience_on_reply, &p, timeout);
        if (r >= 0)
                r = patience_wait(ctl, &p, &ping);
        (void) sd_bus_slot_unref(slot);
        (void) sd_bus_slot_unref(ping);
        g_autoptr(sd_bus_message) reply = p.reply;
        if (r < 0 || !reply || sd_bus_is_open(ctl->bus) <= 0)
                return many_fail(ctl, r < 0 ? r : -ECONNRESET, error);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                if (error_is_timeout(sd_bus_message_get_error(reply)))
                        return many_fail(ctl, -ETIMEDOUT, error);
                (void) sd_bus_error_copy(error, sd_bus_message_get_error(reply));
                return -sd_bus_message_get_errno(reply);
        }
        if (ret_reply)
                *ret_reply = g_steal_pointer(&reply);
        return 1;
}

int ctl_try(Ctl *ctl, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret_reply) {
        int r = ctl->many ? many_call(ctl, call, error, ret_reply)
                          : sd_bus_call(ctl->bus, call, 0, error, ret_reply);

        if (r < 0 && !sd_bus_error_is_set(error))
                (void) sd_bus_error_set_errno(error, r);
        return r;
}

CtlExit ctl_send_about(Ctl *ctl, sd_bus_message *call, const char *role, sd_bus_message **ret_reply) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        int r = ctl_try(ctl, call, &error, ret_reply);
        return r < 0 ? ctl_report(ctl, role, &error) : CTL_EXIT_OK;
}

CtlExit ctl_send(Ctl *ctl, sd_bus_message *call, sd_bus_message **ret_reply) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        int r = ctl_try(ctl, call, &error, ret_reply);
        return r < 0 ? ctl_report(ctl, ctl_call_role(call), &error) : CTL_EXIT_OK;
}

CtlExit ctl_call(Ctl *ctl, sd_bus_message **ret_reply, const char *member, const char *types, ...) {
        g_autoptr(sd_bus_message) call = NULL;
        va_list ap;

        va_start(ap, types);
        CtlExit e = ctl_new_callv(ctl, &call, member, types, ap);
        va_end(ap);
        return e == CTL_EXIT_OK ? ctl_send(ctl, call, ret_reply) : e;
}

CtlExit ctl_send_async(Ctl *ctl, sd_bus_message *call, sd_bus_message_handler_t callback, void *userdata) {
        int r = sd_bus_call_async(ctl->bus, NULL, call, callback, userdata, 0);
        return r < 0 ? ctl_failed(r, "send a call") : CTL_EXIT_OK;
}

char *ctl_change_name(const Ctl *ctl, const char *method) {
        return g_strconcat(method, ctl->force ? "WithOptions" : NULL, NULL);
}

int ctl_append_change(const Ctl *ctl, sd_bus_message *call) {
        return ctl->force ? sd_bus_message_append(call, "a{sv}", 1, "force", "b", (int) true) : 0;
}

bool ctl_service_runs(Ctl *ctl) {
        return ctl_try_connect_bus(ctl) &&
               WITHOUT_BATON(sd_bus_get_name_creds(ctl->bus, ctl->bus_name, 0, NULL)) >= 0;
}

CtlExit ctl_new_get_all(Ctl *ctl, sd_bus_message **ret, const char *path, const char *interface) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call_of(ctl, &call, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append_basic(call, 's', interface);
        if (r < 0)
                return ctl_failed(r, "make a call");
        *ret = g_steal_pointer(&call);
        return CTL_EXIT_OK;
}

CtlExit ctl_get_property(Ctl *ctl, const char *property, const char *type, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        CtlExit e = ctl_new_call_of(ctl, &call, NODE_PATH, "org.freedesktop.DBus.Properties", "Get");
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append(call, "ss", NODE_INTERFACE, property);
        if (r < 0)
                return ctl_failed(r, "make a call");
        r = ctl_try(ctl, call, &error, &reply);
        if (r < 0)
                return ctl_report(ctl, NULL, &error);
        r = sd_bus_message_enter_container(reply, 'v', type);
        if (r < 0)
                return ctl_bad_reply(r);
        *ret = g_steal_pointer(&reply);
        return CTL_EXIT_OK;
}

/* -- errors -- */

CtlExit ctl_bad_reply(int r) {
        ctl_error("cannot read what the service has replied: %s", strerror(-r));
        ctl_explain("Its version may differ from that of architectctl; compare architectctl --version with\n"
                    "architectctl show -p Version.");
        return CTL_EXIT_FAILED;
}

CtlExit ctl_error_to_exit(const char *name) {
        if (g_strcmp0(name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0)
                return CTL_EXIT_NO_SUCH_ROLE;
        switch (name ? node_error_from_string(name) : _NODE_ERROR_INVALID) {
        case NODE_ERROR_NO_SUCH_ROLE:
        case NODE_ERROR_NO_SUCH_DEFINITION:
                return CTL_EXIT_NO_SUCH_ROLE;
        case NODE_ERROR_ROLE_NOT_RUNNING:
                return CTL_EXIT_NOT_RUNNING;
        case NODE_ERROR_ACCESS_DENIED:
        case NODE_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED:
        case NODE_ERROR_LEASE_REQUIRED:
        case NODE_ERROR_LEASE_TAKEN:
        case NODE_ERROR_STALE_TOKEN:
                return CTL_EXIT_NOT_PERMITTED;
        case NODE_ERROR_INVALID_ARGS:
        case NODE_ERROR_INVALID_ROLE_NAME:
                return CTL_EXIT_USAGE;
        default:
                return CTL_EXIT_FAILED;
        }
}

bool ctl_error_is_no_service(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.Spawn.ChildExited",
                "org.freedesktop.systemd1.ShuttingDown");
}

static void report_no_service(const Ctl *ctl, const sd_bus_error *error) {
        g_autofree char *unit = ctl_unit_name(ctl);

        ctl_error("the service %s does not run: %s", ctl->bus_name ?: unit, error->message ?: error->name);
        ctl_say(ctl, "Start it: systemctl %sstart %s", ctl->user ? "--user " : "", unit);
}

/* What an older node does not have is in the message of the error. */
static void report_older(Ctl *ctl, const sd_bus_error *error) {
        _cleanup_free_ char *version = NULL;
        g_auto(GStrv) features = NULL;

        if (!ctl->host || !ctl->bus ||
                !sd_bus_error_has_names(error, SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                        SD_BUS_ERROR_UNKNOWN_PROPERTY))
                return;
        int r = WITHOUT_BATON(sd_bus_get_property_string(
                ctl->bus, ctl->bus_name, NODE_PATH, NODE_INTERFACE, "Version", NULL, &version));
        if (r < 0)
                return;
        r = WITHOUT_BATON(sd_bus_get_property_strv(
                ctl->bus, ctl->bus_name, NODE_PATH, NODE_INTERFACE, "Features", NULL, &features));
        g_autofree char *list = r >= 0 && features ? g_strjoinv(" ", features) : NULL;
        ctl_explain("That node has the version %s and %s%s, architectctl has the version %s.", version,
                list && list[0] ? "the features " : "tells no features", list ?: "", PROJECT_VERSION);
}

static void suggest_role(Ctl *ctl, const char *role, bool defined) {
        g_auto(GStrv) names = defined ? ctl_definition_names(ctl) : ctl_role_names(ctl, false);
        const char *nearest = names ? words_nearest(role, (const char *const *) names) : NULL;

        if (nearest)
                ctl_say(ctl, "Did you mean \"%s\"?", nearest);
        else
                ctl_say(ctl, "architectctl list%s shows those that there are.", defined ? " --defined" : "");
}

CtlExit ctl_report(Ctl *ctl, const char *role, const sd_bus_error *error) {
        const CtlExit e = ctl_error_to_exit(error->name);

        if (ctl_error_is_no_service(error)) {
                report_no_service(ctl, error);
                return CTL_EXIT_FAILED;
        }
        if (!ctl->many && ctl->timeout_usec > 0 && error_is_timeout(error)) {
                g_autofree char *span = words_span(ctl->timeout_usec);

                ctl_error("the service has not replied within %s (--timeout=); what was asked for goes on",
                        span);
                return CTL_EXIT_FAILED;
        }
        ctl_error("%s", error->message ?: error->name);
        report_older(ctl, error);
        if (role && sd_bus_error_has_name(error, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE)))
                suggest_role(ctl, role, false);
        if (role && sd_bus_error_has_name(error, node_error_to_string(NODE_ERROR_NO_SUCH_DEFINITION)))
                suggest_role(ctl, role, true);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) &&
                !ctl->ask_password)
                ctl_say(ctl, "Without --no-ask-password polkit may ask for a password.");
        return e;
}

CtlExit ctl_report_no_role(Ctl *ctl, const char *role) {
        g_autofree char *text = g_strdup_printf("There is no role \"%s\"", role);
        const sd_bus_error error = { .name = node_error_to_string(NODE_ERROR_NO_SUCH_ROLE), .message = text };

        return ctl_report(ctl, role, &error);
}

CtlExit ctl_report_lost(int r) {
        ctl_error("the connection to the service is lost: %s", strerror(-r));
        return CTL_EXIT_FAILED;
}

/* -- signals -- */

CtlExit ctl_subscribe(Ctl *ctl, sd_bus_message_handler_t callback, void *userdata) {
        CtlExit e = ctl_connect_bus(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        int r = WITHOUT_BATON(node_subscribe(ctl->bus, ctl->bus_name, callback, userdata));
        return r < 0 ? ctl_failed(r, "subscribe to the signals of the service") : CTL_EXIT_OK;
}

CtlExit ctl_subscribe_owner(Ctl *ctl, sd_bus_message_handler_t callback, void *userdata) {
        CtlExit e = ctl_connect_bus(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        int r = WITHOUT_BATON(node_subscribe_owner(ctl->bus, ctl->bus_name, callback, userdata));
        return r < 0 ? ctl_failed(r, "subscribe to the signals of the bus") : CTL_EXIT_OK;
}

static CtlExit ctl_wait(Ctl *ctl, const bool *done, uint64_t deadline_usec, bool report) {
        while (!*done) {
                int r = sd_bus_process(ctl->bus, NULL);
                if (r > 0)
                        continue;
                if (r == 0) {
                        const uint64_t now = now_usec(CLOCK_MONOTONIC);

                        if (now >= deadline_usec)
                                return CTL_EXIT_OK;
                        r = remote_poll(ctl->bus, deadline_usec);
                }
                if (r < 0 && r != -EINTR) {
                        return report ? ctl_report_lost(r) : CTL_EXIT_FAILED;
                }
        }
        return CTL_EXIT_OK;
}

CtlExit ctl_run_until_time(Ctl *ctl, const bool *done, uint64_t deadline_usec) {
        return ctl_wait(ctl, done, deadline_usec, true);
}

CtlExit ctl_run_until(Ctl *ctl, const bool *done) {
        return ctl_run_until_time(ctl, done, UINT64_MAX);
}

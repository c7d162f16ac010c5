/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The hosts of an observatory: connections, and what they have. */

#include <errno.h>
#include <string.h>

#include "base/time-util.h"
#include "client/node-client.h"
#include "client/timer.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/lease.h"
#include "ctl/remote.h"
#include "ctl/up.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* A call whose reply belongs to a host. */
typedef struct UpCall {
        UpHost *host;
        sd_bus_slot *slot; /* NULL if it could not be sent */
        UpReply callback;
        void *userdata;
} UpCall;

void up_host_free(void *p) {
        UpHost *host = p;

        /* The bus is that of the link. */
        g_free(host->ctl.bus_name);
        sd_event_source_disable_unref(host->patience);
        sd_event_source_disable_unref(host->beat);
        if (host->details)
                g_ptr_array_unref(host->details);
        for (guint i = 0; i < host->calls->len; i++) {
                UpCall *call = g_ptr_array_index(host->calls, i);

                sd_bus_slot_unref(call->slot);
                g_free(call);
        }
        g_ptr_array_unref(host->calls);
        g_free(host->problem);
        g_free(host);
}

void up_host_fail(UpHost *host, const char *format, ...) {
        va_list ap;

        if (host->problem)
                return;
        va_start(ap, format);
        host->problem = g_strdup_vprintf(format, ap);
        va_end(ap);
}

/* -- calls -- */

static int host_on_pong(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UpHost *host = userdata;

        host->pinged = false;
        return 0;
}

/* A service may take its time for a reply, but not for a ping. */
static int host_on_patience(sd_event_source *s, uint64_t usec, void *userdata) {
        g_autoptr(sd_bus_message) ping = NULL;
        UpHost *host = userdata;

        if (host->n_calls == 0 || host->link->state != HOST_LINK_UP)
                return 0;
        if (host->pinged) {
                host_link_give_up(host->link, "it does not answer any more");
                return 0;
        }
        int r = node_new_ping(host->link->bus, host->ctl.bus_name, &ping);
        if (r >= 0)
                r = sd_bus_call_async(host->link->bus, NULL, ping, host_on_pong, host, UINT64_MAX);
        host->pinged = r >= 0;
        (void) timer_start(s, host->ctl.patience_usec);
        return 0;
}

static void host_watch_patience(UpHost *host) {
        if (host->n_calls > 1 && sd_event_source_get_enabled(host->patience, NULL) > 0)
                return;
        host->pinged = false;
        (void) timer_start(host->patience, host->ctl.patience_usec);
}

static void call_end(UpCall *call, sd_bus_message *reply, const sd_bus_error *error) {
        UpHost *host = call->host;

        (void) g_ptr_array_remove_fast(host->calls, call);
        host->n_calls--;
        call->callback(host, reply, error, call->userdata);
        sd_bus_slot_unref(call->slot);
        g_free(call);
}

static int call_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        call_end(userdata, m, sd_bus_message_get_error(m));
        return 0;
}

/* A connection that was given up brings no reply any more, and no error. */
static void host_end_calls(UpHost *host) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        (void) sd_bus_error_set_errno(&error, ECONNRESET);
        while (host->calls->len > 0)
                call_end(g_ptr_array_index(host->calls, 0), NULL, &error);
}

void up_host_send(UpHost *host, sd_bus_message *call, UpReply callback, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        UpCall *c = g_new(UpCall, 1);
        int r = -ENOTCONN;

        *c = (UpCall){ .host = host, .callback = callback, .userdata = userdata };
        g_ptr_array_add(host->calls, c);
        host->n_calls++;
        if (host->link->state == HOST_LINK_UP)
                r = sd_bus_call_async(host->link->bus, &c->slot, call, call_on_reply, c, UINT64_MAX);
        sd_bus_message_unref(call);
        if (r >= 0) {
                host_watch_patience(host);
                return;
        }
        (void) sd_bus_error_set_errno(&error, r);
        call_end(c, NULL, &error);
}

int up_hosts_wait(Up *up) {
        for (;;) {
                bool busy = false;

                for (guint i = 0; i < up->hosts->len; i++) {
                        const UpHost *host = g_ptr_array_index(up->hosts, i);

                        /* There is always a beat under way on a slow network, and one that is tried again is
                         * for the beats, too. */
                        busy = busy || host->n_calls > (host->beats ? 1U : 0U) ||
                               (!host->details && !host->problem && host->link->state != HOST_LINK_DOWN);
                }
                if (!busy || up->interrupted)
                        return 0;
                int r = sd_event_run(up->event, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
}

/* -- what there is -- */

/* Takes the error for a call to the service of the host. */
static void host_refused(UpHost *host, const sd_bus_error *error) {
        const bool is_main = strcmp(host->host->instance, NODE_DEFAULT_INSTANCE) == 0;

        if (ctl_error_is_no_service(error))
                up_host_fail(host, "the service does not run; start it: systemctl start architect-node%s%s",
                        is_main ? "" : "@", is_main ? "" : host->host->instance);
        else
                up_host_fail(host, "%s", error->message ?: error->name);
}

static void host_on_details(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        int r;

        if (error)
                host_refused(host, error);
        else if ((r = ctl_read_details(reply, &host->details)) < 0)
                up_host_fail(host, "its reply is not understood: %s", g_strerror(-r));
        else
                host_link_settle(host->link);
}

static int read_token(sd_bus_message *m, const char *name, uint64_t *ret) {
        int r = sd_bus_message_enter_container(m, 'a', "(sutttas)");

        while (r >= 0) {
                g_auto(CtlLease) lease = {};

                r = lease_next(m, &lease);
                if (r <= 0)
                        break;
                if (strcmp(lease.name, name) == 0)
                        *ret = lease.token;
        }
        return r;
}

static void host_on_leases(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        int r;

        if (error)
                host_refused(host, error);
        else if ((r = read_token(reply, host->up->observatory->lease, &host->token)) < 0)
                up_host_fail(host, "its reply is not understood: %s", g_strerror(-r));
}

static void host_on_features(UpHost *host, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        const char *feature;
        bool knows = false;

        int r = error ? -EIO : sd_bus_message_enter_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &feature)) > 0)
                knows = knows || strcmp(feature, "managed-by") == 0;
        if (error)
                host_refused(host, error);
        else if (r < 0)
                up_host_fail(host, "its reply is not understood: %s", g_strerror(-r));
        else if (!knows)
                up_host_fail(host,
                        "its service is an older one, without the option managed-by; a newer architect-node is needed there");
}

static void host_call(UpHost *host, const char *path, const char *interface, const char *member,
        UpReply reply, const char *first, const char *second) {
        g_autoptr(sd_bus_message) call = NULL;

        if (ctl_new_call_of(&host->ctl, &call, path, interface, member) != CTL_EXIT_OK ||
                (first && sd_bus_message_append(call, "ss", first, second) < 0))
                up_host_fail(host, "a call cannot be made");
        else
                up_host_send(host, g_steal_pointer(&call), reply, NULL);
}

/* -- connections -- */

static void link_changed(HostLink *link) {
        UpHost *host = link->owner;

        host->ctl.bus = link->bus;
        if (link->state != HOST_LINK_UP) {
                if (!host->details)
                        up_host_fail(host, "no answer: %s", link->reason);
                host_end_calls(host);
                up_run_host_lost(host);
                return;
        }
        /* Again, after it was away: only the lease is of interest. */
        if (host->details || host->problem)
                return;
        host_call(host, NODE_PATH, "org.freedesktop.DBus.Properties", "Get", host_on_features, NODE_INTERFACE,
                "Features");
        host_call(host, NODE_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", host_on_details,
                NULL, NULL);
        if (host->up->observatory->lease)
                host_call(host, NODE_PATH, NODE_INTERFACE, "ListLeases", host_on_leases, NULL, NULL);
}

static char *local_address(const Ctl *ctl) {
        const char *address = g_getenv("DBUS_SESSION_BUS_ADDRESS"), *runtime = g_getenv("XDG_RUNTIME_DIR");

        if (!ctl->user)
                return NULL; /* that of the system */
        return address ? g_strdup(address) : g_strdup_printf("unix:path=%s/bus", runtime ?: "/nonexistent");
}

static int add_host(Up *up, const ObservatoryHost *o, uint64_t patience_usec) {
        UpHost *host = g_new0(UpHost, 1);
        g_autofree char *address = o->local ? local_address(up->ctl) : remote_address(o->address, true);

        host->up = up;
        host->host = o;
        host->calls = g_ptr_array_new();
        host->ctl = *up->ctl;
        host->ctl.host = o->local ? NULL : o->name;
        host->ctl.patience_usec = patience_usec;
        host->ctl.bus = NULL;
        host->ctl.bus_name = node_bus_name(o->instance);
        host->ctl.ask_password = false;
        host->link = host_links_add(up->links, o->name, address, host);
        g_ptr_array_add(up->hosts, host);
        return timer_new(up->event, &host->patience, 0, host_on_patience, host);
}

CtlExit up_hosts_ask(Up *up) {
        const uint64_t patience_usec =
                up->ctl->timeout_usec > 0 ? up->ctl->timeout_usec : REMOTE_PATIENCE_USEC;
        const bool keeps = up->observatory->lease && strcmp(up->verb, "up") == 0;
        int r = 0;

        up->links = host_links_new(up->event, patience_usec, keeps, link_changed);
        for (guint i = 0; r >= 0 && i < up->observatory->hosts->len; i++)
                r = add_host(up, g_ptr_array_index(up->observatory->hosts, i), patience_usec);
        for (guint i = 0; r >= 0 && i < up->hosts->len; i++)
                host_link_connect(((UpHost *) g_ptr_array_index(up->hosts, i))->link);
        if (r >= 0)
                r = up_hosts_wait(up);
        return r < 0 ? ctl_failed(r, "wait for the hosts") : CTL_EXIT_OK;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "desk". It holds the connections to the hosts, and serves them on the bus of the user. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "ctl/desk-service.h"
#include "ctl/loop.h"
#include "ctl/remote.h"
#include "ctl/verb.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/notify.h"

static char *desk_bus_name(const Ctl *ctl) {
        return g_str_equal(ctl->instance, NODE_DEFAULT_INSTANCE)
                       ? g_strdup(DESK_BUS_NAME)
                       : g_strconcat(DESK_BUS_NAME ".", ctl->instance, NULL);
}

/* -- the bus of the user -- */

/* Whoever can call the desk does on the hosts what its user may do there. The bus of a user has no other
 * callers; that of the machine has everybody. */
static CtlExit bus_check_owner(sd_bus *bus) {
        const int fd = sd_bus_get_fd(bus);
        struct ucred ucred;
        socklen_t size = sizeof(ucred);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
                return ctl_failed(fd < 0 ? fd : -errno, "look at the session bus");
        if (ucred.uid == geteuid())
                return CTL_EXIT_OK;
        ctl_error("the session bus is that of the user %u, and the desk is for the user %u only",
                (unsigned) ucred.uid, (unsigned) geteuid());
        ctl_explain("DBUS_SESSION_BUS_ADDRESS names it; log in as the user whose desk it is.");
        return CTL_EXIT_FAILED;
}

static CtlExit bus_report_none(int r) {
        ctl_error("cannot connect to the session bus: %s", strerror(-r));
        ctl_explain(
                geteuid() == 0
                        ? "Root has one after \"loginctl enable-linger root\", with"
                          " XDG_RUNTIME_DIR=/run/user/0. Better is a user without privileges, whose"
                          " ssh logs in as root where that is needed (-H root@HOST)."
                        : "Log in, or set XDG_RUNTIME_DIR=/run/user/UID after \"loginctl enable-linger\".");
        return CTL_EXIT_FAILED;
}

static CtlExit bus_open(sd_event *event, sd_bus **ret) {
        g_autoptr(sd_bus) bus = NULL;

        int r = sd_bus_open_user(&bus);
        if (r < 0)
                return bus_report_none(r);
        CtlExit e = bus_check_owner(bus);
        if (e != CTL_EXIT_OK)
                return e;
        r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return ctl_failed(r, "use the session bus");
        *ret = g_steal_pointer(&bus);
        return CTL_EXIT_OK;
}

static CtlExit bus_take_name(sd_bus *bus, const char *name) {
        int r = sd_bus_request_name(bus, name, 0);

        if (r >= 0)
                return CTL_EXIT_OK;
        if (r == -EEXIST)
                ctl_error(
                        "there is a desk already: another process has the name %s on the session bus", name);
        else
                ctl_error("cannot get the name %s on the session bus: %s", name, strerror(-r));
        return CTL_EXIT_FAILED;
}

/* -- the desk -- */

static void on_changed(const DeskHost *host, unsigned n_connected, unsigned n_hosts, void *userdata) {
        const Ctl *ctl = userdata;

        if (host->state == DESK_HOST_UNREACHABLE)
                ctl_error("%s: not connected: %s", host->name, host->reason);
        else if (host->reason[0])
                ctl_error("%s: %s", host->name, host->reason);
        else
                ctl_say(ctl, "%s: connected", host->name);
        notify_sendf("STATUS=%u of %u hosts are connected.", n_connected, n_hosts);
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        notify_send("STOPPING=1");
        return sd_event_exit(sd_event_source_get_event(s), CTL_EXIT_OK);
}

static CtlExit desk_serve(Ctl *ctl, sd_event *event, sd_bus *bus) {
        g_autofree char *name = desk_bus_name(ctl);
        g_autoptr(Desk) desk = NULL;

        /* Nobody connects to 100 hosts to find out that another desk does. */
        CtlExit e = bus_take_name(bus, name);
        if (e != CTL_EXIT_OK)
                return e;
        int r = desk_new(event, bus, ctl->instance, ctl->hosts, NULL,
                ctl->timeout_usec > 0 ? ctl->timeout_usec : REMOTE_PATIENCE_USEC, on_changed, ctl, &desk);
        if (r < 0)
                return ctl_failed(r, "serve the hosts");
        notify_send("READY=1");
        r = sd_event_loop(event);
        if (r < 0)
                return ctl_failed(r, "wait for events");
        if (r > 0)
                ctl_error("the connection to the session bus is lost");
        return r > 0 ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}

static CtlExit desk_run(Ctl *ctl, sd_event *event) {
        g_autoptr(sd_bus) bus = NULL;

        CtlExit e = ctl_loop_add_signal(ctl, event, SIGINT, on_stop, NULL);
        if (e == CTL_EXIT_OK)
                e = ctl_loop_add_signal(ctl, event, SIGTERM, on_stop, NULL);
        if (e == CTL_EXIT_OK)
                e = bus_open(event, &bus);
        if (e != CTL_EXIT_OK)
                return e;
        int r = notify_attach(event);
        if (r < 0)
                return ctl_failed(r, "send notifications to systemd");
        e = desk_serve(ctl, event, bus);
        notify_detach();
        (void) sd_bus_flush(bus);
        return e;
}

CtlExit verb_desk(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(sd_event) event = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 0, &e))
                return e;
        if (ctl->machine || ctl->user)
                return ctl_usage(argv[0], "the hosts of a desk go neither with --machine= nor with --user");
        (void) rlimit_nofile_raise(UINT64_MAX); /* two descriptors for each host */
        int r = sd_event_new(&event);
        return r < 0 ? ctl_failed(r, "wait for events") : desk_run(ctl, event);
}

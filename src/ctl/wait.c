/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "wait". It subscribes first and looks at the roles then, so nothing happens in between. Signals
 * that come before the reply of a look tell what the reply knows, so they count only after it. */

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/node-client.h"
#include "client/properties.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/ends.h"
#include "ctl/verb.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

typedef enum WaitUntil {
        WAIT_ENDED,
        WAIT_READY,
        WAIT_RUNNING,
} WaitUntil;

typedef struct Wait Wait;

typedef struct WaitRole {
        Wait *wait;
        const char *name;
        char *path;
        bool looked; /* it was there when it was asked for */
        bool done;
} WaitRole;

struct Wait {
        Ctl *ctl;
        WaitUntil until;
        WaitRole *roles;
        size_t n_roles, n_pending;
        CtlExit exit; /* of the first that has failed */
        bool done;
};

static void wait_role_done(WaitRole *role, CtlExit e) {
        Wait *w = role->wait;

        if (role->done)
                return;
        role->done = true;
        if (w->exit == CTL_EXIT_OK)
                w->exit = e;
        w->done = --w->n_pending == 0;
}

/* It is not, and will not be, what was waited for. */
static void wait_role_ended(WaitRole *role, const char *code, int status) {
        CtlExit e = ctl_end_to_exit(code, status);

        if (role->wait->until != WAIT_ENDED) {
                ctl_error("\"%s\" has ended before it was %s", role->name,
                        role->wait->until == WAIT_READY ? "ready" : "running");
                if (e == CTL_EXIT_OK)
                        e = CTL_EXIT_OWN;
        }
        wait_role_done(role, e);
}

/* -- a look -- */

typedef struct WaitLook {
        char *state, *code;
        int32_t status;
        uint64_t next_start;
        bool ready;
} WaitLook;

static const Property look_properties[] = {
        { "State", "s", offsetof(WaitLook, state) },
        { "ExitCode", "s", offsetof(WaitLook, code) },
        { "ExitStatus", "i", offsetof(WaitLook, status) },
        { "NextStartUSec", "t", offsetof(WaitLook, next_start) },
        { "Ready", "b", offsetof(WaitLook, ready) },
};

static void look_clear(WaitLook *look) {
        properties_clear(look_properties, ELEMENTSOF(look_properties), look);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(WaitLook, look_clear)

static void wait_role_judge(WaitRole *role, const WaitLook *look) {
        const bool ended = strcmp(look->state, "ended") == 0;

        switch (role->wait->until) {
        case WAIT_ENDED:
                if (ended)
                        wait_role_ended(role, look->code, look->status);
                return;
        case WAIT_READY:
                if (look->ready)
                        wait_role_done(role, CTL_EXIT_OK);
                break;
        case WAIT_RUNNING:
                if (strcmp(look->state, "running") == 0)
                        wait_role_done(role, CTL_EXIT_OK);
                break;
        }
        if (!role->done && ended && look->next_start == 0)
                wait_role_ended(role, look->code, look->status);
}

static void wait_role_gone(WaitRole *role) {
        if (role->looked) {
                ctl_error("\"%s\" was purged, and nobody has said how it ended", role->name);
                wait_role_done(role, CTL_EXIT_LOST);
                return;
        }
        (void) ctl_report_no_role(role->wait->ctl, role->name);
        wait_role_done(role, CTL_EXIT_OWN);
}

static int wait_on_look(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        WaitRole *role = userdata;
        g_auto(WaitLook) look = {};

        if (role->done)
                return 0;
        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
                wait_role_gone(role);
                return 0;
        }
        if (sd_bus_message_is_method_error(m, NULL)) {
                (void) ctl_report(role->wait->ctl, role->name, sd_bus_message_get_error(m));
                wait_role_done(role, CTL_EXIT_OWN);
                return 0;
        }
        role->looked = true;
        int r = properties_read(m, look_properties, ELEMENTSOF(look_properties), &look);
        if (r >= 0 && (!look.state || !look.code))
                r = -EBADMSG;
        if (r < 0) {
                (void) ctl_bad_reply(r);
                wait_role_done(role, CTL_EXIT_OWN);
        } else
                wait_role_judge(role, &look);
        return 0;
}

static void wait_role_look(WaitRole *role) {
        g_autoptr(sd_bus_message) call = NULL;
        Wait *w = role->wait;

        CtlExit e = ctl_new_get_all(w->ctl, &call, role->path, NODE_ROLE_INTERFACE);
        if (e == CTL_EXIT_OK)
                e = ctl_send_async(w->ctl, call, wait_on_look, role);
        if (e != CTL_EXIT_OK)
                wait_role_done(role, CTL_EXIT_OWN);
}

/* -- signals -- */

static int wait_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *code;
        Wait *w = userdata;
        int32_t status;

        if (!sd_bus_message_is_signal(m, NODE_INTERFACE, "RoleExited") ||
                sd_bus_message_read(m, "sosi", &name, NULL, &code, &status) < 0)
                return 0;
        for (size_t i = 0; i < w->n_roles; i++) {
                WaitRole *role = &w->roles[i];

                if (role->done || !role->looked || strcmp(role->name, name) != 0)
                        continue;
                if (w->until == WAIT_ENDED)
                        wait_role_ended(role, code, status);
                else
                        wait_role_look(role); /* it may be started again */
        }
        return 0;
}

static int wait_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        WaitRole *role = userdata;

        if (!role->done)
                wait_role_look(role);
        return 0;
}

/* The service was started again, and has sent what had not been read, or has lost it. */
static int wait_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *owner;
        Wait *w = userdata;

        if (sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0 || !owner[0])
                return 0;
        for (size_t i = 0; i < w->n_roles; i++)
                if (!w->roles[i].done)
                        wait_role_look(&w->roles[i]);
        return 0;
}

static CtlExit wait_subscribe(Wait *w) {
        CtlExit e = ctl_subscribe(w->ctl, wait_on_signal, w);
        if (e == CTL_EXIT_OK)
                e = ctl_subscribe_owner(w->ctl, wait_on_owner, w);
        if (e != CTL_EXIT_OK)
                return e;
        int r = 0;

        for (size_t i = 0; r >= 0 && w->until != WAIT_ENDED && i < w->n_roles; i++)
                r = WITHOUT_BATON(sd_bus_match_signal(w->ctl->bus, NULL, w->ctl->bus_name, w->roles[i].path,
                        "org.freedesktop.DBus.Properties", "PropertiesChanged", wait_on_changed,
                        &w->roles[i]));
        return r < 0 ? ctl_failed(r, "subscribe to the signals of the service") : CTL_EXIT_OK;
}

/* -- the verb -- */

static CtlExit wait_run(Wait *w) {
        CtlExit e = wait_subscribe(w);
        for (size_t i = 0; e == CTL_EXIT_OK && i < w->n_roles; i++)
                wait_role_look(&w->roles[i]);
        if (e == CTL_EXIT_OK)
                e = ctl_run_until(w->ctl, &w->done);
        return e == CTL_EXIT_OK ? w->exit : CTL_EXIT_OWN;
}

static CtlExit wait_roles(Ctl *ctl, WaitUntil until, char *const *names, size_t n) {
        g_autofree WaitRole *roles = g_new0(WaitRole, n);
        Wait w = { .ctl = ctl, .until = until, .roles = roles, .n_roles = n, .n_pending = n };

        for (size_t i = 0; i < n; i++)
                roles[i] = (WaitRole){ .wait = &w, .name = names[i], .path = role_object_path(names[i]) };
        CtlExit e = wait_run(&w);
        ctl_disconnect(ctl); /* what still comes must not find them */
        for (size_t i = 0; i < n; i++)
                free(roles[i].path);
        return e;
}

static bool wait_parse_until(const char *text, WaitUntil *ret) {
        if (strcmp(text, "ended") == 0)
                *ret = WAIT_ENDED;
        else if (strcmp(text, "ready") == 0)
                *ret = WAIT_READY;
        else if (strcmp(text, "running") == 0)
                *ret = WAIT_RUNNING;
        else
                return false;
        return true;
}

/* A status of its own would be taken for that of a role. */
CtlExit verb_wait(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_UNTIL = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "until", required_argument, NULL, ARG_UNTIL },
                { 0 },
        };
        WaitUntil until = WAIT_ENDED;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                if (!wait_parse_until(optarg, &until)) {
                        (void) ctl_usage("wait", "--until=%s: there are ended, ready and running", optarg);
                        return CTL_EXIT_OWN;
                }
        if (c == CTL_OPTION_EXIT)
                return e == CTL_EXIT_OK ? e : CTL_EXIT_OWN;
        if (ctl_check_arguments(argc, argv, 1, INT_MAX) != CTL_EXIT_OK)
                return CTL_EXIT_OWN;
        return wait_roles(ctl, until, argv + optind, (size_t) (argc - optind));
}

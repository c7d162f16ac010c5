/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "client/timer.h"
#include "notify/notify-offer.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

#define COCKPIT_PAGE "/usr/share/cockpit/architect"
#define COCKPIT_SOCKET "/org/freedesktop/systemd1/unit/cockpit_2esocket"
/* A notification waits no longer for what it could offer. */
#define PATIENCE_USEC (5 * USEC_PER_SEC)
#define ACTION_START "org.architect.node.start-defined-role"

/* Of a role that ended. */
typedef struct RoleFacts {
        char *state, *definition, *managed_by, *lease, *status;
} RoleFacts;

static const Property role_facts[] = {
        { "State", "s", offsetof(RoleFacts, state) },
        { "Definition", "s", offsetof(RoleFacts, definition) },
        { "ManagedBy", "s", offsetof(RoleFacts, managed_by) },
        { "Lease", "s", offsetof(RoleFacts, lease) },
        { "StatusText", "s", offsetof(RoleFacts, status) },
};

enum { CALL_ROLE, CALL_DEFINITION, CALL_RIGHTS, CALL_ACTIVE, CALL_LISTEN, _CALL_MAX };

struct OfferQuestion {
        sd_bus *bus;
        char *bus_name, *role;
        OfferReady ready;
        void *userdata;
        sd_bus_slot *calls[_CALL_MAX];
        sd_event_source *done;
        Offer offer;
        bool defined, permitted, active;
        unsigned port;
};

/* -- the end -- */

/* In a turn of the loop of its own, since a question without calls is answered as well. */
static int question_on_done(sd_event_source *s, uint64_t usec, void *userdata) {
        OfferQuestion *q = userdata;

        q->offer.start = q->defined && q->permitted;
        q->offer.cockpit_port = q->active ? q->port : 0;
        q->ready(&q->offer, q->userdata);
        (void) offer_question_free(q);
        return 0;
}

static void question_check(OfferQuestion *q) {
        for (size_t i = 0; i < _CALL_MAX; i++)
                if (q->calls[i])
                        return;
        (void) timer_start(q->done, 0);
}

/* Returns whether the reply is one. */
static bool question_take(OfferQuestion *q, unsigned call, sd_bus_message *m) {
        q->calls[call] = sd_bus_slot_unref(q->calls[call]);
        return !sd_bus_message_is_method_error(m, NULL);
}

static void question_call(
        OfferQuestion *q, unsigned call, sd_bus_message *m, sd_bus_message_handler_t on_reply) {
        int r = m ? sd_bus_message_set_auto_start(m, false) : -ENOMEM;

        if (r >= 0)
                (void) sd_bus_call_async(q->bus, &q->calls[call], m, on_reply, q, PATIENCE_USEC);
}

/* -- start again -- */

static int question_on_definition(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OfferQuestion *q = userdata;

        q->defined = question_take(q, CALL_DEFINITION, m);
        question_check(q);
        return 0;
}

static void question_ask_definition(OfferQuestion *q) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                q->bus, &m, q->bus_name, NODE_PATH, NODE_INTERFACE, "GetDefinition");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", q->role);
        if (r >= 0)
                question_call(q, CALL_DEFINITION, m, question_on_definition);
}

static int question_on_role(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OfferQuestion *q = userdata;
        RoleFacts facts = {};

        if (!question_take(q, CALL_ROLE, m)) {
                /* It was removed at its end; its definition is still there, if it has one. */
                if (sd_bus_error_has_name(sd_bus_message_get_error(m), SD_BUS_ERROR_UNKNOWN_OBJECT))
                        question_ask_definition(q);
        } else if (properties_read(m, role_facts, ELEMENTSOF(role_facts), &facts) >= 0 &&
                   g_strcmp0(facts.state, "ended") == 0) {
                /* Who manages it would undo that, and who has its lease starts it. */
                q->defined = facts.definition && facts.definition[0] &&
                             !(facts.managed_by && facts.managed_by[0]) && !(facts.lease && facts.lease[0]);
                q->offer.status = g_steal_pointer(&facts.status);
        }
        properties_clear(role_facts, ELEMENTSOF(role_facts), &facts);
        question_check(q);
        return 0;
}

static void question_ask_role(OfferQuestion *q) {
        _cleanup_free_ char *path = role_object_path(q->role);
        g_autoptr(sd_bus_message) m = NULL;

        int r = !path ? -ENOMEM
                      : sd_bus_message_new_method_call(
                                q->bus, &m, q->bus_name, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", NODE_ROLE_INTERFACE);
        if (r >= 0)
                question_call(q, CALL_ROLE, m, question_on_role);
}

static int question_on_rights(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OfferQuestion *q = userdata;
        const char *action, *answer;

        /* A service that does not say it may permit it. */
        q->permitted = true;
        if (question_take(q, CALL_RIGHTS, m) && sd_bus_message_enter_container(m, 'a', "{ss}") > 0)
                while (sd_bus_message_read(m, "{ss}", &action, &answer) > 0)
                        if (g_str_equal(action, ACTION_START))
                                q->permitted = !g_str_equal(answer, "no");
        question_check(q);
        return 0;
}

static void question_ask_rights(OfferQuestion *q) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                q->bus, &m, q->bus_name, NODE_PATH, NODE_INTERFACE, "GetPermissions");
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}", "", 1, "verb", "s", "start");
        if (r >= 0)
                question_call(q, CALL_RIGHTS, m, question_on_rights);
}

/* -- Cockpit -- */

static int question_on_active(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OfferQuestion *q = userdata;
        const char *state;

        q->active = question_take(q, CALL_ACTIVE, m) && sd_bus_message_read(m, "v", "s", &state) > 0 &&
                    g_str_equal(state, "active");
        question_check(q);
        return 0;
}

/* "[::]:9090" */
static unsigned port_of(const char *address) {
        const char *colon = strrchr(address, ':');
        uint64_t port;

        return parse_u64(colon ? colon + 1 : address, &port) >= 0 && port <= UINT16_MAX ? (unsigned) port : 0;
}

static int question_on_listen(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        OfferQuestion *q = userdata;
        const char *type, *address;

        if (question_take(q, CALL_LISTEN, m) && sd_bus_message_enter_container(m, 'v', "a(ss)") > 0 &&
                sd_bus_message_enter_container(m, 'a', "(ss)") > 0)
                while (q->port == 0 && sd_bus_message_read(m, "(ss)", &type, &address) > 0)
                        if (g_str_equal(type, "Stream"))
                                q->port = port_of(address);
        question_check(q);
        return 0;
}

static void question_ask_socket(OfferQuestion *q, unsigned call, const char *interface, const char *property,
        sd_bus_message_handler_t on_reply) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(q->bus, &m, "org.freedesktop.systemd1", COCKPIT_SOCKET,
                "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", interface, property);
        if (r >= 0)
                question_call(q, call, m, on_reply);
}

/* -- */

OfferQuestion *offer_ask(
        sd_bus *bus, const char *bus_name, const char *role, bool cockpit, OfferReady ready, void *userdata) {
        OfferQuestion *q = g_new(OfferQuestion, 1);

        *q = (OfferQuestion){
                .bus = sd_bus_ref(bus),
                .bus_name = g_strdup(bus_name),
                .role = g_strdup(role),
                .ready = ready,
                .userdata = userdata,
        };
        if (timer_new(sd_bus_get_event(bus), &q->done, 0, question_on_done, q) < 0)
                return offer_question_free(q);
        if (role[0]) {
                question_ask_role(q);
                question_ask_rights(q);
        }
        if (cockpit && access(COCKPIT_PAGE, F_OK) == 0) {
                question_ask_socket(
                        q, CALL_ACTIVE, "org.freedesktop.systemd1.Unit", "ActiveState", question_on_active);
                question_ask_socket(
                        q, CALL_LISTEN, "org.freedesktop.systemd1.Socket", "Listen", question_on_listen);
        }
        question_check(q);
        return q;
}

OfferQuestion *offer_question_free(OfferQuestion *q) {
        if (!q)
                return NULL;
        q->done = sd_event_source_disable_unref(q->done);
        for (size_t i = 0; i < _CALL_MAX; i++)
                sd_bus_slot_unref(q->calls[i]);
        g_free(q->offer.status);
        g_free(q->bus_name);
        g_free(q->role);
        sd_bus_unref(q->bus);
        g_free(q);
        return NULL;
}

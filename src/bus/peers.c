/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "bus/peers.h"
#include "util/log.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define LOCAL_NAME "org.freedesktop.DBus.Local" /* sd-bus itself, about the connection */
#define LOCAL_PATH "/org/freedesktop/DBus/Local"

typedef struct Peer {
        const char *name;
        const char *path; /* of the tree of its objects */
        char *owner;      /* its unique name, NULL while it is not known or the name has no owner */
        sd_bus_slot *changed, *query;
} Peer;

/* A signal of another sender is dropped, whatever subscribes to it: a new peer is a line of this table. */
static const Peer peers_known[] = {
        { .name = "org.freedesktop.systemd1", .path = "/org/freedesktop/systemd1" },
        { .name = "org.freedesktop.login1", .path = "/org/freedesktop/login1" },
        { .name = "org.freedesktop.PolicyKit1", .path = "/org/freedesktop/PolicyKit1" },
};

struct Peers {
        sd_bus_slot *filter;
        Peer list[G_N_ELEMENTS(peers_known)];
};

static bool path_is_below(const char *path, const char *tree) {
        const size_t n = strlen(tree);

        return strncmp(path, tree, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The bus daemon sets the sender, and nobody else may send as the bus daemon. Nobody may send as another peer
 * either, so that polkit, which has a user of its own, cannot report the jobs of systemd. */
static bool peers_believe(const Peers *peers, const char *sender, const char *path) {
        if (!sender || !path)
                return false;
        if (g_str_equal(path, LOCAL_PATH))
                return g_str_equal(sender, LOCAL_NAME);
        if (g_str_equal(path, BUS_PATH))
                return g_str_equal(sender, BUS_NAME);
        for (size_t i = 0; i < G_N_ELEMENTS(peers->list); i++)
                if (path_is_below(path, peers->list[i].path))
                        return g_strcmp0(sender, peers->list[i].owner) == 0;
        return false;
}

static int peers_filter(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!sd_bus_message_is_signal(m, NULL, NULL) ||
                peers_believe(userdata, sd_bus_message_get_sender(m), sd_bus_message_get_path(m)))
                return 0;
        log_debug("Ignoring the signal %s of %s from %s, which may not send it", sd_bus_message_get_member(m),
                sd_bus_message_get_path(m), sd_bus_message_get_sender(m) ?: "nobody");
        return 1;
}

static void peer_set_owner(Peer *peer, const char *owner) {
        g_free(peer->owner);
        peer->owner = owner && owner[0] ? g_strdup(owner) : NULL;
}

static int peer_ask(sd_bus *bus, Peer *peer);

static int peer_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Peer *peer = userdata;
        sd_bus *bus = sd_bus_message_get_bus(m);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *owner = NULL;
        int r = 0;

        if (sd_bus_error_has_names(e, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_NO_REPLY))
                r = sd_bus_is_open(bus) > 0 ? peer_ask(bus, peer) : 0;
        else if (!e)
                r = sd_bus_message_read(m, "s", &owner);
        else if (!sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                log_warning("Cannot get the owner of %s, ignoring its signals: %s", peer->name, e->message);
        if (r < 0)
                log_warning_errno(r, "Cannot get the owner of %s, ignoring its signals: %m", peer->name);
        peer_set_owner(peer, owner);
        return 0;
}

static int peer_ask(sd_bus *bus, Peer *peer) {
        peer->query = sd_bus_slot_unref(peer->query);
        return sd_bus_call_method_async(bus, &peer->query, BUS_NAME, BUS_PATH, BUS_NAME, "GetNameOwner",
                peer_on_owner, peer, "s", peer->name);
}

static int peer_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Peer *peer = userdata;
        const char *owner;

        int r = sd_bus_message_read(m, "sss", NULL, NULL, &owner);
        if (r < 0) {
                log_warning_errno(r, "Cannot read NameOwnerChanged, ignoring: %m");
                return 0;
        }
        peer_set_owner(peer, owner);
        return 0;
}

/* The bus handles both in this order, so the last one that arrives is right. */
static int peer_watch(sd_bus *bus, Peer *peer) {
        g_autofree char *match =
                g_strdup_printf("type='signal',sender='" BUS_NAME "',path='" BUS_PATH "',interface='" BUS_NAME
                                "',member='NameOwnerChanged',arg0='%s'",
                        peer->name);

        int r = sd_bus_add_match_async(bus, &peer->changed, match, peer_on_changed, NULL, peer);
        return r < 0 ? r : peer_ask(bus, peer);
}

int peers_new(sd_bus *bus, Peers **ret) {
        Peers *peers = g_new0(Peers, 1);

        memcpy(peers->list, peers_known, sizeof(peers->list));
        int r = sd_bus_add_filter(bus, &peers->filter, peers_filter, peers);
        for (size_t i = 0; i < G_N_ELEMENTS(peers->list) && r >= 0; i++)
                r = peer_watch(bus, &peers->list[i]);
        if (r < 0) {
                peers_free(peers);
                return r;
        }
        *ret = peers;
        return 0;
}

Peers *peers_free(Peers *peers) {
        if (!peers)
                return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(peers->list); i++) {
                sd_bus_slot_unref(peers->list[i].changed);
                sd_bus_slot_unref(peers->list[i].query);
                g_free(peers->list[i].owner);
        }
        sd_bus_slot_unref(peers->filter);
        g_free(peers);
        return NULL;
}

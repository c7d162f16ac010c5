/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The objects of the desk on a bus: org.architect.Desk, and those of each host, whose calls are passed on. */

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "ctl/desk-host.h"

#define DESK_BUS_NAME "org.architect.Desk" /* for the instance main; for others ".<instance>" follows */
#define DESK_PATH "/org/architect/Desk"
#define DESK_HOST_PATH_PREFIX DESK_PATH "/host"
#define DESK_INTERFACE "org.architect.Desk"

typedef struct Desk Desk;

/* A host has another state or reason. n_connected is for all of them. */
typedef void (*DeskChanged)(const DeskHost *host, unsigned n_connected, unsigned n_hosts, void *userdata);

/* Makes the objects on the bus, and begins to connect the hosts, which are names. Their addresses are those
 * of remote_address(host, true) if address is NULL. Returns a negative errno. */
int desk_new(sd_event *event, sd_bus *bus, const char *instance, const GPtrArray *hosts,
        char *(*address)(const char *host), uint64_t patience_usec, DeskChanged changed, void *userdata,
        Desk **ret);

/* Calls that are under way fail. */
Desk *desk_free(Desk *desk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desk, desk_free)

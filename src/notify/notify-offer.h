/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can be done about a role now: whether the service would start it again, and whether Cockpit has a page
 * that shows it. It is asked for each notification, and what does not answer in time is not offered. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct Offer {
        bool start;            /* by its definition */
        unsigned cockpit_port; /* 0: no page */
        char *status;          /* what the role has said of itself before it ended, or NULL */
} Offer;

typedef struct OfferQuestion OfferQuestion;

/* Called once. The question is freed afterwards. */
typedef void (*OfferReady)(const Offer *offer, void *userdata);

/* A role that is empty is none. With cockpit the page is looked for, which only knows the instance main of
 * the system. */
OfferQuestion *offer_ask(
        sd_bus *bus, const char *bus_name, const char *role, bool cockpit, OfferReady ready, void *userdata);
OfferQuestion *offer_question_free(OfferQuestion *question);

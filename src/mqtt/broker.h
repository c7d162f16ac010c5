/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the MQTT broker, which is made again, with a delay that grows, whenever it is lost.
 *
 * A lost connection takes all with it that libmosquitto has queued: what was not acknowledged is published
 * again by who has published it, from what the node has. So a message is never in two queues. */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "mqtt/mqtt-settings.h"

/* The number of messages that the broker has not acknowledged. libmosquitto sends no more than this before an
 * acknowledgement arrives, either. */
#define BROKER_IN_FLIGHT_MAX 20U

#define BROKER_RETRY_MIN_USEC USEC_PER_SEC
#define BROKER_RETRY_MAX_USEC (30 * USEC_PER_SEC)

typedef struct Broker Broker;

/* Only ready() and lost() may publish and subscribe. */
typedef struct BrokerHandlers {
        /* There is a connection, with an empty queue. */
        void (*connected)(void *userdata);
        /* It is lost. */
        void (*lost)(void *userdata);
        /* A retained message of this topic exists, which is not empty. Others are not reported, and nothing
         * else that arrives is. */
        void (*retained)(const char *topic, void *userdata);
        /* The broker has acknowledged the message with this number. */
        void (*acknowledged)(int id, void *userdata);
        /* After any of these, if there is a connection, there may be room for more. */
        void (*ready)(void *userdata);
} BrokerHandlers;

/* The alive topic says whether this connection exists: "1", or "0" when the broker has lost it or it was
 * closed. Nothing is connected before the loop runs. The settings must live as long as the broker. Returns a
 * negative errno after logging. */
int broker_new(sd_event *event, const MqttSettings *settings, const char *alive_topic,
        const BrokerHandlers *handlers, void *userdata, Broker **ret);
Broker *broker_free(Broker *broker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Broker, broker_free)

bool broker_is_connected(const Broker *broker);

/* How many messages may be published now. */
unsigned broker_room(const Broker *broker);

/* Keeps room for messages that are about to come, or releases it. */
void broker_reserve(Broker *broker, unsigned n);
void broker_release(Broker *broker, unsigned n);

/* Publishes a message with QoS 1. An empty text, if it is retained, removes the topic. ret_id may be NULL.
 * Returns a negative errno if there is no connection. */
int broker_publish(Broker *broker, const char *topic, const char *text, bool retain, int *ret_id);

/* Asks for the retained messages of these topics. */
int broker_subscribe(Broker *broker, const char *pattern);

/* Publishes "0" and ends the connection, and then the loop, with exit status 0. If the broker does not
 * acknowledge that within a few seconds, the connection is dropped, and the broker publishes the will. */
void broker_close(Broker *broker);

/* A thread is waiting for the network. The process must end by _exit(). */
bool broker_is_stuck(const Broker *broker);

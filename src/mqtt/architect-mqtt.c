/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This is the main program of architect-mqtt, with options, signals and the loop. */

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "client/program.h"
#include "mqtt/broker.h"
#include "mqtt/mqtt-settings.h"
#include "mqtt/node-watch.h"
#include "mqtt/topics.h"
#include "util/autoptr.h"
#include "util/log.h"
#include "util/notify.h"

typedef struct Program {
        sd_event *event;
        MqttSettings *settings;
        char *base;
        sd_bus *bus;
        Broker *broker;
        GPtrArray *watches; /* of NodeWatch * */
        guint next;         /* the one that is first next time */
        int state_fd;
} Program;

static void program_clear(Program *p) {
        g_clear_pointer(&p->watches, g_ptr_array_unref);
        p->broker = broker_free(p->broker);
        sd_bus_flush_close_unref(p->bus);
        sd_event_unref(p->event);
        p->settings = mqtt_settings_free(p->settings);
        g_free(p->base);
        (void) fd_close(p->state_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Program, program_clear)

static void watch_free(void *p) {
        (void) node_watch_free(p);
}

static const char mqtt_help[] = "architect-mqtt [OPTIONS...]\n\n"
                                "Publishes the roles and the events of architect-node on an MQTT broker.\n\n"
                                "  -h --help           Show this help\n"
                                "     --version        Show the version\n"
                                "     --debug          Log debug messages\n\n"
                                "See architect-mqtt(8).\n";

/* -- what the broker reports -- */

static void program_on_connected(void *userdata) {
        const Program *p = userdata;

        for (guint i = 0; i < p->watches->len; i++)
                node_watch_on_connected(g_ptr_array_index(p->watches, i));
}

static void program_on_lost(void *userdata) {
        const Program *p = userdata;

        for (guint i = 0; i < p->watches->len; i++)
                node_watch_on_lost(g_ptr_array_index(p->watches, i));
}

static void program_on_retained(const char *topic, void *userdata) {
        const Program *p = userdata;

        for (guint i = 0; i < p->watches->len; i++)
                node_watch_on_retained(g_ptr_array_index(p->watches, i), topic);
}

static void program_on_acknowledged(int id, void *userdata) {
        const Program *p = userdata;

        for (guint i = 0; i < p->watches->len; i++)
                node_watch_on_acknowledged(g_ptr_array_index(p->watches, i), id);
}

/* One that has much to publish must not take all the room each time. */
static void program_on_ready(void *userdata) {
        Program *p = userdata;
        const guint n = p->watches->len;

        p->next++;
        for (guint i = 0; i < n; i++)
                node_watch_pump(g_ptr_array_index(p->watches, (p->next + i) % n));
}

static const BrokerHandlers program_handlers = {
        .connected = program_on_connected,
        .lost = program_on_lost,
        .retained = program_on_retained,
        .acknowledged = program_on_acknowledged,
        .ready = program_on_ready,
};

/* -- set-up -- */

/* Returns -EINVAL for what does not change with another start. */
static int program_load(Program *p) {
        g_autofree char *message = NULL;
        char host[HOST_NAME_MAX + 1] = "";

        if (gethostname(host, sizeof(host) - 1) < 0 || !topic_level_is_valid(host)) {
                log_error("The name of this host, \"%s\", cannot be a part of a topic", host);
                return -EINVAL;
        }
        if (mqtt_settings_load(MQTT_SETTINGS_DIRECTORY, host, &p->settings, &message) < 0) {
                log_error("%s", message);
                return -EINVAL;
        }
        p->base = topic_base(p->settings->topic, host);
        return 0;
}

static int program_on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        const Program *p = userdata;

        notify_send("STOPPING=1\nSTATUS=Telling the broker.");
        broker_close(p->broker);
        return 0;
}

static int program_watch(Program *p) {
        g_autofree char *alive = topic_alive(p->base);

        int r = broker_new(p->event, p->settings, alive, &program_handlers, p, &p->broker);
        for (char **i = p->settings->instances; r >= 0 && *i; i++) {
                NodeWatch *watch;

                r = node_watch_new(p->bus, p->broker, p->base, *i, p->state_fd, &watch);
                if (r >= 0)
                        g_ptr_array_add(p->watches, watch);
        }
        return r;
}

/* Returns the exit status, or a negative errno after logging. */
static int program_run(Program *p) {
        int r = program_load(p);

        if (r >= 0)
                r = program_open_state("architect-mqtt.service", &p->state_fd);
        if (r >= 0)
                r = program_open_bus(program_on_stop, p, &p->event, &p->bus);
        if (r >= 0)
                r = program_watch(p);
        if (r < 0)
                return r;
        /* The broker may be away for hours, which is no reason to delay anybody. */
        g_autofree char *ready = g_strdup_printf("STATUS=Connecting to the broker %s.", p->settings->host);
        r = program_run_loop(p->event, ready, sd_event_loop);
        for (guint i = 0; i < p->watches->len; i++)
                node_watch_save(g_ptr_array_index(p->watches, i));
        return r;
}

int main(int argc, char **argv) {
        log_setup();
        int r = program_parse_options(argc, argv, mqtt_help, NULL, NULL);
        if (r >= 0)
                return r;
        if (program_block_signals() < 0)
                return EXIT_FAILURE;

        g_auto(Program)
                program = { .watches = g_ptr_array_new_with_free_func(watch_free), .state_fd = -EBADF };
        r = program_exit_status(program_run(&program));
        /* Nothing that another thread uses may go away under it. */
        if (program.broker && broker_is_stuck(program.broker))
                _exit(r);
        return r;
}

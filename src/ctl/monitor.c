/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "monitor". It shows the events that client/events.h reads, after the last one that was shown. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "client/events.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/event-info.h"
#include "ctl/json.h"
#include "ctl/listener.h"
#include "ctl/roles.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* Between two attempts to connect again. */
#define RECONNECT_MIN_USEC USEC_PER_SEC
#define RECONNECT_MAX_USEC (30 * USEC_PER_SEC)

typedef struct Watch {
        Ctl *ctl;
        char *const *patterns;
        EventReader reader;
        Listener *listener; /* --format=supervisor, or NULL */
        CtlExit told;       /* what was wrong with it */
        uint32_t left;      /* how many to show; 0: any number */
        bool news;          /* there may be events that were not read */
        bool known;         /* the service has replied once */
        bool since;         /* --since=: from there, otherwise from now on */
        bool done;
        uint64_t delay_usec; /* the last one before a connection was tried */
} Watch;

static void watch_clear(Watch *watch) {
        event_reader_clear(&watch->reader);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Watch, watch_clear)

/* -- one event -- */

/* A later version of the service may have others, which have a name and a role, too. */
static char *details_describe(const char *signal, const EventInfo *info) {
        if (strcmp(signal, "RoleStarted") == 0)
                return g_strdup_printf("pid %" PRIu32 ", user %s", info->pid, info->user ?: "not known");
        if (strcmp(signal, "RoleExited") == 0) {
                g_autofree char *end = words_end(info->code, info->status);

                return g_strdup_printf("%s, cause %s", end, info->cause ?: "not known");
        }
        if (strcmp(signal, "RoleRestarting") == 0 && info->delay_usec == UINT64_MAX)
                return g_strdup_printf("attempt %" PRIu32 ", waits for another role", info->attempt);
        if (strcmp(signal, "RoleRestarting") == 0) {
                g_autofree char *delay = words_span(info->delay_usec);

                return g_strdup_printf("attempt %" PRIu32 " in %s", info->attempt, delay);
        }
        if (strcmp(signal, "MonitorTimedOut") == 0) {
                g_autofree char *timeout = words_span(info->timeout_usec);

                return g_strdup_printf("no beat for %s", timeout);
        }
        if (strcmp(signal, "LeaseExpired") == 0) {
                g_autofree char *timeout = words_span(info->timeout_usec);

                return g_strdup_printf("lease %s, no beat for %s", info->lease ?: "", timeout);
        }
        return g_strdup(info->result ?: info->reason ?: "");
}

static int event_print_text(const NodeEvent *event, sd_bus_message *m) {
        g_autofree char *time = words_timestamp(event->realtime_usec);
        EventInfo info = {};

        int r = event_info_read(m, &info);
        if (r < 0)
                return r;
        g_autofree char *text = details_describe(event->signal, &info), *escaped = words_escape(text);
        g_autofree char *line = g_strdup_printf(
                "%s %6" PRIu64 " %-15s %-16s %s", time, event->seq, event->signal, event->role, escaped);

        (void) puts(g_strchomp(line));
        return 0;
}

static int event_print_json(const Ctl *ctl, const NodeEvent *event, sd_bus_message *m) {
        g_autoptr(GString) json = g_string_new(NULL);

        int r = event_append_json(json, event, m, NULL);
        if (r >= 0)
                json_print(json->str, ctl->json);
        return r;
}

static int event_tell(Watch *watch, const NodeEvent *event, sd_bus_message *m) {
        EventInfo info = {};

        int r = event_info_read(m, &info);
        if (r < 0)
                return r;
        watch->told = listener_tell(watch->listener, event, &info);
        return watch->told == CTL_EXIT_OK ? 0 : -ECANCELED;
}

/* Events of the service itself have no role, so no pattern matches them. */
static bool watch_wants(const Watch *watch, const char *role) {
        if (!*watch->patterns)
                return true;
        for (char *const *p = watch->patterns; *p; p++)
                if (ctl_pattern_matches(*p, role))
                        return true;
        return false;
}

/* -- reading them -- */

static void watch_on_lost(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        if (from == to)
                ctl_error("event %" PRIu64 " is lost, the service does not have it any more", from);
        else
                ctl_error("the events %" PRIu64 " to %" PRIu64
                          " are lost, the service does not have them any more",
                        from, to);
}

static void watch_on_unsaved(uint64_t seq, void *userdata) {
        ctl_error("events after %" PRIu64 " are lost, the service could not save them", seq);
}

static void watch_on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        ctl_error("the service has lost its state: events after %" PRIu64 " may be lost, and their"
                  " numbers begin again, in the epoch %s",
                old_seq, epoch);
}

static int watch_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        Watch *watch = userdata;

        if (watch->done || !watch_wants(watch, event->role))
                return sd_bus_message_skip(m, "a{sv}");
        int r = watch->listener                    ? event_tell(watch, event, m)
                : watch->ctl->json == CTL_JSON_OFF ? event_print_text(event, m)
                                                   : event_print_json(watch->ctl, event, m);
        if (r >= 0 && watch->left > 0 && --watch->left == 0)
                watch->done = true;
        return r;
}

static const EventHandlers watch_handlers = {
        .event = watch_on_event,
        .lost = watch_on_lost,
        .unsaved = watch_on_unsaved,
        .epoch = watch_on_epoch,
};

/* The service is restarted, or has ended. Its next one is announced by the bus. */
static bool watch_may_wait(const Watch *watch, const sd_bus_error *error) {
        return watch->known &&
               sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN,
                       SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

/* Who watches does not start again what others have stopped. */
static void watch_set_known(Watch *watch) {
        watch->known = true;
        watch->ctl->auto_start = false;
}

static CtlExit watch_read_news(Watch *watch) {
        int n = 1;

        watch->news = false;
        if (watch->listener)
                watch->told = listener_flush(watch->listener);
        if (watch->told != CTL_EXIT_OK)
                return watch->told;
        while (n > 0 && !watch->done) {
                g_autoptr(sd_bus_message) call = NULL, reply = NULL;
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                CtlExit e = ctl_new_call(watch->ctl, &call, "EventsSince", NULL);
                if (e != CTL_EXIT_OK)
                        return e;
                n = event_reader_append(&watch->reader, call, 0);
                if (n < 0)
                        return ctl_cannot_send(n);
                n = ctl_try(watch->ctl, call, &error, &reply);
                if (n < 0 && watch_may_wait(watch, &error))
                        return CTL_EXIT_OK;
                /* Also if that is noticed in the middle of a call, and not while it waits for news. */
                if (n < 0 && watch->known && sd_bus_is_open(watch->ctl->bus) <= 0)
                        return ctl_report_lost(n);
                if (n < 0)
                        return ctl_report(watch->ctl, NULL, &error);
                watch_set_known(watch);
                n = event_reader_read(&watch->reader, reply, &watch_handlers, watch);
                if (watch->told != CTL_EXIT_OK)
                        return watch->told;
                if (n < 0)
                        return ctl_bad_reply(n);
                if (fflush(stdout) != 0)
                        return ctl_failed(errno, "write to standard output");
        }
        return CTL_EXIT_OK;
}

/* -- what is new -- */

static int watch_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Watch *watch = userdata;

        if (!sd_bus_message_is_signal(m, NODE_INTERFACE, "LogMessage"))
                watch->news = true;
        return 0;
}

static int watch_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Watch *watch = userdata;
        const char *name, *old, *new;

        int r = sd_bus_message_read(m, "sss", &name, &old, &new);
        if (r >= 0 && new[0])
                watch->news = true;
        else if (r >= 0)
                ctl_say(watch->ctl, "The service has ended. Its events are shown when it runs again.");
        return 0;
}

/* Begins after the newest event. */
static CtlExit watch_begin_now(Watch *watch) {
        g_auto(CtlNode) node = {};

        CtlExit e = ctl_get_node(watch->ctl, NULL, &node);
        if (e != CTL_EXIT_OK)
                return e;
        if (!node.event_epoch) {
                ctl_error("that node has the version %s, which does not keep events", node.version);
                return CTL_EXIT_FAILED;
        }
        event_reader_set(&watch->reader, node.event_epoch, node.event_sequence);
        if (watch->listener)
                ctl_say(watch->ctl, "The event listener gets what comes after event %" PRIu64 ".",
                        node.event_sequence);
        watch_set_known(watch);
        return CTL_EXIT_OK;
}

static CtlExit watch_connected(Watch *watch) {
        CtlExit e = ctl_subscribe(watch->ctl, watch_on_signal, watch);

        if (e == CTL_EXIT_OK)
                e = ctl_subscribe_owner(watch->ctl, watch_on_owner, watch);
        if (e == CTL_EXIT_OK && watch->listener)
                e = listener_attach(watch->listener);
        /* After another connection there may be events, too. */
        watch->news = watch->since || watch->known;
        if (e == CTL_EXIT_OK && !watch->news)
                e = watch_begin_now(watch);
        while (e == CTL_EXIT_OK && !watch->done) {
                if (watch->known)
                        watch->delay_usec = 0; /* it was of use */
                e = watch->news       ? watch_read_news(watch)
                    : watch->listener ? listener_run_until(watch->listener, &watch->news)
                                      : ctl_run_until(watch->ctl, &watch->news);
        }
        if (watch->listener)
                listener_detach(watch->listener);
        return e;
}

/* -- the connection to another host -- */

/* Nobody watches many hosts to start all over when one of them is away. One that was given alone must have
 * been there, since its name may be a mistake. */
static bool watch_may_reconnect(const Watch *watch) {
        const Ctl *ctl = watch->ctl;

        return ctl->host && (ctl->many || watch->known) && (!ctl->bus || sd_bus_is_open(ctl->bus) <= 0);
}

/* Longer each time, and not at the same time as all others whose switch has failed. */
static void watch_pause(Watch *watch) {
        watch->delay_usec =
                watch->delay_usec == 0 ? RECONNECT_MIN_USEC : MIN(2 * watch->delay_usec, RECONNECT_MAX_USEC);
        const uint64_t usec = watch->delay_usec * (uint64_t) g_random_int_range(75, 126) / 100;
        const uint64_t until = usec_add(now_usec(CLOCK_MONOTONIC), usec);

        while (now_usec(CLOCK_MONOTONIC) < until)
                (void) baton_poll(-1, 0, until);
}

static void watch_reconnect(Watch *watch) {
        g_autofree char *said = NULL;
        char *reason = NULL;

        ctl_say(watch->ctl, "It is tried again until there is a connection.");
        for (watch_pause(watch); ctl_reconnect(watch->ctl, &reason) < 0; watch_pause(watch)) {
                if (g_strcmp0(reason, said) != 0)
                        ctl_say(watch->ctl, "There is none yet: %s", reason);
                g_free(said);
                said = g_steal_pointer(&reason);
        }
        if (watch->known)
                ctl_say(watch->ctl, "There is a connection again. Event %" PRIu64 " was the last one.",
                        watch->reader.seq);
        else
                ctl_say(watch->ctl, "There is a connection.");
}

static CtlExit watch_run(Watch *watch) {
        CtlExit e;

        while ((e = watch_connected(watch)) != CTL_EXIT_OK && watch_may_reconnect(watch))
                watch_reconnect(watch);
        return e;
}

static CtlExit watch_for_listener(Watch *watch) {
        g_auto(Listener) listener = {};

        listener_init(&listener, watch->ctl);
        watch->listener = &listener;
        CtlExit e = watch_run(watch);
        if (e != CTL_EXIT_OK && watch->known)
                ctl_explain("--since=%" PRIu64
                            " --epoch=%s goes on after the last event that it has accepted.",
                        watch->reader.seq - (listener.pending->len > 0), watch->reader.epoch);
        watch->listener = NULL;
        return e;
}

CtlExit verb_monitor(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_SINCE = CTL_OPTION_OWN, ARG_EPOCH, ARG_FORMAT };
        static const struct option options[] = {
                { "since", required_argument, NULL, ARG_SINCE },
                { "epoch", required_argument, NULL, ARG_EPOCH },
                { "format", required_argument, NULL, ARG_FORMAT },
                { "count", required_argument, NULL, 'n' },
                { 0 },
        };
        g_auto(Watch) watch = { .ctl = ctl };
        const char *epoch = NULL;
        CtlExit e = CTL_EXIT_OK;
        bool since = false, supervisor = false;
        uint64_t seq = 0;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, "n:", options, &e)) >= 0)
                switch (c) {
                case ARG_SINCE:
                        since = true;
                        if (parse_u64(optarg, &seq) < 0)
                                return ctl_usage(argv[0], "--since=%s is not the number of an event", optarg);
                        break;
                case ARG_EPOCH:
                        epoch = optarg;
                        break;
                case ARG_FORMAT:
                        if (strcmp(optarg, "supervisor") != 0)
                                return ctl_usage(
                                        argv[0], "--format=%s is not known, it is \"supervisor\"", optarg);
                        supervisor = true;
                        break;
                default:
                        if (parse_u32(optarg, &watch.left) < 0 || watch.left == 0)
                                return ctl_usage(
                                        argv[0], "-n %s is not a number of events, from 1 on", optarg);
                        break;
                }
        if (supervisor && ctl->hosts)
                return ctl_usage(argv[0], "--format=supervisor is for one host, start one for each");
        if (c == CTL_OPTION_EXIT)
                return e;
        if (supervisor && ctl->json != CTL_JSON_OFF)
                return ctl_usage(argv[0], "--format=supervisor and JSON exclude each other");
        if (epoch && !since)
                return ctl_usage(argv[0], "--epoch= says what the number of --since= means, give both");
        event_reader_set(&watch.reader, epoch, seq);
        watch.patterns = argv + optind;
        ctl_end_on_signals();
        watch.since = since;
        return supervisor ? watch_for_listener(&watch) : watch_run(&watch);
}

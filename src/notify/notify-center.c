/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/time-util.h"
#include "client/timer.h"
#include "notify/notify-board.h"
#include "notify/notify-center.h"
#include "notify/notify-daemon.h"
#include "notify/notify-instances.h"
#include "notify/notify-launch.h"
#include "notify/notify-offer.h"
#include "notify/notify-watch.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Only a user who makes them up has more. */
#define INSTANCES_MAX 64U
/* When the daemon has refused a notification, or has ended meanwhile. */
#define RETRY_USEC USEC_PER_SEC
/* Somebody may type a password for it, and a role may take long to be ready. */
#define START_TIMEOUT_USEC (600 * USEC_PER_SEC)

#define ACTION_DEFAULT "default" /* a click on the notification itself */
#define ACTION_LOG "log"
#define ACTION_COCKPIT "cockpit"
#define ACTION_START "start"

struct NotifyCenter {
        sd_bus *user_bus;
        NotifyInstances instances[2]; /* of the system, of the user */
        GPtrArray *watches;           /* of NotifyWatch * */
        Board *board;
        NotifyDaemon *daemon;
        sd_event_source *next; /* when something that waits is to be shown */
        GPtrArray *jobs;       /* of Job * */
        uint64_t started_usec; /* CLOCK_MONOTONIC */
        int state_fd;
        bool full_warned;
};

/* What is under way for a role: a notification, or what was clicked. */
typedef struct Job {
        NotifyCenter *center;
        BoardEntry *entry; /* of a notification, which keeps it */
        const NotifyWatch *watch;
        char *subject;           /* of a click */
        OfferQuestion *question; /* NULL if it was answered */
        unsigned cockpit_port;
} Job;

static void center_pump(NotifyCenter *c);

static void job_free(void *p) {
        Job *job = p;

        (void) offer_question_free(job->question);
        g_free(job->subject);
        g_free(job);
}

static Job *job_new(NotifyCenter *c, BoardEntry *entry) {
        Job *job = g_new(Job, 1);

        *job = (Job){
                .center = c, .entry = entry, .watch = entry->origin, .subject = g_strdup(entry->subject)
        };
        g_ptr_array_add(c->jobs, job);
        return job;
}

static void job_end(Job *job) {
        (void) g_ptr_array_remove_fast(job->center->jobs, job);
}

static bool subject_is_role(const char *subject) {
        return subject[0] && !g_str_equal(subject, NOTIFY_SUBJECT_AWAY);
}

static const char *subject_role(const char *subject) {
        return subject_is_role(subject) ? subject : "";
}

static void center_add(NotifyCenter *c, const NotifyWatch *w, const char *subject, Note *note) {
        if (!board_add(c->board, w, subject, note, now_usec(CLOCK_MONOTONIC))) {
                if (!c->full_warned)
                        log_warning(
                                "More than %u roles have failed within seconds, not all of them are shown",
                                BOARD_MAX);
                c->full_warned = true;
        }
        center_pump(c);
}

/* -- showing -- */

static void center_on_shown(uint32_t id, const GError *error, void *userdata) {
        Job *job = userdata;
        NotifyCenter *c = job->center;

        if (error) {
                log_debug("Cannot show a notification: %s", error->message);
                board_not_shown(c->board, job->entry);
        } else {
                board_shown(c->board, job->entry, id, now_usec(CLOCK_MONOTONIC));
                notify_watch_shown((NotifyWatch *) job->watch);
        }
        job_end(job);
        if (error)
                (void) timer_start(c->next, RETRY_USEC);
        else
                center_pump(c);
}

static void add_action(GPtrArray *actions, const char *name, const char *label) {
        g_ptr_array_add(actions, (char *) name);
        g_ptr_array_add(actions, (char *) label);
}

static bool has_terminal(void) {
        char *const nothing[] = { NULL };
        g_auto(GStrv) words = launch_in_terminal(nothing);

        return words;
}

static bool has_browser(void) {
        g_auto(GStrv) words = launch_browser("");

        return words;
}

static void center_on_offer(const Offer *offer, void *userdata) {
        Job *job = userdata;
        NotifyCenter *c = job->center;
        const Batch *batch = &job->entry->batch;
        g_autofree char *body = batch_body(
                batch, notify_watch_place(job->watch), offer->status, notify_daemon_has_markup(c->daemon));
        g_autoptr(GPtrArray) actions = g_ptr_array_new();

        job->question = NULL;
        if (notify_daemon_has_actions(c->daemon)) {
                const bool log = has_terminal(), cockpit = offer->cockpit_port != 0 && has_browser();

                /* A click on the notification itself never starts anything. */
                if (log || cockpit)
                        add_action(actions, ACTION_DEFAULT, log ? "Log" : "Cockpit");
                if (log)
                        add_action(actions, ACTION_LOG, "Log");
                if (cockpit)
                        add_action(actions, ACTION_COCKPIT, "Cockpit");
                if (offer->start)
                        add_action(actions, ACTION_START, "Start again");
        }
        g_ptr_array_add(actions, NULL);
        job->entry->cockpit_port = offer->cockpit_port;
        const Notification notification = {
                .replaces = job->entry->closed ? 0 : job->entry->id,
                .summary = batch->note->summary,
                .body = body,
                .actions = (const char *const *) actions->pdata,
                .icon = batch->note->critical ? "dialog-error" : "dialog-warning",
                .critical = batch->note->critical,
        };
        notify_daemon_show(c->daemon, &notification, center_on_shown, job);
}

static void center_show(NotifyCenter *c, BoardEntry *entry) {
        Job *job = job_new(c, entry);
        const NotifyWatch *w = job->watch;
        const bool cockpit =
                !notify_watch_is_user(w) && g_str_equal(notify_watch_instance(w), NODE_DEFAULT_INSTANCE);

        job->question = offer_ask(notify_watch_bus(w), notify_watch_bus_name(w), subject_role(entry->subject),
                cockpit, center_on_offer, job);
        if (!job->question)
                center_on_offer(&(Offer){}, job);
}

static int center_on_next(sd_event_source *s, uint64_t usec, void *userdata) {
        center_pump(userdata);
        return 0;
}

static void center_pump(NotifyCenter *c) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        BoardEntry *entry;
        uint64_t next;

        while ((entry = board_take(c->board, now, &next))) {
                if (!notify_daemon_is_ready(c->daemon)) {
                        board_not_shown(c->board, entry);
                        return;
                }
                center_show(c, entry);
        }
        if (next != UINT64_MAX)
                (void) timer_start(c->next, usec_until(next));
}

/* -- clicks -- */

/* The answer is about the role, so it waits as what happens to the role does. */
static void job_refused(Job *job, const char *before, const char *after, const char *reason) {
        const char *role = subject_role(job->subject);
        g_autofree char *summary = g_strconcat(before, role[0] ? role : "architect-node", after, NULL);

        log_notice("%s: %s", summary, reason);
        center_add(job->center, job->watch, job->subject,
                note_new_refused(summary, reason, now_usec(CLOCK_REALTIME)));
}

static int center_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        Job *job = userdata;

        if (failure)
                job_refused(job, "", " was not started", failure->message ?: failure->name);
        job_end(job);
        return 0;
}

static void center_start(NotifyCenter *c, BoardEntry *entry) {
        Job *job = job_new(c, entry);
        sd_bus *bus = notify_watch_bus(job->watch);
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                bus, &m, notify_watch_bus_name(job->watch), NODE_PATH, NODE_INTERFACE, "Start");
        if (r >= 0)
                r = sd_bus_message_append(m, "sasa{sv}", job->subject, 0, 0);
        /* The person is there, and can be asked for a password. */
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r >= 0)
                r = sd_bus_call_async(bus, NULL, m, center_on_started, job, START_TIMEOUT_USEC);
        if (r < 0) {
                job_refused(job, "", " was not started", strerror(-r));
                job_end(job);
        }
}

static int center_on_launched(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        Job *job = userdata;

        if (failure)
                job_refused(job, "The log of ", " cannot be shown", failure->message ?: failure->name);
        job_end(job);
        return 0;
}

static void center_launch(NotifyCenter *c, BoardEntry *entry, char *const *words) {
        Job *job = job_new(c, entry);

        int r = words ? launch_start(c->user_bus, words, entry->token, center_on_launched, job) : -ENOENT;
        if (r < 0) {
                job_refused(job, "The log of ", " cannot be shown", strerror(-r));
                job_end(job);
        }
}

static void center_open_log(NotifyCenter *c, BoardEntry *entry) {
        const NotifyWatch *w = entry->origin;
        g_auto(GStrv) command =
                launch_log(notify_watch_is_user(w), notify_watch_instance(w), subject_role(entry->subject));
        g_auto(GStrv) words = launch_in_terminal(command);

        center_launch(c, entry, words);
}

static void center_open_cockpit(NotifyCenter *c, BoardEntry *entry) {
        const char *role = subject_role(entry->subject);
        g_autofree char *uri = g_strdup_printf(
                "http://localhost:%u/architect%s%s", entry->cockpit_port, role[0] ? "#/role/" : "", role);
        g_auto(GStrv) words = launch_browser(uri);

        center_launch(c, entry, words);
}

static void center_on_action(uint32_t id, const char *action, void *userdata) {
        NotifyCenter *c = userdata;
        BoardEntry *entry = board_find(c->board, id);

        if (!entry)
                return;
        if (g_str_equal(action, ACTION_DEFAULT))
                action = has_terminal() ? ACTION_LOG : ACTION_COCKPIT;
        if (g_str_equal(action, ACTION_LOG))
                center_open_log(c, entry);
        else if (g_str_equal(action, ACTION_COCKPIT) && entry->cockpit_port != 0)
                center_open_cockpit(c, entry);
        else if (g_str_equal(action, ACTION_START) && subject_is_role(entry->subject))
                center_start(c, entry);
        g_clear_pointer(&entry->token, g_free);
}

static void center_on_token(uint32_t id, const char *token, void *userdata) {
        const NotifyCenter *c = userdata;
        BoardEntry *entry = board_find(c->board, id);

        if (!entry)
                return;
        g_free(entry->token);
        entry->token = g_strdup(token);
}

static void center_on_closed(uint32_t id, void *userdata) {
        const NotifyCenter *c = userdata;
        BoardEntry *entry = board_find(c->board, id);

        if (entry)
                entry->closed = true;
}

static void center_on_ready(void *userdata) {
        center_pump(userdata);
}

static void center_on_gone(void *userdata) {
        NotifyCenter *c = userdata;

        board_forget_ids(c->board);
        /* Another one may be started for what waits. */
        center_pump(c);
}

static const NotifyDaemonHandlers daemon_handlers = {
        .ready = center_on_ready,
        .gone = center_on_gone,
        .action = center_on_action,
        .token = center_on_token,
        .closed = center_on_closed,
};

/* -- instances -- */

static void center_on_note(const NotifyWatch *w, const char *subject, Note *note, void *userdata) {
        center_add(userdata, w, subject, note);
}

static uint64_t center_on_first_seq(const NotifyWatch *w, void *userdata) {
        const NotifyCenter *c = userdata;

        return board_first_seq(c->board, w);
}

static void center_on_epoch(const NotifyWatch *w, void *userdata) {
        const NotifyCenter *c = userdata;

        board_forget_seqs(c->board, w);
}

static const NotifyWatchHandlers watch_handlers = {
        .note = center_on_note,
        .first_seq = center_on_first_seq,
        .epoch = center_on_epoch,
};

static void center_on_instance(sd_bus *bus, const char *instance, void *userdata) {
        NotifyCenter *c = userdata;
        NotifyWatch *w;

        for (unsigned i = 0; i < c->watches->len; i++) {
                w = g_ptr_array_index(c->watches, i);
                if (notify_watch_bus(w) == bus && g_str_equal(notify_watch_instance(w), instance))
                        return;
        }
        if (c->watches->len >= INSTANCES_MAX) {
                log_warning("There are more than %u instances, %s is not watched", INSTANCES_MAX, instance);
                return;
        }
        if (notify_watch_new(bus, bus == c->user_bus, instance, c->state_fd, &watch_handlers, c, &w) < 0)
                return;
        g_ptr_array_add(c->watches, w);
        if (notify_watch_has_history(w))
                board_hold(c->board, c->started_usec + BOARD_INTERVAL_USEC);
}

static void watch_free(void *p) {
        (void) notify_watch_free(p);
}

/* -- */

int notify_center_new(
        sd_bus *system, sd_bus *user, GDBusConnection *session, int state_fd, NotifyCenter **ret) {
        g_autoptr(NotifyCenter) c = g_new(NotifyCenter, 1);
        sd_bus *buses[] = { system, user };

        *c = (NotifyCenter){
                .user_bus = user,
                .watches = g_ptr_array_new_with_free_func(watch_free),
                .jobs = g_ptr_array_new_with_free_func(job_free),
                .board = board_new(),
                .started_usec = now_usec(CLOCK_MONOTONIC),
                .state_fd = state_fd,
        };
        int r = timer_new(sd_bus_get_event(user), &c->next, 0, center_on_next, c);
        c->daemon = notify_daemon_new(session, &daemon_handlers, c);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(buses); i++) {
                c->instances[i] =
                        (NotifyInstances){ .bus = buses[i], .found = center_on_instance, .userdata = c };
                r = notify_instances_watch(&c->instances[i]);
        }
        if (r < 0)
                return log_error_errno(r, "Cannot watch the instances: %m");
        *ret = g_steal_pointer(&c);
        return 0;
}

NotifyCenter *notify_center_free(NotifyCenter *c) {
        if (!c)
                return NULL;
        for (unsigned i = 0; i < c->watches->len; i++)
                notify_watch_save(g_ptr_array_index(c->watches, i));
        c->next = sd_event_source_disable_unref(c->next);
        (void) notify_daemon_free(c->daemon);
        g_ptr_array_unref(c->jobs);
        g_ptr_array_unref(c->watches);
        (void) board_free(c->board);
        g_free(c);
        return NULL;
}

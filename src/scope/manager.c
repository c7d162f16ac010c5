/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "scope/direct.h"
#include "scope/manager.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Each way to end the machine, or the manager of a user, begins with a job of this target. */
#define SHUTDOWN_TARGET "shutdown.target"

typedef struct ManagerCall {
        Manager *manager;
        sd_bus_message *message;
        sd_bus_slot *slot;
        ManagerReply reply; /* one of these two is set */
        ManagerJobDone done;
        uint64_t job_timeout_usec;
        void *userdata;
        ManagerDrop drop;
        bool creates;       /* units that do not exist, so no earlier call is about them */
        bool barrier;       /* waits for signals */
        bool direct;        /* was sent by the direct connection */
        unsigned n_owners;  /* of the manager, when the call was sent */
        uint64_t sent_usec; /* CLOCK_MONOTONIC */
        int error;          /* why it could not be created or sent */
} ManagerCall;

typedef struct ManagerJob {
        Manager *manager;
        char *path;
        ManagerJobDone done;
        void *userdata;
        ManagerDrop drop;
        sd_event_source *timeout;
} ManagerJob;

struct Manager {
        sd_bus *bus;
        sd_event *event;   /* of the bus, which has none any more once it is closed */
        unsigned n_owners; /* how often systemd has come back to the bus */
        void (*ready)(void *userdata);
        void *ready_userdata;
        unsigned version;
        bool asked; /* the version was requested and received */
        sd_bus_slot *job_removed;
        sd_bus_slot *job_new;
        sd_bus_slot *owner_changed;
        ManagerJobNew on_job_new;
        void *job_new_userdata;
        char *shutdown_job; /* of shutdown.target, or NULL */
        void (*on_shutdown)(void *userdata);
        void *shutdown_userdata;
        GQueue *waiting;   /* of ManagerCall, not sent yet */
        GHashTable *calls; /* of ManagerCall, sent, not answered */
        /* Of ManagerCall, sent before systemd left the bus to re-execute itself. */
        GQueue *lost;
        sd_event_source *lost_timeout;
        /* Of ManagerCall that could not be created or sent, or that have no bus any more. */
        GQueue *unsent;
        sd_event_source *unsent_source;
        GHashTable *jobs; /* path → ManagerJob */

        /* The direct connection, while somebody wants it, and until the calls by it are answered. */
        char *direct_address; /* NULL if nobody wants it */
        Direct *direct;
        unsigned n_direct;    /* of the calls */
        uint64_t direct_usec; /* when it was opened, CLOCK_MONOTONIC */
        bool direct_works;    /* it has brought a reply */
        bool direct_failed;   /* it is not tried again until somebody else wants it */
        /* Its first and its last JobNew, which come once more by the bus, later; 0 before the first. */
        uint32_t direct_jobs[2];
};

/* What systemd sent by the bus before it knew of the direct connection is awaited no longer than this. */
#define DIRECT_BARRIER_USEC USEC_PER_SEC

static void manager_call_free(ManagerCall *call) {
        sd_bus_message_unref(call->message);
        sd_bus_slot_unref(call->slot);
        g_free(call);
}

static void manager_call_drop(void *p) {
        ManagerCall *call = p;

        if (call->drop)
                call->drop(call->userdata);
        manager_call_free(call);
}

static void manager_job_free(ManagerJob *job) {
        sd_event_source_disable_unref(job->timeout);
        g_free(job->path);
        g_free(job);
}

unsigned manager_version(const Manager *manager) {
        return manager->version;
}

bool manager_is_ready(const Manager *manager) {
        return manager->asked;
}

sd_bus *manager_bus(Manager *manager) {
        return manager->bus;
}

sd_event *manager_event(Manager *manager) {
        return manager->event;
}

int manager_new_call(Manager *manager, sd_bus_message **ret, const char *member) {
        return sd_bus_message_new_method_call(
                manager->bus, ret, MANAGER_BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, member);
}

static void manager_job_end(Manager *manager, ManagerJob *job, const char *result) {
        ManagerJobDone done = job->done;
        void *userdata = job->userdata;

        (void) g_hash_table_remove(manager->jobs, job->path);
        done(userdata, result, NULL);
}

static int manager_job_on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        ManagerJob *job = userdata;

        log_warning("systemd has not reported the end of job %s in time, checking its unit", job->path);
        manager_job_end(job->manager, job, NULL);
        return 0;
}

/* Waits for the job for which the call was made. */
static void manager_job_wait(const ManagerCall *call, const char *path) {
        Manager *manager = call->manager;
        ManagerJob *job = g_new(ManagerJob, 1);

        *job = (ManagerJob){
                .manager = manager,
                .path = g_strdup(path),
                .done = call->done,
                .userdata = call->userdata,
                .drop = call->drop,
        };
        int r = sd_event_add_time_relative(manager->event, &job->timeout, CLOCK_MONOTONIC,
                call->job_timeout_usec, USEC_PER_SEC, manager_job_on_timeout, job);
        if (r < 0)
                log_error_errno(r, "Cannot set the timer of a job: %m");
        (void) g_hash_table_replace(manager->jobs, job->path, job);
}

static int manager_on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *path, *result;
        ManagerJob *job;

        int r = sd_bus_message_read(m, "uoss", NULL, &path, NULL, &result);
        if (r < 0) {
                log_warning_errno(r, "Cannot read JobRemoved, ignoring: %m");
                return 0;
        }
        if (g_strcmp0(path, manager->shutdown_job) == 0 && !g_str_equal(result, "done"))
                g_clear_pointer(&manager->shutdown_job, g_free); /* systemctl cancel */
        job = g_hash_table_lookup(manager->jobs, path);
        if (job)
                manager_job_end(manager, job, result);
        return 0;
}

/* The numbers of jobs ascend, and those of one transaction arrive together. */
static bool manager_job_is_known(Manager *manager, sd_bus_message *m, uint32_t job) {
        uint32_t *jobs = manager->direct_jobs;

        if (sd_bus_message_get_bus(m) == manager->bus)
                return jobs[0] > 0 && job >= jobs[0] && job <= jobs[1];
        jobs[0] = jobs[0] == 0 ? job : MIN(jobs[0], job);
        jobs[1] = MAX(jobs[1], job);
        return false;
}

static int manager_on_job_new(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *path, *unit;
        uint32_t job;

        int r = sd_bus_message_read(m, "uos", &job, &path, &unit);
        if (r < 0) {
                log_warning_errno(r, "Cannot read JobNew, ignoring: %m");
                return 0;
        }
        if (manager_job_is_known(manager, m, job))
                return 0;
        if (g_str_equal(unit, SHUTDOWN_TARGET)) {
                g_free(manager->shutdown_job);
                manager->shutdown_job = g_strdup(path);
                if (manager->on_shutdown)
                        manager->on_shutdown(manager->shutdown_userdata);
        }
        if (manager->on_job_new)
                manager->on_job_new(manager->job_new_userdata, path, unit);
        return 0;
}

static void manager_call_end(ManagerCall *call, sd_bus_message *reply, const sd_bus_error *error) {
        if (call->reply)
                call->reply(call->userdata, reply, error);
        else if (call->done) {
                const char *path;

                if (error)
                        call->done(call->userdata, NULL, error);
                else if (sd_bus_message_read(reply, "o", &path) < 0)
                        call->done(call->userdata, NULL, NULL);
                else
                        manager_job_wait(call, path);
        }
        manager_call_free(call);
}

static void manager_pump(Manager *manager);
static void manager_close_direct(Manager *manager);

/* The bus reports that the name has no owner: while systemd re-executes itself, it is not on the bus. (It has
 * an activation file, which is made to fail.) Or the bus is gone: then no reply will arrive, and all pending
 * calls are dropped soon.
 *
 * A timeout in sd-bus is no reply of the bus, although sd-bus presents it as one. */
static bool manager_is_away(const ManagerCall *call, sd_bus_message *m) {
        const sd_bus_error *error = sd_bus_message_get_error(m);

        if (!error)
                return false;
        if (sd_bus_is_open(sd_bus_message_get_bus(m)) <= 0)
                return true;
        if (now_usec(CLOCK_MONOTONIC) - call->sent_usec >= MANAGER_TIMEOUT_USEC)
                return false;
        return g_strcmp0(sd_bus_message_get_sender(m), "org.freedesktop.DBus") == 0 &&
               (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN,
                        SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
                       g_str_has_prefix(error->name, "org.freedesktop.DBus.Error.Spawn."));
}

static void manager_calls_fail(GQueue *calls, const char *name, const char *message) {
        const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, message);

        /* Without those that are added by these callbacks. */
        for (unsigned n = g_queue_get_length(calls); n > 0; n--)
                manager_call_end(g_queue_pop_head(calls), NULL, &error);
}

static int manager_on_lost_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        manager->lost_timeout = sd_event_source_disable_unref(manager->lost_timeout);
        manager_calls_fail(manager->lost, SD_BUS_ERROR_NO_REPLY, "systemd has left the bus");
        manager_pump(manager);
        return 0;
}

/* The call is made again when systemd is back. It may have been executed already, which each caller must
 * tolerate. */
static int manager_call_keep(ManagerCall *call) {
        Manager *manager = call->manager;

        if (!manager->lost_timeout) {
                int r = sd_event_add_time_relative(manager->event, &manager->lost_timeout, CLOCK_MONOTONIC,
                        MANAGER_TIMEOUT_USEC, USEC_PER_SEC, manager_on_lost_timeout, manager);
                if (r < 0)
                        return r;
        }
        call->slot = sd_bus_slot_unref(call->slot);
        g_queue_push_tail(manager->lost, call);
        return 0;
}

static void manager_calls_send_again(Manager *manager) {
        ManagerCall *call;

        manager->lost_timeout = sd_event_source_disable_unref(manager->lost_timeout);
        while ((call = g_queue_pop_tail(manager->lost)))
                g_queue_push_head(manager->waiting, call);
        manager_pump(manager);
}

static int manager_call_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        ManagerCall *call = userdata;
        Manager *manager = call->manager;

        (void) g_hash_table_remove(manager->calls, call);
        manager->n_direct -= call->direct;
        if (manager_is_away(call, m)) {
                if (call->direct || call->n_owners != manager->n_owners) {
                        /* It was away and is back, before the bus has reported that (the bus may have tried
                         * to activate it). Or the direct connection has ended, and the bus will tell. */
                        call->slot = sd_bus_slot_unref(call->slot);
                        g_queue_push_head(manager->waiting, call);
                        manager_pump(manager);
                        return 0;
                }
                if (manager_call_keep(call) >= 0)
                        return 0;
        }
        manager->direct_works |= call->direct;
        manager_call_end(call, m, sd_bus_message_get_error(m));
        manager_close_direct(manager);
        manager_pump(manager);
        return 0;
}

static int manager_on_unsent(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;

        /* If the connection is lost, the caller has not failed: the next process, or agent, calls again. */
        if (sd_bus_is_open(manager->bus) <= 0)
                return 0;
        /* Without those that are added by these callbacks. */
        for (unsigned n = g_queue_get_length(manager->unsent); n > 0; n--) {
                ManagerCall *call = g_queue_pop_head(manager->unsent);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                (void) sd_bus_error_setf(
                        &error, SD_BUS_ERROR_FAILED, "Cannot call systemd: %s", g_strerror(-call->error));
                manager_call_end(call, NULL, &error);
        }
        return 0;
}

/* A reply never arrives before the call has returned. */
static void manager_call_not_sent(ManagerCall *call, int error) {
        Manager *manager = call->manager;

        /* If no caller waits for the reply, the error is logged here. */
        bool silent = call->reply || call->done || sd_bus_is_open(manager->bus) <= 0;
        (void) log_full_errno(silent ? LOG_DEBUG : LOG_WARNING, error, "Cannot call systemd, ignoring: %m");
        call->error = error;
        g_queue_push_tail(manager->unsent, call);
        (void) sd_event_source_set_enabled(manager->unsent_source, SD_EVENT_ONESHOT);
}

/* -- the direct connection -- */

static void manager_on_direct_lost(void *userdata) {
        Manager *manager = userdata;

        if (!manager->direct_works) {
                log_warning("systemd does not reply by its own socket, using the bus");
                manager->direct_failed = true;
        }
        manager->direct = direct_free(manager->direct);
        manager_pump(manager);
}

static void manager_open_direct(Manager *manager) {
        static const DirectHandler handler = {
                .job_new = manager_on_job_new,
                .job_removed = manager_on_job_removed,
                .lost = manager_on_direct_lost,
        };

        memset(manager->direct_jobs, 0, sizeof(manager->direct_jobs));
        manager->direct_works = false;
        manager->direct_usec = now_usec(CLOCK_MONOTONIC);
        int r = direct_new(manager->event, manager->direct_address, &handler, manager, &manager->direct);
        if (r < 0) {
                log_warning_errno(r, "Cannot call systemd by its own socket, using the bus: %m");
                manager->direct_failed = true;
        }
}

static void manager_close_direct(Manager *manager) {
        if (!manager->direct_address && manager->n_direct == 0)
                manager->direct = direct_free(manager->direct);
}

/* The bus may be slower by far. So a call that could depend on an earlier one, which is still on its way by
 * the bus, goes the same way. */
static bool manager_call_goes_direct(Manager *manager, const ManagerCall *call) {
        if (!manager->direct_address || manager->direct_failed ||
                (!call->creates && g_hash_table_size(manager->calls) > manager->n_direct))
                return false;
        if (!manager->direct)
                manager_open_direct(manager);
        return manager->direct && sd_bus_is_open(direct_bus(manager->direct)) > 0 &&
               (!call->barrier || now_usec(CLOCK_MONOTONIC) - manager->direct_usec >= DIRECT_BARRIER_USEC);
}

void manager_set_direct(Manager *manager, const char *address) {
        g_free(manager->direct_address);
        manager->direct_address = g_strdup(address);
        manager->direct_failed = false;
        manager_close_direct(manager);
}

/* -- calls -- */

static bool manager_call_send(Manager *manager, ManagerCall *call) {
        call->direct = manager_call_goes_direct(manager, call);
        const unsigned n =
                call->direct ? manager->n_direct : g_hash_table_size(manager->calls) - manager->n_direct;
        if (n >= MANAGER_CALLS_MAX)
                return false;

        int r = sd_bus_call_async(call->direct ? direct_bus(manager->direct) : manager->bus, &call->slot,
                call->message, manager_call_on_reply, call, MANAGER_TIMEOUT_USEC);
        if (r < 0) {
                manager_call_not_sent(call, r);
                return true;
        }
        call->n_owners = manager->n_owners;
        call->sent_usec = now_usec(CLOCK_MONOTONIC);
        manager->n_direct += call->direct;
        (void) g_hash_table_add(manager->calls, call);
        return true;
}

static void manager_pump(Manager *manager) {
        for (GList *l = manager->waiting->head, *next; l; l = next) {
                next = l->next;
                if (manager_call_send(manager, l->data))
                        g_queue_delete_link(manager->waiting, l);
                else if (!manager->direct)
                        return;
        }
}

/* Every call to systemd passes this function. */
static void manager_call_queue(Manager *manager, int r, sd_bus_message *m, const ManagerCall *template) {
        ManagerCall *call = g_new(ManagerCall, 1);

        *call = *template;
        call->manager = manager;
        call->message = r < 0 ? NULL : sd_bus_message_ref(m);
        if (r < 0) {
                manager_call_not_sent(call, r);
                return;
        }
        g_queue_push_tail(manager->waiting, call);
        manager_pump(manager);
}

void manager_call(
        Manager *manager, int r, sd_bus_message *m, ManagerReply reply, void *userdata, ManagerDrop drop) {
        manager_call_queue(
                manager, r, m, &(ManagerCall){ .reply = reply, .userdata = userdata, .drop = drop });
}

void manager_create_units(Manager *manager, int r, sd_bus_message *m, uint64_t timeout_usec,
        ManagerJobDone done, void *userdata, ManagerDrop drop) {
        manager_call_queue(manager, r, m,
                &(ManagerCall){
                        .creates = true,
                        .done = done,
                        .job_timeout_usec = timeout_usec,
                        .userdata = userdata,
                        .drop = drop,
                });
}

void manager_send(Manager *manager, sd_bus_message *m) {
        manager_call(manager, 0, m, NULL, NULL, NULL);
}

int manager_get_property(Manager *manager, const char *path, const char *interface, const char *property,
        ManagerReply reply, void *userdata, ManagerDrop drop) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                manager->bus, &m, MANAGER_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", interface, property);
        if (r >= 0)
                manager_call(manager, r, m, reply, userdata, drop);
        return r;
}

void manager_barrier(Manager *manager, ManagerReply reply, void *userdata, ManagerDrop drop) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                manager->bus, &m, MANAGER_BUS_NAME, MANAGER_PATH, "org.freedesktop.DBus.Peer", "Ping");
        manager_call_queue(manager, r, m,
                &(ManagerCall){ .barrier = true, .reply = reply, .userdata = userdata, .drop = drop });
}

static void manager_stop(Manager *manager, const char *unit, const char *mode, ManagerJobDone done,
        void *userdata, ManagerDrop drop) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(manager, &m, "StopUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, mode);
        manager_call_queue(manager, r, m,
                &(ManagerCall){
                        .done = done,
                        .job_timeout_usec = MANAGER_TIMEOUT_USEC,
                        .userdata = userdata,
                        .drop = drop,
                });
}

void manager_stop_unit(
        Manager *manager, const char *unit, ManagerJobDone done, void *userdata, ManagerDrop drop) {
        manager_stop(manager, unit, "replace", done, userdata, drop);
}

/* The stop of a slice stops what is in it, because that requires the slice. A start may overtake the call, by
 * the direct connection, or because the call is made again after systemd has left the bus, and others may put
 * units into a slice. So the requirements are ignored: what is in the slice goes on, in the same cgroup, and
 * the next start in it starts the slice again. */
void manager_stop_slice(Manager *manager, const char *slice) {
        manager_stop(manager, slice, "ignore-requirements", NULL, NULL, NULL);
}

void manager_kill_unit(
        Manager *manager, const char *unit, int signo, ManagerReply reply, void *userdata, ManagerDrop drop) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(manager, &m, "KillUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssi", unit, "all", signo);
        manager_call(manager, r, m, reply, userdata, drop);
}

/* systemd sends signals about jobs of other clients to subscribers only. The subscription lasts as long as
 * both connections, also over a daemon-reexec. */
static int manager_subscribe(Manager *manager) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = manager_new_call(manager, &m, "Subscribe");
        if (r >= 0)
                manager_send(manager, m);
        return r;
}

int manager_watch_jobs(Manager *manager, ManagerJobNew job_new, void *userdata) {
        manager->on_job_new = job_new;
        manager->job_new_userdata = userdata;
        int r = sd_bus_match_signal_async(manager->bus, &manager->job_new, MANAGER_BUS_NAME, MANAGER_PATH,
                MANAGER_INTERFACE, "JobNew", manager_on_job_new, NULL, manager);
        return r < 0 ? r : manager_subscribe(manager);
}

bool manager_is_shutting_down(const Manager *manager) {
        return manager->shutdown_job;
}

void manager_watch_shutdown(Manager *manager, void (*on_shutdown)(void *userdata), void *userdata) {
        manager->on_shutdown = on_shutdown;
        manager->shutdown_userdata = userdata;
}

static int manager_ask_version(Manager *manager);

static void manager_on_version(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Manager *manager = userdata;
        const char *version;

        if (manager->asked)
                return;
        if (sd_bus_error_has_names(error, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_NO_REPLY)) {
                log_warning("systemd does not answer, trying again: %s", error->message);
                int r = manager_ask_version(manager);
                if (r < 0)
                        log_error_errno(r, "Cannot get the version of systemd, starts wait: %m");
                return;
        }
        if (error) {
                /* A bus that was just restarted: systemd connects to it a moment later than this service. */
                log_notice("systemd is not on the bus, waiting for it: %s", error->message);
                return;
        }
        if (sd_bus_message_read(reply, "v", "s", &version) >= 0)
                /* Only the leading digits are relevant: "252.39-1~deb12u1", "257~rc1". */
                manager->version = (unsigned) strtoul(version, NULL, 10);
        manager->asked = true;
        manager->ready(manager->ready_userdata);
}

static int manager_ask_version(Manager *manager) {
        return manager_get_property(
                manager, MANAGER_PATH, MANAGER_INTERFACE, "Version", manager_on_version, manager, NULL);
}

static int manager_on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *owner;

        int r = sd_bus_message_read(m, "sss", NULL, NULL, &owner);
        if (r < 0 || !owner[0])
                return 0;
        manager->n_owners++;
        r = manager_subscribe(manager);
        manager_calls_send_again(manager);
        if (r >= 0 && !manager->asked)
                r = manager_ask_version(manager);
        if (r < 0)
                log_error_errno(r, "Cannot call systemd, which is back on the bus: %m");
        return 0;
}

int manager_new(sd_bus *bus, void (*ready)(void *userdata), void *userdata, Manager **ret) {
        Manager *manager = g_new0(Manager, 1);

        manager->bus = sd_bus_ref(bus);
        manager->event = sd_event_ref(sd_bus_get_event(bus));
        manager->ready = ready;
        manager->ready_userdata = userdata;
        manager->waiting = g_queue_new();
        manager->calls = g_hash_table_new(NULL, NULL);
        manager->lost = g_queue_new();
        manager->unsent = g_queue_new();
        manager->jobs =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) manager_job_free);

        int r = sd_event_add_defer(manager->event, &manager->unsent_source, manager_on_unsent, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->unsent_source, SD_EVENT_OFF);
        /* The matches must be installed before the first call that creates a job or fails because systemd is
         * away. */
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, &manager->job_removed, MANAGER_BUS_NAME, MANAGER_PATH,
                        MANAGER_INTERFACE, "JobRemoved", manager_on_job_removed, NULL, manager);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &manager->owner_changed,
                        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" MANAGER_BUS_NAME
                        "'",
                        manager_on_owner_changed, NULL, manager);
        if (r >= 0)
                r = manager_ask_version(manager);
        if (r < 0) {
                manager_free(manager);
                return r;
        }
        *ret = manager;
        return 0;
}

Manager *manager_free(Manager *manager) {
        GHashTableIter iter;
        ManagerCall *call;
        ManagerJob *job;

        if (!manager)
                return NULL;
        g_queue_free_full(manager->waiting, manager_call_drop);
        g_queue_free_full(manager->lost, manager_call_drop);
        sd_event_source_disable_unref(manager->lost_timeout);
        g_queue_free_full(manager->unsent, manager_call_drop);
        sd_event_source_disable_unref(manager->unsent_source);
        g_hash_table_iter_init(&iter, manager->calls);
        while (g_hash_table_iter_next(&iter, (void **) &call, NULL))
                manager_call_drop(call);
        g_hash_table_unref(manager->calls);
        g_hash_table_iter_init(&iter, manager->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &job))
                if (job->drop)
                        job->drop(job->userdata);
        g_hash_table_unref(manager->jobs);
        sd_bus_slot_unref(manager->job_removed);
        sd_bus_slot_unref(manager->job_new);
        sd_bus_slot_unref(manager->owner_changed);
        direct_free(manager->direct);
        g_free(manager->direct_address);
        sd_bus_unref(manager->bus);
        sd_event_unref(manager->event);
        g_free(manager->shutdown_job);
        g_free(manager);
        return NULL;
}

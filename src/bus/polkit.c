/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>

#include "base/macro.h"
#include "bus/polkit.h"
#include "util/autoptr.h"
#include "util/log.h"

/* dbus-daemon permits 128 calls without a reply to one connection, of which systemd gets up to 100. Those
 * that permit interaction may take as long as a person does, so they leave some to the others. */
#define OPEN_MAX 24U
#define INTERACTIVE_MAX 16U
#define OPEN_PER_UID_MAX 4U
#define QUESTIONS_PER_UID_MAX 64U

/* polkit ends a rule after 15 s, and a program of a rule after 10 s. */
#define PLAIN_USEC (30 * USEC_PER_SEC)
#define INTERACTIVE_USEC (5 * 60 * USEC_PER_SEC)

/* How long the bus still reports who leaves it after the last question. To subscribe for each question would
 * double what a question costs; to stay subscribed would wake this process whenever any program ends. */
#define WATCH_USEC (10 * USEC_PER_SEC)

/* The questions of one uid. */
typedef struct Asker {
        uid_t uid;
        unsigned n_questions;
        unsigned n_open; /* of these, with polkit */
} Asker;

struct Polkit {
        sd_bus *bus;
        GHashTable *askers; /* uid → Asker */
        GQueue questions;   /* all, in the order in which they were asked */
        unsigned n_open;
        unsigned n_open_interactive;
        unsigned n_waiting;
        uint64_t last_id;
        sd_event_source *pump; /* sends waiting questions */
        sd_bus_slot *watch;    /* of all names that leave the bus; NULL while there are no questions */
        sd_event_source *watch_timer;
        bool watch_used; /* again, since the timer was set */
};

struct PolkitQuestion {
        Polkit *polkit;
        Asker *asker;
        GList link; /* in the questions of polkit */
        char *subject;
        bool interactive;
        sd_bus_message *message; /* NULL once it was sent */
        char *id;                /* by which polkit cancels it */
        sd_bus_slot *reply;      /* not NULL while it is with polkit */
        PolkitAnswer answer;
        void *userdata;
};

/* -- one question -- */

/* A question waits, or it is open, which is with polkit. */
static void question_open(PolkitQuestion *question) {
        question->polkit->n_waiting--;
        question->polkit->n_open++;
        question->polkit->n_open_interactive += question->interactive;
        question->asker->n_open++;
}

static void question_close(PolkitQuestion *question) {
        question->polkit->n_open--;
        question->polkit->n_open_interactive -= question->interactive;
        question->asker->n_open--;
}

static void question_cancel(PolkitQuestion *question) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(question->polkit->bus, &m, POLKIT_BUS_NAME, POLKIT_PATH,
                POLKIT_INTERFACE, "CancelCheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', question->id);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        /* A polkit that is gone has no question to cancel. */
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_send(question->polkit->bus, m, NULL);
        if (r < 0)
                log_debug_errno(r, "Cannot cancel question %s at polkit, ignoring: %m", question->id);
}

PolkitQuestion *polkit_question_free(PolkitQuestion *question) {
        if (!question)
                return NULL;
        Polkit *polkit = question->polkit;

        if (question->reply) {
                question_cancel(question);
                question->reply = sd_bus_slot_unref(question->reply);
        }
        if (question->message)
                polkit->n_waiting--;
        else
                question_close(question);
        sd_bus_message_unref(question->message);
        g_queue_unlink(&polkit->questions, &question->link);
        if (--question->asker->n_questions == 0)
                (void) g_hash_table_remove(polkit->askers, GUINT_TO_POINTER(question->asker->uid));
        if (polkit->n_waiting > 0)
                (void) sd_event_source_set_enabled(polkit->pump, SD_EVENT_ONESHOT);
        g_free(question->subject);
        g_free(question->id);
        g_free(question);
        return NULL;
}

/* The answer frees the question. */
static void question_answer(PolkitQuestion *question, PolkitResult result, const char *text) {
        question->answer(question->userdata, result, text);
}

static int question_read_reply(sd_bus_message *reply, PolkitResult *ret) {
        int authorized, challenge;
        bool dismissed = false;
        const char *key, *value;

        int r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(reply, "{ss}", &key, &value)) > 0)
                if (g_str_equal(key, "polkit.dismissed"))
                        dismissed = true;
        if (r < 0)
                return r;
        *ret = authorized  ? POLKIT_YES
               : challenge ? POLKIT_CHALLENGE
               : dismissed ? POLKIT_DISMISSED
                           : POLKIT_NO;
        return 0;
}

static int question_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const char *const absent[] = {
                "org.freedesktop.DBus.Error.ServiceUnknown",
                "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.systemd1.UnitMasked",
                "org.freedesktop.systemd1.NoSuchUnit",
                NULL,
        };
        PolkitQuestion *question = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        PolkitResult result;

        if (e && sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT)) {
                /* It may still ask somebody, for the slot is that of this reply. */
                question_cancel(question);
                question->reply = sd_bus_slot_unref(question->reply);
                question_answer(question, POLKIT_FAILED, e->message);
                return 0;
        }
        question->reply = sd_bus_slot_unref(question->reply);
        if (e) {
                question_answer(question, g_strv_contains(absent, e->name) ? POLKIT_ABSENT : POLKIT_FAILED,
                        e->message);
                return 0;
        }
        int r = question_read_reply(reply, &result);
        if (r < 0)
                question_answer(question, POLKIT_FAILED, g_strerror(-r));
        else
                question_answer(question, result, NULL);
        return 0;
}

/* -- who leaves the bus -- */

static int polkit_on_left(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Polkit *polkit = userdata;
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        for (GList *l = polkit->questions.head; l;) {
                PolkitQuestion *question = l->data;

                l = l->next;
                if (!g_str_equal(question->subject, name))
                        continue;
                /* The answer may free any other question. */
                question_answer(question, POLKIT_GONE, NULL);
                l = polkit->questions.head;
        }
        return 0;
}

/* With a handler of its own a refused match does not end the connection. The questions of who has left are
 * cancelled later then, by the timeout. */
static int polkit_on_watch(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (e)
                log_debug("Cannot watch the callers of questions to polkit, ignoring: %s", e->message);
        return 0;
}

static int polkit_on_watch_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Polkit *polkit = userdata;

        if (polkit->watch_used || polkit->n_open > 0) {
                polkit->watch_used = false;
                int r = sd_event_source_set_time_relative(s, WATCH_USEC);
                return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        polkit->watch = sd_bus_slot_unref(polkit->watch);
        return 0;
}

static int polkit_watch(Polkit *polkit) {
        polkit->watch_used = polkit->watch != NULL;
        if (polkit->watch)
                return 0;
        int r = sd_event_source_set_time_relative(polkit->watch_timer, WATCH_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(polkit->watch_timer, SD_EVENT_ONESHOT);
        if (r >= 0)
                r = sd_bus_add_match_async(polkit->bus, &polkit->watch,
                        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                        polkit_on_left, polkit_on_watch, polkit);
        return r;
}

/* -- what is sent -- */

/* The watch comes first. If the caller has left before the bus daemon knows the watch, polkit does not find
 * it. */
static int question_send(PolkitQuestion *question) {
        g_autoptr(sd_bus_message) m = g_steal_pointer(&question->message);

        question_open(question);
        int r = polkit_watch(question->polkit);
        if (r >= 0)
                r = sd_bus_call_async(question->polkit->bus, &question->reply, m, question_on_reply, question,
                        question->interactive ? INTERACTIVE_USEC : PLAIN_USEC);
        return MIN(r, 0);
}

static bool question_may_be_sent(const PolkitQuestion *question) {
        const Polkit *polkit = question->polkit;

        return question->message && question->asker->n_open < OPEN_PER_UID_MAX && polkit->n_open < OPEN_MAX &&
               (!question->interactive || polkit->n_open_interactive < INTERACTIVE_MAX);
}

static int question_compose(PolkitQuestion *question, const char *action, char *const *details) {
        sd_bus_message *m;

        int r = sd_bus_message_new_method_call(question->polkit->bus, &question->message, POLKIT_BUS_NAME,
                POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;
        m = question->message;
        r = sd_bus_message_append(
                m, "(sa{sv})s", "system-bus-name", 1, "name", "s", question->subject, action);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        for (char *const *d = details; r >= 0 && *d; d += 2)
                r = sd_bus_message_append(m, "{ss}", d[0], d[1]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "us", (uint32_t) question->interactive, question->id);
}

int polkit_ask(Polkit *polkit, const PolkitSubject *subject, const char *action, char *const *details,
        PolkitAnswer answer, void *userdata, PolkitQuestion **ret) {
        Asker *asker = g_hash_table_lookup(polkit->askers, GUINT_TO_POINTER(subject->uid));

        if (asker && asker->n_questions >= QUESTIONS_PER_UID_MAX)
                return -EDQUOT;
        if (!asker) {
                asker = g_new(Asker, 1);
                *asker = (Asker){ .uid = subject->uid };
                (void) g_hash_table_insert(polkit->askers, GUINT_TO_POINTER(subject->uid), asker);
        }
        PolkitQuestion *question = g_new(PolkitQuestion, 1);
        *question = (PolkitQuestion){
                .polkit = polkit,
                .asker = asker,
                .link.data = question,
                .subject = g_strdup(subject->name),
                .interactive = subject->interactive,
                .id = g_strdup_printf("%" G_GUINT64_FORMAT, ++polkit->last_id),
                .answer = answer,
                .userdata = userdata,
        };
        asker->n_questions++;
        polkit->n_waiting++;
        g_queue_push_tail_link(&polkit->questions, &question->link);
        int r = question_compose(question, action, details);
        if (r >= 0 && question_may_be_sent(question))
                r = question_send(question);
        if (r < 0) {
                polkit_question_free(question);
                return r;
        }
        *ret = question;
        return 0;
}

/* -- all questions -- */

static int polkit_on_pump(sd_event_source *s, void *userdata) {
        Polkit *polkit = userdata;

        for (GList *l = polkit->questions.head, *next; l; l = next) {
                PolkitQuestion *question = l->data;

                next = l->next;
                if (!question_may_be_sent(question))
                        continue;
                int r = question_send(question);
                if (r >= 0)
                        continue;
                /* The answer may free any other question. */
                question_answer(question, POLKIT_FAILED, g_strerror(-r));
                return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        return 0;
}

int polkit_new(sd_bus *bus, Polkit **ret) {
        Polkit *polkit = g_new0(Polkit, 1);

        polkit->bus = sd_bus_ref(bus);
        polkit->askers = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        int r = sd_event_add_defer(sd_bus_get_event(bus), &polkit->pump, polkit_on_pump, polkit);
        if (r >= 0)
                r = sd_event_source_set_enabled(polkit->pump, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(sd_bus_get_event(bus), &polkit->watch_timer, CLOCK_MONOTONIC,
                        WATCH_USEC, USEC_PER_SEC, polkit_on_watch_timer, polkit);
        if (r >= 0)
                r = sd_event_source_set_enabled(polkit->watch_timer, SD_EVENT_OFF);
        if (r < 0) {
                polkit_free(polkit);
                return r;
        }
        *ret = polkit;
        return 0;
}

Polkit *polkit_free(Polkit *polkit) {
        GList *l;

        if (!polkit)
                return NULL;
        while ((l = polkit->questions.head))
                question_answer(l->data, POLKIT_LEAVING, NULL);
        sd_event_source_disable_unref(polkit->pump);
        sd_event_source_disable_unref(polkit->watch_timer);
        sd_bus_slot_unref(polkit->watch);
        g_hash_table_unref(polkit->askers);
        sd_bus_unref(polkit->bus);
        g_free(polkit);
        return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libmosquitto is used with the loop of this program, in one thread. The exception is mosquitto_connect(),
 * which looks up the name of the broker and waits for TCP. mosquitto_connect_async() looks up as well, and
 * takes the first address only, whether it answers or not. So a thread of its own calls mosquitto_connect().
 * It owns the Connection until it is joined. The handshake of TLS and everything else is not blocking. */

#include <errno.h>
#include <mosquitto.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "client/timer.h"
#include "mqtt/broker.h"
#include "util/autoptr.h"
#include "util/log.h"
#include "util/notify.h"

#define CLOSE_TIMEOUT_USEC (3 * USEC_PER_SEC)
/* What a broker sends before it closes a connection that it refuses. */
#define LAST_PACKETS_MAX 16U
#define QOS 1

/* One attempt, and what becomes of it. */
typedef struct Connection {
        struct mosquitto *mosq;
        char *host;
        int port, keep_alive_sec;
        char *detail; /* the last error that libmosquitto has reported in words */

        /* Of the thread. */
        GThread *thread;
        int done_fd;
        int result, error; /* MOSQ_ERR_..., and its errno */
} Connection;

struct Broker {
        sd_event *event;
        const MqttSettings *settings;
        char *alive_topic;
        const BrokerHandlers *handlers;
        void *userdata;

        Connection *connection; /* NULL between two attempts */
        sd_event_source *done;  /* of the thread */
        sd_event_source *io;
        sd_event_source *misc;  /* the keep-alive */
        sd_event_source *retry; /* the next attempt, or the end of a close */
        sd_event_source *fail;
        bool up;        /* the broker has accepted the connection */
        bool announced; /* "1" was published */
        int refused;    /* the return code of its CONNACK */
        int failure;    /* MOSQ_ERR_... of what fail is about */
        unsigned n_in_flight, n_reserved;
        uint64_t up_usec;
        uint64_t delay_usec; /* before the next attempt */
        unsigned n_attempts; /* since the last success */
        char *said;          /* why there is no connection, which was logged */
        bool closing;
        int closing_id;
};

/* -- one connection -- */

static Connection *connection_free(Connection *c) {
        if (!c)
                return NULL;
        if (c->mosq)
                mosquitto_destroy(c->mosq);
        (void) fd_close(c->done_fd);
        g_free(c->host);
        g_free(c->detail);
        g_free(c);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_free)

/* libmosquitto has the reason for an error of TLS nowhere else. This may be the thread. */
static void connection_on_log(struct mosquitto *mosq, void *userdata, int level, const char *text) {
        Connection *c = ((Broker *) userdata)->connection;

        if (level != MOSQ_LOG_ERR || !c)
                return;
        g_free(c->detail);
        c->detail = g_strchomp(g_strdup(text));
}

static gpointer connection_run(gpointer userdata) {
        Connection *c = userdata;

        errno = 0;
        c->result = mosquitto_connect(c->mosq, c->host, c->port, c->keep_alive_sec);
        c->error = errno;
        (void) eventfd_write(c->done_fd, 1);
        return NULL;
}

/* Nobody is there to type the passphrase of a key. */
static int no_passphrase(char *buffer, int size, int rwflag, void *userdata) {
        return 0;
}

static int check_file(const char *key, const char *file, char **ret_path) {
        g_autofree char *path = mqtt_file_path(file);

        if (!path)
                return log_error_errno(
                        ENOKEY, "%s=%s is a credential, but systemd has passed none", key, file);
        if (access(path, R_OK) < 0)
                return log_error_errno(errno, "Cannot read %s=%s: %m", key, path);
        *ret_path = g_steal_pointer(&path);
        return 0;
}

static int connection_set_tls(Connection *c, const MqttSettings *s) {
        g_autofree char *ca = NULL, *certificate = NULL, *key = NULL;

        if (!s->ca_file)
                return 0;
        int r = check_file("CAFile", s->ca_file, &ca);
        if (r >= 0 && s->certificate_file)
                r = check_file("CertificateFile", s->certificate_file, &certificate);
        if (r >= 0 && s->key_file)
                r = check_file("KeyFile", s->key_file, &key);
        if (r < 0)
                return r;
        r = mosquitto_tls_set(c->mosq, ca, NULL, certificate, key, no_passphrase);
        if (r != MOSQ_ERR_SUCCESS) {
                log_error("Cannot use TLS: %s", mosquitto_strerror(r));
                return -EINVAL;
        }
        return 0;
}

static int connection_set_user(Connection *c, const MqttSettings *s) {
        char *password;

        if (!s->user)
                return 0;
        int r = mqtt_password_read(s, &password);
        if (r < 0)
                return r;
        r = mosquitto_username_pw_set(c->mosq, s->user, password);
        mqtt_password_free(password);
        if (r != MOSQ_ERR_SUCCESS) {
                log_error("Cannot use User=%s: %s", s->user, mosquitto_strerror(r));
                return -EINVAL;
        }
        return 0;
}

static void on_connect(struct mosquitto *mosq, void *userdata, int code);
static void on_publish(struct mosquitto *mosq, void *userdata, int id);
static void on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *message);
static void on_subscribe(struct mosquitto *mosq, void *userdata, int id, int n, const int *qos);

static int connection_new(Broker *b, Connection **ret) {
        g_autoptr(Connection) c = g_new0(Connection, 1);
        const MqttSettings *s = b->settings;

        c->host = g_strdup(s->host);
        c->port = s->port;
        c->keep_alive_sec = (int) s->keep_alive_sec;
        c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        c->mosq = mosquitto_new(s->client_id, true, b);
        if (c->done_fd < 0 || !c->mosq)
                return log_error_errno(errno, "Cannot make a client: %m");
        mosquitto_log_callback_set(c->mosq, connection_on_log);
        mosquitto_connect_callback_set(c->mosq, on_connect);
        mosquitto_publish_callback_set(c->mosq, on_publish);
        mosquitto_message_callback_set(c->mosq, on_message);
        mosquitto_subscribe_callback_set(c->mosq, on_subscribe);
        (void) mosquitto_int_option(c->mosq, MOSQ_OPT_TCP_NODELAY, 1);
        (void) mosquitto_max_inflight_messages_set(c->mosq, BROKER_IN_FLIGHT_MAX);
        int r = connection_set_tls(c, s);
        if (r >= 0)
                r = connection_set_user(c, s);
        if (r < 0)
                return r;
        if (mosquitto_will_set(c->mosq, b->alive_topic, 1, "0", QOS, true) != MOSQ_ERR_SUCCESS)
                return log_error_errno(EINVAL, "Cannot set the will for the topic %s", b->alive_topic);
        *ret = g_steal_pointer(&c);
        return 0;
}

/* -- attempts -- */

static char *describe_failure(const Broker *b, int rc, int error) {
        const char *detail = b->connection ? b->connection->detail : NULL;

        if (b->refused != 0)
                return g_strdup(mosquitto_connack_string(b->refused));
        /* Since 2.0.15 libmosquitto returns MOSQ_ERR_TLS if the handshake has failed in a write, and EPROTO
         * if it has failed in a read. */
        if (detail && (rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && error == EPROTO)))
                return g_strdup_printf("TLS: %s", detail);
        if (rc == MOSQ_ERR_ERRNO && error != 0)
                return g_strdup(g_strerror(error));
        if (rc == MOSQ_ERR_EAI)
                return g_strdup(error == EAI_SYSTEM ? "Its name cannot be looked up" : gai_strerror(error));
        return g_strdup(mosquitto_strerror(rc));
}

/* A broker that is away for hours must not fill the journal. */
static void broker_say_failure(Broker *b, const char *why) {
        if (b->up)
                log_warning("Lost the connection to the broker %s: %s", b->settings->host, why);
        else if (g_strcmp0(b->said, why) != 0)
                log_warning("Cannot connect to the broker %s, port %u: %s; trying again", b->settings->host,
                        b->settings->port, why);
        else
                log_debug("Cannot connect to the broker %s: %s", b->settings->host, why);
        notify_sendf("STATUS=Waiting for the broker %s: %s", b->settings->host, why);
        g_free(b->said);
        b->said = g_strdup(why);
}

/* Many machines lose one broker at the same time. */
static void broker_retry_later(Broker *b) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        /* A broker that accepts and then drops us, for example because another client has the same id, must
         * not be asked each second for ever. */
        if (b->up && now - b->up_usec >= BROKER_RETRY_MAX_USEC)
                b->delay_usec = BROKER_RETRY_MIN_USEC;
        const uint64_t half = b->delay_usec / 2;
        const uint64_t delay = half + (uint64_t) (g_random_double() * (double) half);
        b->delay_usec = MIN(2 * b->delay_usec, BROKER_RETRY_MAX_USEC);

        int r = sd_event_source_set_time(b->retry, now + delay);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->retry, SD_EVENT_ONESHOT);
        if (r < 0) {
                log_error_errno(r, "Cannot set a timer: %m");
                (void) sd_event_exit(b->event, r);
        }
}

static void broker_drop(Broker *b) {
        /* Before the descriptor is closed, and its number has another meaning. */
        b->io = sd_event_source_disable_unref(b->io);
        b->misc = sd_event_source_disable_unref(b->misc);
        b->done = sd_event_source_disable_unref(b->done);
        (void) sd_event_source_set_enabled(b->fail, SD_EVENT_OFF);
        b->connection = connection_free(b->connection);
        b->up = false;
        b->refused = 0;
        b->n_in_flight = b->n_reserved = 0;
}

static void broker_lost(Broker *b, int rc, int error) {
        g_autofree char *why = describe_failure(b, rc, error);
        const bool was_up = b->up;

        if (g_str_has_suffix(why, "."))
                why[strlen(why) - 1] = '\0'; /* as those of libmosquitto */

        if (b->closing) {
                /* The broker has what was said, or publishes the will. */
                broker_drop(b);
                (void) sd_event_exit(b->event, 0);
                return;
        }
        broker_say_failure(b, why);
        broker_retry_later(b);
        broker_drop(b);
        if (was_up)
                b->handlers->lost(b->userdata);
}

/* For failures within a call that its caller does not expect to change anything else. */
static int broker_on_fail(sd_event_source *s, void *userdata) {
        Broker *b = userdata;

        broker_lost(b, b->failure, 0);
        return 0;
}

static void broker_fail(Broker *b, int rc) {
        b->failure = rc;
        (void) sd_event_source_set_enabled(b->fail, SD_EVENT_ONESHOT);
}

/* -- the loop -- */

static uint64_t broker_misc_interval(const Broker *b) {
        return b->settings->keep_alive_sec * USEC_PER_SEC / 4;
}

static bool fd_is_writable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };

        return poll(&p, 1, 0) > 0;
}

/* Called after everything that may have changed what libmosquitto waits for. */
static void broker_update_io(Broker *b) {
        uint32_t events = EPOLLIN;

        if (!b->io)
                return;
        /* In the handshake of TLS CONNECT waits for what is read: libmosquitto 2.0.21 wants to write all the
         * time, and would do so in vain as often as it is called. */
        if (mosquitto_want_write(b->connection->mosq) &&
                (b->up || !fd_is_writable(mosquitto_socket(b->connection->mosq))))
                events |= EPOLLOUT;
        if (!b->up)
                events |= EPOLLRDHUP;
        (void) sd_event_source_set_io_events(b->io, events);
}

static void broker_ready(Broker *b) {
        if (!b->announced)
                b->announced = broker_publish(b, b->alive_topic, "1", true, NULL) >= 0;
        b->handlers->ready(b->userdata);
        broker_update_io(b);
}

static void broker_set_up(Broker *b) {
        b->up = true;
        b->up_usec = now_usec(CLOCK_MONOTONIC);
        if (b->n_attempts > 1)
                log_info("Connected to the broker %s, port %u, after %u attempts", b->settings->host,
                        b->settings->port, b->n_attempts);
        else
                log_info("Connected to the broker %s, port %u", b->settings->host, b->settings->port);
        b->n_attempts = 0;
        g_clear_pointer(&b->said, g_free);
        notify_sendf("STATUS=Connected to the broker %s.", b->settings->host);
        b->announced = false;
        b->handlers->connected(b->userdata);
}

/* libmosquitto calls these in mosquitto_loop_read() and mosquitto_loop_write(). */

static void on_connect(struct mosquitto *mosq, void *userdata, int code) {
        Broker *b = userdata;

        b->refused = code;
        if (code == 0 && !b->closing)
                broker_set_up(b);
}

static void on_publish(struct mosquitto *mosq, void *userdata, int id) {
        Broker *b = userdata;

        b->n_in_flight -= b->n_in_flight > 0;
        if (b->closing && id == b->closing_id) {
                (void) mosquitto_disconnect(mosq);
                return;
        }
        b->handlers->acknowledged(id, b->userdata);
}

static void on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *message) {
        const Broker *b = userdata;

        if (message->retain && message->payloadlen > 0)
                b->handlers->retained(message->topic, b->userdata);
}

static void on_subscribe(struct mosquitto *mosq, void *userdata, int id, int n, const int *qos) {
        for (int i = 0; i < n; i++)
                if (qos[i] > 2)
                        log_warning(
                                "The broker does not permit to read the own topics of roles: those of roles"
                                " that do not exist any more stay");
}

static int broker_on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Broker *b = userdata;
        struct mosquitto *mosq = b->connection->mosq;
        const uint32_t closed = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
        int rc = MOSQ_ERR_SUCCESS;

        errno = 0;
        /* The handshake of TLS is always gone on with by reading. libmosquitto takes the end of a connection
         * in the handshake for no error. */
        for (unsigned i = 0; rc == MOSQ_ERR_SUCCESS && mosquitto_socket(mosq) >= 0 &&
                             (i == 0 || (!b->up && revents & closed && i < LAST_PACKETS_MAX));
                i++)
                rc = mosquitto_loop_read(mosq, 1);
        if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(mosq) >= 0 && !b->up && revents & closed)
                rc = MOSQ_ERR_CONN_LOST;
        if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(mosq) >= 0 && mosquitto_want_write(mosq))
                rc = mosquitto_loop_write(mosq, 1);
        if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(mosq) < 0)
                broker_lost(b, rc == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : rc, errno);
        else if (b->up)
                broker_ready(b);
        else
                broker_update_io(b);
        return 0;
}

static int broker_on_misc(sd_event_source *s, uint64_t usec, void *userdata) {
        Broker *b = userdata;

        errno = 0;
        int rc = mosquitto_loop_misc(b->connection->mosq);
        if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(b->connection->mosq) < 0) {
                broker_lost(b, rc == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : rc, errno);
                return 0;
        }
        broker_update_io(b);
        return timer_start(s, broker_misc_interval(b));
}

static int broker_watch(Broker *b) {
        int r = sd_event_add_io(b->event, &b->io, mosquitto_socket(b->connection->mosq), EPOLLIN | EPOLLRDHUP,
                broker_on_io, b);
        if (r >= 0)
                r = sd_event_add_time_relative(
                        b->event, &b->misc, CLOCK_MONOTONIC, broker_misc_interval(b), 0, broker_on_misc, b);
        return r;
}

static int broker_on_done(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Broker *b = userdata;
        Connection *c = b->connection;

        b->done = sd_event_source_disable_unref(b->done);
        (void) g_thread_join(g_steal_pointer(&c->thread));
        if (c->result != MOSQ_ERR_SUCCESS) {
                broker_lost(b, c->result, c->error);
                return 0;
        }
        int r = broker_watch(b);
        if (r < 0)
                return log_error_errno(r, "Cannot watch the connection to the broker: %m");
        broker_update_io(b);
        return 0;
}

static int broker_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        Broker *b = userdata;
        GError *error = NULL;

        if (b->closing) {
                log_warning("The broker has not acknowledged the end, it publishes the will");
                broker_drop(b);
                return sd_event_exit(b->event, 0);
        }
        b->n_attempts++;
        int r = connection_new(b, &b->connection);
        if (r < 0) {
                /* Said, and a file may be there next time. */
                broker_retry_later(b);
                return 0;
        }
        r = sd_event_add_io(b->event, &b->done, b->connection->done_fd, EPOLLIN, broker_on_done, b);
        if (r < 0)
                return log_error_errno(r, "Cannot watch a thread: %m");
        b->connection->thread = g_thread_try_new("connect", connection_run, b->connection, &error);
        if (!b->connection->thread) {
                log_warning("Cannot start a thread: %s", error->message);
                g_error_free(error);
                broker_lost(b, MOSQ_ERR_NOMEM, 0);
        }
        return 0;
}

/* -- for the others -- */

int broker_new(sd_event *event, const MqttSettings *settings, const char *alive_topic,
        const BrokerHandlers *handlers, void *userdata, Broker **ret) {
        g_autoptr(Broker) b = g_new0(Broker, 1);

        b->event = sd_event_ref(event);
        b->settings = settings;
        b->alive_topic = g_strdup(alive_topic);
        b->handlers = handlers;
        b->userdata = userdata;
        b->delay_usec = BROKER_RETRY_MIN_USEC;
        (void) mosquitto_lib_init();
        int r = sd_event_add_time(event, &b->retry, CLOCK_MONOTONIC, 0, 0, broker_on_retry, b);
        if (r >= 0)
                r = sd_event_add_defer(event, &b->fail, broker_on_fail, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->fail, SD_EVENT_OFF);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");
        if (settings->user && !settings->ca_file && !g_str_equal(settings->host, "localhost") &&
                !g_str_has_prefix(settings->host, "127.") && !g_str_equal(settings->host, "::1"))
                log_warning("There is no CAFile=, so the password of %s is sent to %s as it is",
                        settings->user, settings->host);
        *ret = g_steal_pointer(&b);
        return 0;
}

Broker *broker_free(Broker *b) {
        /* The thread goes on using it. */
        if (!b || broker_is_stuck(b))
                return NULL;
        broker_drop(b);
        (void) mosquitto_lib_cleanup();
        b->retry = sd_event_source_disable_unref(b->retry);
        b->fail = sd_event_source_disable_unref(b->fail);
        sd_event_unref(b->event);
        g_free(b->alive_topic);
        g_free(b->said);
        g_free(b);
        return NULL;
}

bool broker_is_stuck(const Broker *b) {
        return b->connection && b->connection->thread;
}

bool broker_is_connected(const Broker *b) {
        return b->up && !b->closing;
}

unsigned broker_room(const Broker *b) {
        const unsigned used = b->n_in_flight + b->n_reserved;

        return broker_is_connected(b) && used < BROKER_IN_FLIGHT_MAX ? BROKER_IN_FLIGHT_MAX - used : 0;
}

void broker_reserve(Broker *b, unsigned n) {
        b->n_reserved += n;
}

void broker_release(Broker *b, unsigned n) {
        b->n_reserved -= MIN(n, b->n_reserved);
}

int broker_publish(Broker *b, const char *topic, const char *text, bool retain, int *ret_id) {
        int id;

        if (!b->up)
                return -ENOTCONN;
        int rc = mosquitto_publish(b->connection->mosq, &id, topic, (int) strlen(text), text, QOS, retain);
        if (rc != MOSQ_ERR_SUCCESS) {
                broker_fail(b, rc);
                return -ENOTCONN;
        }
        b->n_in_flight++;
        if (ret_id)
                *ret_id = id;
        broker_update_io(b);
        return 0;
}

int broker_subscribe(Broker *b, const char *pattern) {
        if (!b->up)
                return -ENOTCONN;
        int rc = mosquitto_subscribe(b->connection->mosq, NULL, pattern, 0);
        if (rc != MOSQ_ERR_SUCCESS) {
                broker_fail(b, rc);
                return -ENOTCONN;
        }
        broker_update_io(b);
        return 0;
}

void broker_close(Broker *b) {
        if (b->closing)
                return;
        if (!b->up || broker_publish(b, b->alive_topic, "0", true, &b->closing_id) < 0) {
                b->closing = true;
                (void) sd_event_exit(b->event, 0);
                return;
        }
        b->closing = true;
        if (timer_start(b->retry, CLOSE_TIMEOUT_USEC) < 0)
                (void) sd_event_exit(b->event, 0);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log level of the service is on the bus by org.freedesktop.LogControl1 (systemctl service-log-level). If
 * requested, each message is also sent as a signal. */

#include <errno.h>
#include <string.h>

#include "bus/clients-private.h"
#include "bus/properties.h"
#include "model/state-fields.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

#define LOG_VERSION 1U

static const StateFile log_file = {
        .name = "log",
        .max = 65536,
        .what = "the saved log level",
        .consequence = "; it is \"info\" again",
};

/* A flood of messages must not become a flood on the bus, and a slow receiver must not use up our memory. */
#define LOG_SIGNALS_PER_SECOND 100U
#define LOG_QUEUE_MAX 64U

static int log_dbus_read_level(const char *name, sd_bus_error *error) {
        LogLevel level = log_level_from_string(name);

        if ((int) level < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "The log level is \"%.64s\", but must be emerg, alert, crit, err, warning, notice, info or debug",
                        name);
        return (int) level;
}

/* Both settings survive a restart of the service. */
static void log_dbus_save(Clients *clients) {
        GString *s = state_fields_new("", LOG_VERSION, clients->log_unknown);

        state_put_enum(s, "LEVEL", log_level, (LogLevel) log_get_max_level());
        state_put_nonzero(s, "TO_SVE", clients->log_to_sve);
        int r = state_file_save(&log_file, clients->dir_fd, s);
        if (r < 0)
                log_warning_errno(r, "Cannot save the log level, ignoring: %m");
}

/* Version 1 of the file has one line, with the level and 1 or 0. */
static int log_dbus_level_of_1(StateFields *fields, bool *ret_to_sve) {
        g_auto(GStrv) lines = state_take_words(fields);

        if (!lines || lines[1])
                return -EBADMSG;
        g_auto(GStrv) words = g_strsplit(lines[0], " ", -1);
        if (g_strv_length(words) != 2 || (!g_str_equal(words[1], "0") && !g_str_equal(words[1], "1")))
                return -EBADMSG;
        *ret_to_sve = g_str_equal(words[1], "1");
        return (int) log_level_from_string(words[0]);
}

static int log_dbus_parse(void *userdata, StateFields *fields) {
        Clients *clients = userdata;
        bool to_sve = state_take_bool(fields, "TO_SVE");
        int level = state_fields_of_1(fields)
                            ? log_dbus_level_of_1(fields, &to_sve)
                            : (int) state_take_enum(fields, "LEVEL", log_level, _LOG_LEVEL_INVALID);

        int r = level < 0 ? -EBADMSG : state_fields_end(fields, &clients->log_unknown);
        if (r < 0)
                return r;
        log_set_max_level(level);
        clients->log_to_sve = to_sve;
        return 0;
}

void log_dbus_load(Clients *clients) {
        (void) state_file_load(&log_file, clients->dir_fd, log_dbus_parse, clients);
}

void log_dbus_forget(Clients *clients) {
        state_file_forget(&log_file, clients->dir_fd);
}

static void log_dbus_set_level(Clients *clients, int level) {
        log_set_max_level(level);
        log_dbus_save(clients);
        log_info("The log level is now %s", log_level_to_string((LogLevel) level));
}

static int log_method_set_level(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        int level = log_dbus_read_level(name, error);
        if (level < 0)
                return level;
        r = authority_check(clients->authority, m, REQUEST(LOG, "set the log level"), NULL, error);
        if (r != 0)
                return r;
        log_dbus_set_level(clients, level);
        return sd_bus_reply_method_return(m, NULL);
}

static int log_method_set_to_sve(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        int enabled;

        int r = sd_bus_message_read(m, "b", &enabled);
        if (r < 0)
                return r;
        r = authority_check(clients->authority, m, REQUEST(LOG, "send the log over the bus"), NULL, error);
        if (r != 0)
                return r;
        clients->log_to_sve = enabled;
        log_dbus_save(clients);
        return sd_bus_reply_method_return(m, NULL);
}

static int log_dbus_append_fields(sd_bus_message *m, const char *const *fields, unsigned dropped) {
        int r = sd_bus_message_open_container(m, 'a', "{ss}");

        for (const char *const *f = fields; r >= 0 && f && *f; f++) {
                const char *eq = strchr(*f, '=');
                g_autofree char *key = g_strndup(*f, (gsize) (eq - *f));

                r = sd_bus_message_append(m, "{ss}", key, eq + 1);
        }
        if (r >= 0 && dropped > 0) {
                g_autofree char *count = g_strdup_printf("%u", dropped);
                r = sd_bus_message_append(m, "{ss}", "ARCHITECT_DROPPED", count);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Prevents a loop: messages that are logged while a signal is sent are not sent. */
static void log_dbus_on_message(void *userdata, int level, const char *text, const char *const *fields) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) m = NULL;
        uint64_t queued = 0, now = (uint64_t) g_get_monotonic_time();
        struct LogSignals *s = &clients->log_signals;

        if (!clients->log_to_sve || s->sending || !clients->bus || sd_bus_is_ready(clients->bus) <= 0)
                return;
        s->sending = true;

        if (now - s->second_usec >= USEC_PER_SEC) {
                s->second_usec = now;
                s->n_sent = 0;
        }
        (void) sd_bus_get_n_queued_write(clients->bus, &queued);
        if (s->n_sent >= LOG_SIGNALS_PER_SECOND || queued > LOG_QUEUE_MAX)
                s->n_dropped++;
        else {
                g_autofree char *valid = text_make_valid(text);

                int r = sd_bus_message_new_signal(clients->bus, &m, NODE_PATH, NODE_INTERFACE, "LogMessage");
                if (r >= 0)
                        r = sd_bus_message_append(m, "tis", (uint64_t) g_get_real_time(), level, valid);
                if (r >= 0)
                        r = log_dbus_append_fields(m, fields, s->n_dropped);
                if (r >= 0)
                        r = sd_bus_message_send(m);
                if (r >= 0) {
                        s->n_sent++;
                        s->n_dropped = 0;
                } else
                        s->n_dropped++;
        }
        s->sending = false;
}

/* Only root may write these properties. The bus policy ensures that, because only root may call Set; a setter
 * cannot wait until the caller is identified. */

PROPERTY_STRING(
        log_control, LogLevel, const Clients *clients, log_level_to_string((LogLevel) log_get_max_level()));

static int log_control_set_LogLevel(sd_bus *bus, const char *path, const char *interface,
        const char *property, sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        int level = log_dbus_read_level(name, error);
        if (level < 0)
                return level;
        log_dbus_set_level(userdata, level);
        return 0;
}

PROPERTY_STRING(log_control, LogTarget, const Clients *clients, log_target_to_string(log_get_target()));

static int log_control_set_LogTarget(sd_bus *bus, const char *path, const char *interface,
        const char *property, sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        LogTarget target = log_target_from_string(name);
        if ((int) target < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "The log target is \"%.64s\", but must be journal, console or null", name);
        log_set_target(target);
        return 0;
}

PROPERTY_STRING(log_control, SyslogIdentifier, const Clients *clients, "architect-node");

static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", log_control_get_LogLevel, log_control_set_LogLevel, 0,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", log_control_get_LogTarget, log_control_set_LogTarget, 0,
                SD_BUS_VTABLE_UNPRIVILEGED),
        PROPERTY(log_control, SyslogIdentifier, "s", SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable log_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("SetLogLevel", SD_BUS_ARGS("s", level), SD_BUS_NO_RESULT,
                log_method_set_level, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetLogToSve", SD_BUS_ARGS("b", enabled), SD_BUS_NO_RESULT,
                log_method_set_to_sve, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("LogMessage",
                SD_BUS_ARGS("t", realtime_usec, "i", priority, "s", message, "a{ss}", fields), 0),
        SD_BUS_VTABLE_END,
};

int log_dbus_register(Clients *clients) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_object_vtable(clients->bus, &slot, "/org/freedesktop/LogControl1",
                "org.freedesktop.LogControl1", log_control_vtable, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(clients->slots, slot);
        log_set_sink(log_dbus_on_message, clients);
        return clients_add_vtable(clients, log_vtable);
}

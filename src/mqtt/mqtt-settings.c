/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/unit-name.h"
#include "mqtt/mqtt-settings.h"
#include "mqtt/topics.h"
#include "proto/node-names.h"
#include "util/config-files.h"
#include "util/log.h"

#define SECTION_MQTT "MQTT"
#define CLIENT_ID_MAX 128

MqttSettings *mqtt_settings_free(MqttSettings *s) {
        if (!s)
                return NULL;
        g_free(s->host);
        g_free(s->topic);
        g_free(s->client_id);
        g_free(s->user);
        g_free(s->password_file);
        g_free(s->ca_file);
        g_free(s->certificate_file);
        g_free(s->key_file);
        g_strfreev(s->instances);
        g_free(s);
        return NULL;
}

/* -- values -- */

static int set_text(const char *text, char **ret) {
        g_free(*ret);
        *ret = text[0] ? g_strdup(text) : NULL;
        return 0;
}

/* A name or an address; what is wrong with it otherwise is said when it is looked up. */
static int set_host(const char *text, char **ret) {
        return !text[0] || strpbrk(text, " \t/") ? -EINVAL : set_text(text, ret);
}

static int set_port(const char *text, uint16_t *ret) {
        uint32_t port;

        int r = parse_u32(text, &port);
        if (r < 0)
                return r;
        if (port < 1 || port > UINT16_MAX)
                return -ERANGE;
        *ret = (uint16_t) port;
        return 0;
}

static int set_topic(const char *text, char **ret) {
        return topic_prefix_is_valid(text) ? set_text(text, ret) : -EINVAL;
}

static int set_client_id(const char *text, char **ret) {
        return strlen(text) <= CLIENT_ID_MAX ? set_text(text, ret) : -ERANGE;
}

static int set_file(const char *text, char **ret) {
        if (text[0] && text[0] != '/' &&
                (strchr(text, '/') || g_str_equal(text, ".") || g_str_equal(text, "..")))
                return -EINVAL;
        return set_text(text, ret);
}

static int set_keep_alive(const char *text, unsigned *ret) {
        uint64_t usec;

        int r = parse_time(text, USEC_PER_SEC, &usec);
        if (r < 0)
                return r;
        if (usec < MQTT_KEEP_ALIVE_MIN_SEC * USEC_PER_SEC || usec > MQTT_KEEP_ALIVE_MAX_SEC * USEC_PER_SEC)
                return -ERANGE;
        *ret = (unsigned) (usec / USEC_PER_SEC);
        return 0;
}

/* As for lists of systemd, each line adds to it, and an empty one resets it. */
static int add_instances(const char *text, char ***instances) {
        g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);

        for (char **w = words; *w; w++)
                if ((*w)[0] && !instance_name_is_valid(*w))
                        return -EINVAL;
        for (char **i = text[0] ? *instances : NULL; i && *i; i++)
                g_ptr_array_add(all, g_strdup(*i));
        for (char **w = words; *w; w++)
                if ((*w)[0] && !g_ptr_array_find_with_equal_func(all, *w, g_str_equal, NULL))
                        g_ptr_array_add(all, g_strdup(*w));
        g_ptr_array_add(all, NULL);
        g_strfreev(*instances);
        *instances = (char **) g_ptr_array_free(g_steal_pointer(&all), false);
        return 0;
}

/* Returns -ENOENT if the key does not exist. */
static int settings_set_key(MqttSettings *s, const char *key, const char *value) {
        const struct {
                const char *key;
                int (*set)(const char *text, char **ret);
                char **member;
        } texts[] = {
                { "Host", set_host, &s->host },
                { "Topic", set_topic, &s->topic },
                { "ClientId", set_client_id, &s->client_id },
                { "User", set_text, &s->user },
                { "PasswordFile", set_file, &s->password_file },
                { "CAFile", set_file, &s->ca_file },
                { "CertificateFile", set_file, &s->certificate_file },
                { "KeyFile", set_file, &s->key_file },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (g_str_equal(texts[i].key, key))
                        return texts[i].set(value, texts[i].member);
        if (g_str_equal(key, "Port"))
                return set_port(value, &s->port);
        if (g_str_equal(key, "KeepAliveSec"))
                return set_keep_alive(value, &s->keep_alive_sec);
        if (g_str_equal(key, "Instances"))
                return add_instances(value, &s->instances);
        return -ENOENT;
}

/* -- the files -- */

typedef struct Reading {
        MqttSettings *settings;
        char **ret_message;
} Reading;

static int reading_on_item(const char *path, const UnitFile *file, void *userdata) {
        const Reading *reading = userdata;

        if (!g_str_equal(file->section, SECTION_MQTT)) {
                if (!file->key)
                        log_warning("%s:%u: unknown section [%s], ignoring", path, file->line, file->section);
                return 0;
        }
        if (!file->key)
                return 0;
        int r = settings_set_key(reading->settings, file->key, file->value);
        if (r == -ENOENT)
                log_warning("%s:%u: unknown key %s=, ignoring", path, file->line, file->key);
        else if (r < 0) {
                *reading->ret_message = g_strdup_printf("%s:%u: %s=%s is %s", path, file->line, file->key,
                        file->value, r == -ERANGE ? "out of range" : "not a valid value");
                return r;
        }
        return 0;
}

/* systemd does not accept an empty one for a file that does not exist. */
static bool has_credential(const char *name) {
        g_autofree char *path = mqtt_file_path(name);
        char first = '\n';

        if (!path)
                return false;
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && read(fd, &first, 1) == 1 && first != '\n';
}

/* Returns what does not go together, a literal, or NULL. */
static const char *settings_complete(MqttSettings *s, const char *host) {
        if (s->password_file && !s->user)
                return "PasswordFile= needs User=";
        if ((s->certificate_file || s->key_file) && !s->ca_file)
                return "CertificateFile= and KeyFile= need CAFile=, since there is no TLS without it";
        if (s->user && !s->password_file && has_credential(MQTT_CREDENTIAL_PASSWORD))
                s->password_file = g_strdup(MQTT_CREDENTIAL_PASSWORD);
        if (s->certificate_file && !s->key_file && has_credential(MQTT_CREDENTIAL_KEY))
                s->key_file = g_strdup(MQTT_CREDENTIAL_KEY);
        if (!s->certificate_file != !s->key_file)
                return "CertificateFile= and KeyFile= need each other";
        if (s->port == 0)
                s->port = s->ca_file ? MQTT_PORT_TLS : MQTT_PORT;
        if (!s->client_id)
                s->client_id = g_strconcat("architect-", host, NULL);
        if (!s->instances || !s->instances[0])
                (void) add_instances(NODE_DEFAULT_INSTANCE, &s->instances);
        return NULL;
}

int mqtt_settings_load(const char *directory, const char *host, MqttSettings **ret, char **ret_message) {
        const char *const directories[] = { directory, NULL };
        g_autoptr(MqttSettings) s = g_new0(MqttSettings, 1);
        Reading reading = { .settings = s, .ret_message = ret_message };

        s->host = g_strdup("localhost");
        s->topic = g_strdup("architect");
        s->keep_alive_sec = 60;
        int r = config_files_load(directories, MQTT_SETTINGS_NAME, reading_on_item, &reading, ret_message);
        if (r < 0)
                return r;
        const char *problem = settings_complete(s, host);
        if (problem) {
                *ret_message = g_strdup_printf("%s/" MQTT_SETTINGS_NAME ": %s", directory, problem);
                return -EINVAL;
        }
        *ret = g_steal_pointer(&s);
        return 0;
}

/* -- secrets -- */

char *mqtt_file_path(const char *file) {
        const char *credentials = g_getenv("CREDENTIALS_DIRECTORY");

        if (g_path_is_absolute(file))
                return g_strdup(file);
        return credentials ? g_build_filename(credentials, file, NULL) : NULL;
}

char *mqtt_password_free(char *password) {
        if (password)
                explicit_bzero(password, strlen(password));
        free(password);
        return NULL;
}

int mqtt_password_read(const MqttSettings *settings, char **ret) {
        g_autofree char *path = settings->password_file ? mqtt_file_path(settings->password_file) : NULL;
        struct stat st;
        char *password;

        *ret = NULL;
        if (!settings->password_file)
                return 0;
        if (!path)
                return log_error_errno(ENOKEY, "PasswordFile=%s is a credential, but systemd has passed none",
                        settings->password_file);
        autofd fd = file_open(AT_FDCWD, path, O_RDONLY);
        int r = fd;
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r >= 0)
                r = file_read_all(fd, MQTT_PASSWORD_MAX, &password, NULL);
        if (r < 0)
                return log_error_errno(r, "Cannot read the password from %s: %m", path);
        if (st.st_mode & S_IROTH)
                log_warning("Everybody can read the password in %s: chmod o-r %s", path, path);
        /* What an editor has put after it is no part of it. */
        const size_t size = strcspn(password, "\r\n");
        explicit_bzero(password + size, strlen(password + size));
        *ret = password;
        return 0;
}

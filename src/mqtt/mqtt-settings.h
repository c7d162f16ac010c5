/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration of architect-mqtt, which architect-mqtt.conf(5) describes. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The name of an instance has no '-', so this file belongs to none. */
#define MQTT_SETTINGS_DIRECTORY "/etc/architect-node"
#define MQTT_SETTINGS_NAME "architect-mqtt.conf"

/* What the unit loads for the configuration, if it is there. One with an empty line is as good as none. */
#define MQTT_CREDENTIAL_PASSWORD "password"
#define MQTT_CREDENTIAL_KEY "key"

#define MQTT_PORT 1883
#define MQTT_PORT_TLS 8883
#define MQTT_KEEP_ALIVE_MIN_SEC 5 /* the least that libmosquitto accepts */
#define MQTT_KEEP_ALIVE_MAX_SEC 65535
#define MQTT_PASSWORD_MAX 65535

typedef struct MqttSettings {
        char *host;
        uint16_t port;
        char *topic; /* the prefix */
        char *client_id;
        char *user; /* NULL: none */
        /* The files are absolute paths, or names of credentials. NULL: none. */
        char *password_file;
        char *ca_file; /* NULL: no TLS */
        char *certificate_file;
        char *key_file;
        unsigned keep_alive_sec;
        char **instances; /* each once, at least one */
} MqttSettings;

MqttSettings *mqtt_settings_free(MqttSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MqttSettings, mqtt_settings_free)

/* Reads the main file and its drop-ins. Missing ones are no error, and unknown keys and sections are logged
 * and ignored. For a value that is not valid, or values that do not go together, *ret_message says where and
 * why, and a negative errno is returned. host is the default for a part of the client id. */
int mqtt_settings_load(const char *directory, const char *host, MqttSettings **ret, char **ret_message);

/* Returns the path of a file of the settings; the caller frees it. NULL if it is a credential and the service
 * manager has passed none. */
char *mqtt_file_path(const char *file);

/* Reads the first line of the file with the password. Logs a warning if everybody may read the file. The
 * caller frees *ret with mqtt_password_free(); it is NULL if there is no password. Returns a negative errno
 * after logging. */
int mqtt_password_read(const MqttSettings *settings, char **ret);
char *mqtt_password_free(char *password);

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What architect-mqtt reads and writes, without a broker. */

#include "test-directory.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "mqtt/mqtt-settings.h"
#include "mqtt/state-json.h"
#include "mqtt/topics.h"
#include "util/log.h"

static char *warnings;

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_autofree char *old = warnings;

        warnings = g_strconcat(old ?: "", text, "\n", NULL);
}

static int setup(void **state) {
        int r = directory_setup(state);

        log_set_max_level(LOG_WARNING);
        log_set_target(LOG_TARGET_NULL);
        log_set_sink(on_log, NULL);
        assert_int_equal(g_setenv("CREDENTIALS_DIRECTORY", ((Directory *) *state)->path, true), true);
        return r;
}

static int teardown(void **state) {
        static const char *const files[] = { MQTT_SETTINGS_NAME, "password", "key", NULL };

        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        g_clear_pointer(&warnings, g_free);
        g_unsetenv("CREDENTIALS_DIRECTORY");
        return directory_teardown(state, files);
}

static void write_file(const Directory *d, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(d->path, name, NULL);

        assert_true(g_file_set_contents(path, text, -1, NULL));
        assert_return_code(chmod(path, 0600), errno);
}

static MqttSettings *load(const Directory *d, const char *text) {
        g_autofree char *message = NULL;
        MqttSettings *settings = NULL;

        if (text)
                write_file(d, MQTT_SETTINGS_NAME, text);
        if (mqtt_settings_load(d->path, "host", &settings, &message) < 0)
                fail_msg("%s", message);
        return settings;
}

static void assert_refused(const Directory *d, const char *text, const char *reason) {
        g_autofree char *message = NULL;
        MqttSettings *settings = NULL;

        write_file(d, MQTT_SETTINGS_NAME, text);
        assert_true(mqtt_settings_load(d->path, "host", &settings, &message) < 0);
        assert_null(settings);
        if (!strstr(message, reason))
                fail_msg("\"%s\" has no \"%s\"", message, reason);
}

/* -- settings -- */

static void test_defaults(void **state) {
        g_autoptr(MqttSettings) s = load(*state, NULL);
        g_autofree char *instances = g_strjoinv(" ", s->instances);
        char *password;

        assert_string_equal(s->host, "localhost");
        assert_int_equal(s->port, 1883);
        assert_string_equal(s->topic, "architect");
        assert_string_equal(s->client_id, "architect-host");
        assert_null(s->user);
        assert_null(s->password_file);
        assert_null(s->ca_file);
        assert_null(s->certificate_file);
        assert_null(s->key_file);
        assert_int_equal(s->keep_alive_sec, 60);
        assert_string_equal(instances, "main");
        assert_return_code(mqtt_password_read(s, &password), 0);
        assert_null(password);
        assert_null(warnings);
}

static void test_every_key(void **state) {
        g_autoptr(MqttSettings) s = load(*state,
                "[MQTT]\nHost=broker.example\nTopic=site/architect\nClientId=me\nUser=u v\nPasswordFile=/p\n"
                "CAFile=/ca\nCertificateFile=/c\nKeyFile=k\nKeepAliveSec=1min 5s\n"
                "Instances=other\nInstances=\nInstances=main  obs\nInstances=obs x\n");
        g_autofree char *instances = g_strjoinv(" ", s->instances);

        assert_string_equal(s->host, "broker.example");
        assert_int_equal(s->port, 8883); /* with TLS */
        assert_string_equal(s->topic, "site/architect");
        assert_string_equal(s->client_id, "me");
        assert_string_equal(s->user, "u v");
        assert_string_equal(s->password_file, "/p");
        assert_string_equal(s->ca_file, "/ca");
        assert_string_equal(s->certificate_file, "/c");
        assert_string_equal(s->key_file, "k");
        assert_int_equal(s->keep_alive_sec, 65);
        assert_string_equal(instances, "main obs x");
        g_autoptr(MqttSettings) other =
                load(*state, "[MQTT]\nPort=1\nUser=u\nUser=\nClientId=\nInstances=\n");
        assert_int_equal(other->port, 1);
        assert_null(other->user);
        assert_string_equal(other->client_id, "architect-host");
        assert_string_equal(other->instances[0], "main");
        assert_null(warnings);
}

static void test_unknown(void **state) {
        g_autoptr(MqttSettings) s = load(*state, "[MQTT]\nhost=x\nFoo=1\n[Other]\nHost=y\n");

        assert_string_equal(s->host, "localhost");
        assert_non_null(strstr(warnings, MQTT_SETTINGS_NAME ":2: unknown key host=, ignoring"));
        assert_non_null(strstr(warnings, MQTT_SETTINGS_NAME ":3: unknown key Foo=, ignoring"));
        assert_non_null(strstr(warnings, MQTT_SETTINGS_NAME ":4: unknown section [Other], ignoring"));
}

static void test_refused(void **state) {
        static const struct {
                const char *text, *reason;
        } table[] = {
                { "Host=", ":2: Host= is not a valid value" },
                { "Host=a b", "not a valid value" },
                { "Port=0", ":2: Port=0 is out of range" },
                { "Port=65536", "out of range" },
                { "Port=x", "not a valid value" },
                { "Topic=", "not a valid value" },
                { "Topic=a/+", "not a valid value" },
                { "KeepAliveSec=4s", "out of range" },
                { "KeepAliveSec=infinity", "out of range" },
                { "KeepAliveSec=x", "not a valid value" },
                { "PasswordFile=a/b", "not a valid value" },
                { "PasswordFile=..", "not a valid value" },
                { "Instances=main a-b", "not a valid value" },
                { "PasswordFile=/p", "PasswordFile= needs User=" },
                { "CertificateFile=/p\nKeyFile=/k", "need CAFile=" },
                { "CAFile=/a\nCertificateFile=/p", "need each other" },
                { "CAFile=/a\nKeyFile=/p", "need each other" },
                { "nothing", ":2: the line is neither a section header nor an assignment" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                g_autofree char *text = g_strconcat("[MQTT]\n", table[i].text, "\n", NULL);

                assert_refused(*state, text, table[i].reason);
        }
        g_autofree char *long_id = g_strnfill(129, 'x'),
                        *text = g_strconcat("[MQTT]\nClientId=", long_id, NULL);
        assert_refused(*state, text, "out of range");
        assert_null(warnings);
}

/* -- the password -- */

static void assert_password(const MqttSettings *s, const char *expected) {
        char *password;

        assert_return_code(mqtt_password_read(s, &password), 0);
        if (expected)
                assert_string_equal(password, expected);
        else
                assert_null(password);
        mqtt_password_free(password);
}

static void test_password(void **state) {
        const Directory *d = *state;

        /* An empty credential is none. */
        for (const char *const *text = (const char *const[]){ "", "\n", NULL }; *text; text++) {
                write_file(d, "password", *text);
                g_autoptr(MqttSettings) none = load(d, "[MQTT]\nUser=u\n");
                assert_null(none->password_file);
        }
        write_file(d, "password", " two words \r\nmore\n");
        g_autoptr(MqttSettings) s = load(d, "[MQTT]\nUser=u\n");
        assert_password(s, " two words ");
        /* Nobody logs in without a name. */
        g_autoptr(MqttSettings) nobody = load(d, "[MQTT]\n");
        assert_password(nobody, NULL);
        assert_null(warnings);
}

static void test_password_of_everybody(void **state) {
        const Directory *d = *state;
        g_autofree char *path = g_build_filename(d->path, "password", NULL);
        g_autofree char *text = g_strdup_printf("[MQTT]\nUser=u\nPasswordFile=%s\n", path);

        write_file(d, "password", "p");
        g_autoptr(MqttSettings) s = load(d, text);
        assert_password(s, "p");
        assert_null(warnings);
        assert_return_code(chmod(path, 0604), errno);
        assert_password(s, "p");
        assert_non_null(strstr(warnings, "Everybody can read the password in"));
        assert_null(strstr(warnings, "\"p\""));
}

static void test_no_password(void **state) {
        g_autoptr(MqttSettings) s = load(*state, "[MQTT]\nUser=u\nPasswordFile=password\n");
        char *password;

        assert_int_equal(mqtt_password_read(s, &password), -ENOENT);
        assert_non_null(strstr(warnings, "Cannot read the password from "));
        g_unsetenv("CREDENTIALS_DIRECTORY");
        assert_int_equal(mqtt_password_read(s, &password), -ENOKEY);
        assert_non_null(
                strstr(warnings, "PasswordFile=password is a credential, but systemd has passed none"));
}

static void test_key(void **state) {
        write_file(*state, "key", "k");
        g_autoptr(MqttSettings) s = load(*state, "[MQTT]\nCAFile=/ca\nCertificateFile=/c\n");

        assert_string_equal(s->key_file, "key");
        g_autofree char *path = mqtt_file_path("key"), *other = mqtt_file_path("/a/b");
        g_autofree char *expected = g_build_filename(((Directory *) *state)->path, "key", NULL);
        assert_string_equal(path, expected);
        assert_string_equal(other, "/a/b");
}

/* -- topics -- */

static void test_topics(void **state) {
        static const char *const bad_prefixes[] = { "", "/a", "a/", "a//b", "$SYS", "a/+", "#", "a\x01",
                "a\xff" };
        static const char *const good_prefixes[] = { "a", "a/b", "obs 1/a.b-c", "\xc3\xa9" };
        static const char *const bad_levels[] = { "", "a/b", "+", "a#", "\x7f" };
        g_autofree char *long_prefix = g_strnfill(TOPIC_PREFIX_MAX + 1, 'x');

        for (size_t i = 0; i < ELEMENTSOF(bad_prefixes); i++)
                assert_false(topic_prefix_is_valid(bad_prefixes[i]));
        for (size_t i = 0; i < ELEMENTSOF(good_prefixes); i++)
                assert_true(topic_prefix_is_valid(good_prefixes[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad_levels); i++)
                assert_false(topic_level_is_valid(bad_levels[i]));
        assert_true(topic_level_is_valid("host.example"));
        assert_false(topic_prefix_is_valid(long_prefix));
        assert_true(topic_prefix_is_valid(long_prefix + 1));

        g_autofree char *base = topic_base("a/b", "h"), *alive = topic_alive(base),
                        *node = topic_node(base, "main"), *event = topic_event(base, "main"),
                        *role = topic_role(base, "main", "r.1"), *roles = topic_roles(base, "main");
        assert_string_equal(base, "a/b/h");
        assert_string_equal(alive, "a/b/h/alive");
        assert_string_equal(node, "a/b/h/main/node");
        assert_string_equal(event, "a/b/h/main/event");
        assert_string_equal(role, "a/b/h/main/role/r.1");
        assert_string_equal(roles, "a/b/h/main/role/+");
        assert_string_equal(topic_role_parse(base, "main", role), "r.1");
        assert_null(topic_role_parse(base, "main", event));
        assert_null(topic_role_parse(base, "mai", role));
        assert_null(topic_role_parse(base, "main", "a/b/h/main/role/"));
        assert_null(topic_role_parse(base, "main", "a/b/h/main/role/x/y"));
}

/* -- states -- */

static void assert_role(const RoleProperties *role, const char *expected) {
        g_autofree char *state = role_state_json(role), *json = role_state_json_complete(state, "e", 9);

        assert_string_equal(json, expected);
}

static void test_role_state(void **state) {
        RoleProperties role = { .name = (char *) "r",
                .state = (char *) "starting",
                .exit_code = (char *) "",
                .cause = (char *) "",
                .result = (char *) "success",
                .status_text = (char *) "" };

        assert_role(&role,
                "{\"role\":\"r\",\"state\":\"starting\",\"ready\":false,\"code\":null,\"status\":null,\"cause\":null,"
                "\"result\":null,\"main-pid\":null,\"since-realtime-usec\":null,\"start-realtime-usec\":null,"
                "\"exit-realtime-usec\":null,\"restarts\":false,\"n-restarts\":0,\"status-text\":null,"
                "\"epoch\":\"e\",\"seq\":9}");
        role = (RoleProperties){ .name = (char *) "r",
                .state = (char *) "ended",
                .exit_code = (char *) "killed",
                .cause = (char *) "oom",
                .result = (char *) "oom-kill",
                .status_text = (char *) "a \"b\"",
                .exit_status = 9,
                .main_pid = 7,
                .n_restarts = 2,
                .start_usec = 10,
                .exit_usec = 20,
                .next_start_usec = UINT64_MAX,
                .ready = true };
        assert_role(&role,
                "{\"role\":\"r\",\"state\":\"ended\",\"ready\":true,\"code\":\"killed\",\"status\":9,\"cause\":\"oom\","
                "\"result\":\"oom-kill\",\"main-pid\":7,\"since-realtime-usec\":20,\"start-realtime-usec\":10,"
                "\"exit-realtime-usec\":20,\"restarts\":true,\"n-restarts\":2,\"status-text\":\"a \\\"b\\\"\","
                "\"epoch\":\"e\",\"seq\":9}");
}

static void test_node_state(void **state) {
        const NodeProperties node = {
                .version = (char *) "1", .state = (char *) "degraded", .event_epoch = (char *) "e"
        };
        g_autofree char *there = node_state_json(&node), *gone = node_state_json(NULL);

        assert_string_equal(there, "{\"state\":\"degraded\",\"version\":\"1\",\"epoch\":\"e\"}");
        assert_string_equal(gone, "{\"state\":\"gone\",\"version\":null,\"epoch\":null}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
                cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_password, setup, teardown),
                cmocka_unit_test_setup_teardown(test_password_of_everybody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_password, setup, teardown),
                cmocka_unit_test_setup_teardown(test_key, setup, teardown),
                cmocka_unit_test(test_topics),
                cmocka_unit_test(test_role_state),
                cmocka_unit_test(test_node_state),
        };

        return cmocka_run_group_tests_name("mqtt", tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration. The part of the input before the first NUL is main.conf, and the rest is
 * main.conf.d/a.conf. */

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "model/env.h"
#include "model/node.h"
#include "model/settings.h"
#include "util/log.h"

static char directory[] = "/tmp/architect-fuzz-XXXXXX";
static int file_fd, drop_in_fd;

static void remove_directory(void) {
        g_autofree char *file = g_strconcat(directory, "/main.conf", NULL);
        g_autofree char *drop_ins = g_strconcat(file, ".d", NULL);
        g_autofree char *drop_in = g_strconcat(drop_ins, "/a.conf", NULL);

        (void) unlink(file);
        (void) unlink(drop_in);
        (void) rmdir(drop_ins);
        (void) rmdir(directory);
}

/* The file is in memory, because a disk would be slow. */
static int make_file(const char *name) {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        g_autofree char *path = g_strconcat(directory, "/", name, NULL);
        g_autofree char *target = g_strdup_printf("/proc/self/fd/%d", fd);

        fuzz_check(fd >= 0 && symlink(target, path) == 0);
        return fd;
}

static void prepare(void) {
        static bool prepared;
        g_autofree char *drop_ins = NULL;

        if (prepared)
                return;
        prepared = true;
        log_set_max_level(LOG_EMERG);
        fuzz_check(g_mkdtemp(directory) && atexit(remove_directory) == 0);
        drop_ins = g_strconcat(directory, "/main.conf.d", NULL);
        fuzz_check(mkdir(drop_ins, 0700) == 0);
        file_fd = make_file("main.conf");
        drop_in_fd = make_file("main.conf.d/a.conf");
}

static void write_file(int fd, const void *data, size_t size) {
        fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t) size);
}

static void check(const Settings *s) {
        fuzz_check(s->max_concurrent_starts >= 1 && s->max_concurrent_starts <= 1000);
        fuzz_check(s->max_ended_roles >= 1 && s->max_ended_roles <= NODE_MAX_ROLES);
        fuzz_check(s->max_roles_per_user >= 1 && s->max_roles_per_user <= NODE_MAX_ROLES);
        fuzz_check(s->max_ended_roles_per_user >= 1 && s->max_ended_roles_per_user <= NODE_MAX_ROLES);
        fuzz_check(s->max_starts_per_user >= 1 && s->max_starts_per_user <= 6000);
        fuzz_check(s->max_ports_per_user >= 1 && s->max_ports_per_user <= 4096);
        fuzz_check(s->max_environment_per_user >= 1 && s->max_environment_per_user <= ENV_SIZE_MAX);
        fuzz_check(s->max_queued_input_per_user >= 1 && s->max_queued_input_per_user <= 512UL << 20);
        fuzz_check(s->max_waiting_calls_per_user >= 1 && s->max_waiting_calls_per_user <= NODE_MAX_ROLES);
        fuzz_check(s->max_call_time_per_user_usec >= USEC_PER_MSEC &&
                   s->max_call_time_per_user_usec <= USEC_PER_SEC);
        fuzz_check(!s->default_user || (s->default_user[0] && strlen(s->default_user) < ACCOUNT_NAME_MAX));
        fuzz_check(monitor_action_to_string(s->monitor_action));
        fuzz_check(product_provider_to_string(s->product_provider));
        fuzz_check(g_path_is_absolute(s->modules_command) && g_path_is_absolute(s->lmod_command));
        fuzz_check(s->bind_address.ip_version == 0 || s->bind_address.ip_version == 4 ||
                   s->bind_address.ip_version == 6);
        for (char **e = s->environment; e && *e; e++) {
                g_autofree char *name = g_strndup(*e, strcspn(*e, "="));

                fuzz_check(env_name_is_valid(name) && g_utf8_validate(*e, -1, NULL));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
        size_t n = end ? (size_t) (end - data) : size;
        g_auto(Fault) fault = {};
        Settings *settings = NULL;

        prepare();
        write_file(file_fd, data, n);
        write_file(drop_in_fd, end ? end + 1 : data, end ? size - n - 1 : 0);
        if (settings_load(directory, "main", false, &settings, &fault) < 0) {
                /* The message is sent in a reply on the bus, and must name the file. */
                fuzz_check(!settings && fault.message && strstr(fault.message, "main.conf"));
                fuzz_check(g_utf8_validate(fault.message, -1, NULL));
                return 0;
        }
        check(settings);
        settings_free(settings);
        return 0;
}

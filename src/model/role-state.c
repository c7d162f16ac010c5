/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/node.h"
#include "model/products.h"
#include "model/role-state.h"
#include "model/settings.h"
#include "util/log.h"

#define ROLE_STATE_SIZE_MAX (8U * 1024U * 1024U)

static void put_string(GString *s, const char *key, const char *value) {
        if (!value)
                return;
        /* Everything outside printable ASCII is escaped, so a value never ends its line. */
        g_autofree char *escaped = g_strescape(value, NULL);
        g_string_append_printf(s, "%s=%s\n", key, escaped);
}

static void put_u64(GString *s, const char *key, uint64_t value) {
        if (value != 0)
                g_string_append_printf(s, "%s=%" PRIu64 "\n", key, value);
}

static void put_i64(GString *s, const char *key, int64_t value) {
        g_string_append_printf(s, "%s=%" PRIi64 "\n", key, value);
}

static void put_strv(GString *s, const char *key, char **values) {
        for (char **v = values; v && *v; v++)
                put_string(s, key, *v);
}

static void put_caller(GString *s, const char *prefix, const Caller *caller) {
        if (!caller->known)
                return;
        g_string_append_printf(
                s, "%s_UID=%u\n%s_PID=%d\n", prefix, (unsigned) caller->uid, prefix, (int) caller->pid);
        g_autofree char *key = g_strconcat(prefix, "_UNIT", NULL);
        put_string(s, key, caller->unit);
}

static const char *const ports_keys[_ROLE_PORTS_MAX] = {
        [ROLE_PORTS_TCP] = "TCP_PORT",
        [ROLE_PORTS_UDP] = "UDP_PORT",
        [ROLE_PORTS_RELEASE] = "RELEASE_PORT",
};

static void put_spec(GString *s, const RoleSpec *spec) {
        g_autofree char *output = role_spec_output(spec);

        put_strv(s, "COMMAND", spec->command);
        put_strv(s, "ENVIRONMENT", spec->environment);
        put_string(s, "WORKING_DIRECTORY", spec->working_directory);
        put_string(s, "USER", spec->user);
        put_string(s, "GROUP", spec->group);
        put_string(s, "STDIN", role_stdin_to_string(spec->stdin_kind));
        put_u64(s, "XTERM", spec->xterm);
        put_strv(s, "XTERM_ARG", spec->xterm_args);
        put_string(s, "OUTPUT", output);
        put_i64(s, "STOP_SIGNAL", spec->stop_signal);
        put_string(s, "STOP_TO", stop_to_to_string(spec->stop_to));
        g_string_append_printf(s, "STOP_TIMEOUT=%" PRIu64 "\n", spec->stop_timeout_usec);
        if (spec->on_monitor_loss != MONITOR_LOSS_DEFAULT)
                put_string(s, "ON_MONITOR_LOSS", monitor_loss_to_string(spec->on_monitor_loss));
        if (spec->nice_set)
                put_i64(s, "NICE", spec->nice);
        for (int i = 0; i < RLIMIT_COUNT; i++)
                if (spec->limits_set & (UINT64_C(1) << i))
                        g_string_append_printf(
                                s, "LIMIT=%s:%" PRIu64 "\n", rlimit_to_string(i), spec->limits[i]);
        put_u64(s, "REMOVE", spec->remove);
        put_u64(s, "MEMORY_MAX", spec->memory_max);
        put_u64(s, "TASKS_MAX", spec->tasks_max);
        put_u64(s, "CPU_QUOTA", spec->cpu_quota);
        put_string(s, "PRODUCT", spec->product);
        put_string(s, "PRODUCT_VERSION", spec->version);
        put_strv(s, "SETUP_ARG", spec->setup_args);
        put_strv(s, "EUPS_LIST", spec->eups_list);
        if (products_wanted(spec))
                put_string(s, "PROVIDER", product_provider_to_string(spec->provider));
        for (int which = 0; which < _ROLE_PORTS_MAX; which++)
                for (unsigned i = 0; spec->ports[which] && i < spec->ports[which]->len; i++)
                        put_u64(s, ports_keys[which], g_array_index(spec->ports[which], uint16_t, i));
}

char *role_state_format(const Role *role) {
        g_autoptr(GString) s = g_string_sized_new(1024);
        char boot_id[33], invocation[SD_ID128_STRING_MAX];

        g_string_append_printf(s, "# This is private data of architect-node. Do not parse.\nVERSION=%u\n",
                ROLE_STATE_VERSION);
        if (boot_id_read(boot_id) >= 0)
                put_string(s, "BOOT_ID", boot_id);
        put_string(s, "INVOCATION", sd_id128_to_string(role->invocation, invocation));
        put_string(s, "STATE", role_state_to_string(role->state));
        put_string(s, "PHASE", role_phase_to_string(role->phase));
        put_caller(s, "OWNER", &role->owner);
        put_spec(s, role->spec);

        put_u64(s, "CHILD", role->child);
        put_u64(s, "MAIN_PID", (uint64_t) role->main_pid);
        put_u64(s, "MAIN_START_TIME", role->main_start_time);
        if (role->slice >= 0)
                put_i64(s, "SLICE", role->slice);
        put_string(s, "CGROUP", role->cgroup);
        put_u64(s, "STDIN_OPEN", role->stdin_fd >= 0);

        put_u64(s, "START_REALTIME", role->start_realtime_usec);
        put_u64(s, "START_MONOTONIC", role->start_monotonic_usec);
        put_u64(s, "STARTED_SEQUENCE", role->started_sequence);

        if (role->cause_known) {
                put_string(s, "CAUSE", role_cause_to_string(role->cause));
                put_caller(s, "CAUSE", &role->cause_caller);
        }
        put_string(s, "STOP_STEP", stop_step_to_string(role->stop_step));
        put_u64(s, "STOP_ASKED_ALL", role->stop_asked_all);
        put_u64(s, "STOP_DEADLINE", role->stop_deadline);
        put_u64(s, "SWEPT", role->swept);

        if (role->state == ROLE_ENDED) {
                const RoleExit *e = &role->exit;

                put_u64(s, "EXITED_SEQUENCE", role->exited_sequence);
                put_string(s, "EXIT_CODE", exit_code_to_string(e->code));
                put_i64(s, "EXIT_STATUS", e->status);
                put_u64(s, "EXIT_REALTIME", e->realtime_usec);
                put_u64(s, "EXIT_MONOTONIC", e->monotonic_usec);
                put_u64(s, "USAGE_KNOWN", e->usage_known);
                put_u64(s, "CPU_USER", e->cpu_user_usec);
                put_u64(s, "CPU_SYSTEM", e->cpu_system_usec);
                put_u64(s, "MAXRSS", e->maxrss_bytes);
                put_u64(s, "OOM_KNOWN", e->oom_known);
                put_u64(s, "OOM", e->oom);
                put_u64(s, "SCOPE_CPU", e->scope_cpu_usec);
                put_u64(s, "SCOPE_MEMORY_PEAK", e->scope_memory_peak);
        }

        for (unsigned i = 0; role->unknown_fields && i < role->unknown_fields->len; i++)
                g_string_append_printf(s, "%s\n", (const char *) g_ptr_array_index(role->unknown_fields, i));
        return g_string_free(g_steal_pointer(&s), false);
}

/* The lines of a file by key; every getter takes what it reads, so what is left is what we do not know. */
typedef struct Fields {
        GHashTable *lines; /* key → GPtrArray of values */
        bool bad;          /* a known field had a value that cannot be */
} Fields;

static void fields_done(Fields *f) {
        g_clear_pointer(&f->lines, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fields, fields_done)

static void fields_read(Fields *f, const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        *f = (Fields){ g_hash_table_new_full(
                g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref) };
        for (char **l = lines; *l; l++) {
                char *eq = strchr(*l, '=');

                if ((*l)[0] == '#' || (*l)[0] == '\0')
                        continue;
                if (!eq) {
                        f->bad = true;
                        continue;
                }

                /* An escape without an end: the line was cut. */
                size_t n = strlen(eq + 1), n_backslashes = 0;
                while (n_backslashes < n && eq[n - n_backslashes] == '\\')
                        n_backslashes++;
                if (n_backslashes % 2 != 0) {
                        f->bad = true;
                        continue;
                }

                g_autofree char *key = g_strndup(*l, (gsize) (eq - *l));
                GPtrArray *values = g_hash_table_lookup(f->lines, key);
                if (!values) {
                        values = g_ptr_array_new_with_free_func(g_free);
                        g_hash_table_insert(f->lines, g_steal_pointer(&key), values);
                }
                g_ptr_array_add(values, g_strcompress(eq + 1));
        }
}

static char **get_strv(Fields *f, const char *key) {
        g_autoptr(GPtrArray) values = NULL;
        g_autofree char *stolen = NULL;

        if (!g_hash_table_steal_extended(f->lines, key, (void **) &stolen, (void **) &values))
                return NULL;
        g_ptr_array_add(values, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&values), false);
}

static char *get_string(Fields *f, const char *key) {
        g_auto(GStrv) values = get_strv(f, key);

        if (!values)
                return NULL;
        if (g_strv_length(values) != 1)
                f->bad = true;
        return g_strdup(values[0]);
}

static uint64_t get_u64_max(Fields *f, const char *key, uint64_t max) {
        g_autofree char *text = get_string(f, key);
        uint64_t value = 0;

        if (text && (parse_u64(text, &value) < 0 || value > max)) {
                f->bad = true;
                return 0;
        }
        return value;
}

static uint64_t get_u64(Fields *f, const char *key) {
        return get_u64_max(f, key, UINT64_MAX);
}

/* Never a negative one: to kill(2) that means a group, or everybody. */
static pid_t get_pid(Fields *f, const char *key) {
        return (pid_t) get_u64_max(f, key, INT32_MAX);
}

static int32_t get_i32(Fields *f, const char *key, int32_t fallback) {
        g_autofree char *text = get_string(f, key);
        int32_t value = fallback;

        if (text && parse_i32(text, &value) < 0)
                f->bad = true;
        return value;
}

#define get_enum(f, key, name, fallback) \
        ({ \
                g_autofree char *_text = get_string(f, key); \
                typeof(fallback) _value = _text ? name##_from_string(_text) : (fallback); \
                if ((int) _value < 0) { \
                        (f)->bad = true; \
                        _value = (fallback); \
                } \
                _value; \
        })

static void get_caller(Fields *f, const char *prefix, Caller *caller) {
        g_autofree char *uid = g_strconcat(prefix, "_UID", NULL), *pid = g_strconcat(prefix, "_PID", NULL),
                        *unit = g_strconcat(prefix, "_UNIT", NULL);

        caller->known = g_hash_table_contains(f->lines, uid);
        caller->uid = (uid_t) get_u64_max(f, uid, UINT32_MAX);
        caller->pid = get_pid(f, pid);
        caller->unit = get_string(f, unit);
}

static void get_ports(Fields *f, RoleSpec *spec) {
        for (int which = 0; which < _ROLE_PORTS_MAX; which++) {
                g_auto(GStrv) texts = get_strv(f, ports_keys[which]);
                g_autoptr(GArray) numbers = g_array_new(false, false, sizeof(uint64_t));

                for (char **t = texts; t && *t; t++) {
                        uint64_t number = 0;

                        if (parse_u64(*t, &number) < 0)
                                f->bad = true;
                        g_array_append_val(numbers, number);
                }
                if (texts && role_spec_set_ports(spec, (RolePorts) which, (uint64_t *) numbers->data,
                                     numbers->len, NULL) < 0)
                        f->bad = true;
        }
}

static RoleSpec *get_spec(Fields *f) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(GStrv) command = get_strv(f, "COMMAND"), limits = get_strv(f, "LIMIT");
        g_autofree char *output = get_string(f, "OUTPUT");

        if (role_spec_set_command(spec, command, NULL) < 0)
                f->bad = true;
        spec->environment = get_strv(f, "ENVIRONMENT");
        spec->working_directory = get_string(f, "WORKING_DIRECTORY");
        spec->user = get_string(f, "USER");
        spec->group = get_string(f, "GROUP");
        spec->stdin_kind = get_enum(f, "STDIN", role_stdin, ROLE_STDIN_PIPE);
        spec->xterm = get_u64(f, "XTERM");
        spec->xterm_args = get_strv(f, "XTERM_ARG");
        if (output && role_spec_set_output(spec, output, NULL) < 0)
                f->bad = true;
        spec->stop_signal = get_i32(f, "STOP_SIGNAL", spec->stop_signal);
        spec->stop_to = get_enum(f, "STOP_TO", stop_to, STOP_TO_ALL);
        if (g_hash_table_contains(f->lines, "STOP_TIMEOUT"))
                spec->stop_timeout_usec = get_u64(f, "STOP_TIMEOUT");
        spec->on_monitor_loss = get_enum(f, "ON_MONITOR_LOSS", monitor_loss, MONITOR_LOSS_DEFAULT);
        spec->nice_set = g_hash_table_contains(f->lines, "NICE");
        spec->nice = get_i32(f, "NICE", 0);
        for (char **l = limits; l && *l; l++) {
                char *colon = strchr(*l, ':');
                uint64_t value;

                if (colon)
                        *colon = '\0';
                if (!colon || parse_u64(colon + 1, &value) < 0 ||
                        role_spec_add_limit(spec, *l, value, NULL) < 0)
                        f->bad = true;
        }
        spec->remove = get_u64(f, "REMOVE");
        spec->memory_max = get_u64(f, "MEMORY_MAX");
        spec->tasks_max = get_u64(f, "TASKS_MAX");
        spec->cpu_quota = get_u64(f, "CPU_QUOTA");
        spec->product = get_string(f, "PRODUCT");
        spec->version = get_string(f, "PRODUCT_VERSION");
        spec->setup_args = get_strv(f, "SETUP_ARG");
        spec->eups_list = get_strv(f, "EUPS_LIST");
        if (spec->eups_list && g_strv_length(spec->eups_list) % 2 != 0) {
                f->bad = true; /* pairs */
                g_clear_pointer(&spec->eups_list, g_strfreev);
        }
        spec->provider_set = g_hash_table_contains(f->lines, "PROVIDER");
        spec->provider = get_enum(f, "PROVIDER", product_provider, PRODUCT_PROVIDER_EUPS);
        get_ports(f, spec);
        return g_steal_pointer(&spec);
}

static void get_exit(Fields *f, Role *role) {
        RoleExit *e = &role->exit;

        role->exited_sequence = get_u64(f, "EXITED_SEQUENCE");
        e->code = get_enum(f, "EXIT_CODE", exit_code, EXIT_CODE_LOST);
        e->status = get_i32(f, "EXIT_STATUS", -1);
        e->realtime_usec = get_u64(f, "EXIT_REALTIME");
        e->monotonic_usec = get_u64(f, "EXIT_MONOTONIC");
        e->usage_known = get_u64(f, "USAGE_KNOWN");
        e->cpu_user_usec = get_u64(f, "CPU_USER");
        e->cpu_system_usec = get_u64(f, "CPU_SYSTEM");
        e->maxrss_bytes = get_u64(f, "MAXRSS");
        e->oom_known = get_u64(f, "OOM_KNOWN");
        e->oom = get_u64(f, "OOM");
        e->scope_cpu_usec = get_u64(f, "SCOPE_CPU");
        e->scope_memory_peak = get_u64(f, "SCOPE_MEMORY_PEAK");
}

static void keep_unknown(Fields *f, Role *role) {
        /* Sorted: saved again, the file is the same. */
        GList *keys = g_list_sort(g_hash_table_get_keys(f->lines), (GCompareFunc) strcmp);

        for (GList *k = keys; k; k = k->next) {
                GPtrArray *values = g_hash_table_lookup(f->lines, k->data);

                if (!role->unknown_fields)
                        role->unknown_fields = g_ptr_array_new_with_free_func(g_free);
                for (unsigned i = 0; i < values->len; i++) {
                        g_autofree char *escaped = g_strescape(g_ptr_array_index(values, i), NULL);
                        g_ptr_array_add(role->unknown_fields, g_strconcat(k->data, "=", escaped, NULL));
                }
        }
        g_list_free(keys);
}

int role_state_parse(Node *node, const char *name, const char *text, Role **ret) {
        g_auto(Fields) f = {};
        char boot_id[33];

        if (!role_name_is_valid(name))
                return -EINVAL;

        fields_read(&f, text);
        uint64_t version = get_u64(&f, "VERSION");
        if (version == 0)
                return -EBADMSG;

        g_autoptr(Role) role = role_new(node, name, get_spec(&f));
        g_autofree char *saved_boot_id = get_string(&f, "BOOT_ID");
        g_autofree char *invocation = get_string(&f, "INVOCATION");

        if (!invocation || sd_id128_from_string(invocation, &role->invocation) < 0)
                f.bad = true;
        role->state = get_enum(&f, "STATE", role_state, ROLE_STARTING);
        role->phase = get_enum(&f, "PHASE", role_phase, ROLE_PHASE_QUEUED);
        get_caller(&f, "OWNER", &role->owner);
        role->child = get_u64(&f, "CHILD");
        role->main_pid = get_pid(&f, "MAIN_PID");
        role->main_start_time = get_u64(&f, "MAIN_START_TIME");
        int slice = get_i32(&f, "SLICE", -1);
        role->cgroup = get_string(&f, "CGROUP");
        (void) get_u64(&f, "STDIN_OPEN"); /* the keeper lends it if it still has it */
        role->start_realtime_usec = get_u64(&f, "START_REALTIME");
        role->start_monotonic_usec = get_u64(&f, "START_MONOTONIC");
        role->started_sequence = get_u64(&f, "STARTED_SEQUENCE");
        role->cause_known = g_hash_table_contains(f.lines, "CAUSE");
        role->cause = get_enum(&f, "CAUSE", role_cause, ROLE_CAUSE_SELF);
        get_caller(&f, "CAUSE", &role->cause_caller);
        role->stop_step = get_enum(&f, "STOP_STEP", stop_step, STOP_STEP_NONE);
        role->stop_asked_all = get_u64(&f, "STOP_ASKED_ALL");
        role->stop_deadline = get_u64(&f, "STOP_DEADLINE");
        role->swept = get_u64(&f, "SWEPT");
        if (role->state == ROLE_ENDED)
                get_exit(&f, role);
        role->main_exited = role->state == ROLE_ENDED;

        if (f.bad)
                return -EBADMSG;

        /* After a reboot nothing of it runs, its pid is another's and its clock has begun again. */
        if (saved_boot_id && boot_id_read(boot_id) >= 0 && !g_str_equal(boot_id, saved_boot_id)) {
                role->main_pid = 0;
                g_clear_pointer(&role->cgroup, g_free);
        } else if (slice >= 0 && slice < (int) (NODE_MAX_ROLES / NODE_SLICE_ROLES) && !role->swept) {
                role->slice = slice;
                node_slice_retake(node, slice);
        }
        keep_unknown(&f, role);
        *ret = g_steal_pointer(&role);
        return 0;
}

int role_store_open(int dir_fd, RoleStore *ret) {
        autofd roles = directory_make_at(dir_fd, ROLE_STATE_DIRECTORY);
        if (roles < 0)
                return roles;
        int previous = directory_make_at(dir_fd, ROLE_PREVIOUS_DIRECTORY);
        if (previous < 0)
                return previous;
        /* A role that is purged is never saved again, so nobody else would. */
        int r = file_replace_clean(roles);
        if (r >= 0)
                r = file_replace_clean(previous);
        if (r < 0)
                log_warning_errno(r, "Cannot remove what was left half written, ignoring: %m");
        *ret = (RoleStore){ fd_steal(&roles), previous };
        return 0;
}

void role_store_close(RoleStore *store) {
        store->roles_fd = fd_close(store->roles_fd);
        store->previous_fd = fd_close(store->previous_fd);
}

int role_state_save(const RoleStore *store, const Role *role) {
        g_autofree char *text = role_state_format(role);

        /* A run that a new start has set aside is saved beside it. */
        return file_replace(
                role->successor ? store->previous_fd : store->roles_fd, role->name, text, strlen(text));
}

static void warn_unless_missing(const char *name, const char *what) {
        if (errno != ENOENT)
                log_warning_errno(errno, "Cannot %s the saved state of role \"%s\": %m", what, name);
}

void role_state_drop_previous(const RoleStore *store, const char *name) {
        if (unlinkat(store->previous_fd, name, 0) < 0)
                warn_unless_missing(name, "remove");
}

void role_state_forget(const RoleStore *store, const char *name) {
        if (unlinkat(store->roles_fd, name, 0) < 0)
                warn_unless_missing(name, "remove");
        role_state_drop_previous(store, name);
}

void role_state_set_aside(const RoleStore *store, const char *name) {
        if (renameat(store->roles_fd, name, store->previous_fd, name) < 0)
                warn_unless_missing(name, "set aside");
}

void role_state_bring_back(const RoleStore *store, const char *name) {
        if (renameat(store->previous_fd, name, store->roles_fd, name) < 0)
                warn_unless_missing(name, "bring back");
}

static int load_one(int dir_fd, const char *name, Node *node, Role **ret) {
        char *text = NULL;

        int r = file_read(dir_fd, name, ROLE_STATE_SIZE_MAX, &text, NULL);
        if (r >= 0)
                r = role_state_parse(node, name, text, ret);
        free(text); /* libc's */
        if (r == -ENOENT)
                return r;
        if (r < 0) {
                /* A name with this ending is skipped from then on; somebody may want to look at it. */
                g_autofree char *aside = g_strconcat(name, "~damaged", NULL);

                log_error_errno(r, "Cannot read the saved state of role \"%s\", set aside as \"%s\": %m",
                        name, aside);
                if (renameat(dir_fd, name, dir_fd, aside) < 0)
                        log_error_errno(errno, "Cannot set it aside: %m");
        }
        return r;
}

static int list_roles(int dir_fd, GPtrArray **ret) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        DIR *dir;

        int r = directory_read_at(dir_fd, &dir);
        if (r < 0)
                return r;
        for (struct dirent *d; (d = readdir(dir));)
                if (role_name_is_valid(d->d_name))
                        g_ptr_array_add(names, g_strdup(d->d_name));
        (void) closedir(dir);
        *ret = g_steal_pointer(&names);
        return 0;
}

void role_state_forget_all(const RoleStore *store) {
        g_autoptr(GPtrArray) names = NULL;

        int r = list_roles(store->roles_fd, &names);
        if (r < 0) {
                log_warning_errno(r, "Cannot list the saved roles, ignoring: %m");
                return;
        }
        g_assert(names);
        for (unsigned i = 0; i < names->len; i++)
                role_state_forget(store, g_ptr_array_index(names, i));
}

/* No number that a saved run has is given out again. */
static void numbers_seen(Node *node, const Role *role) {
        events_seen(node->events, MAX(role->started_sequence, role->exited_sequence));
        if (role->child >= node->next_child)
                node->next_child = role->child + 1;
}

static int compare_ends(const void *a, const void *b, void *userdata) {
        const Role *x = a, *y = b;

        return x->exited_sequence < y->exited_sequence ? -1 : x->exited_sequence > y->exited_sequence;
}

/* The ended run before one that is starting. */
static void load_previous(const RoleStore *store, Node *node, Role *role) {
        Role *previous;

        if (load_one(store->previous_fd, role->name, node, &previous) < 0)
                return;
        if (previous->state != ROLE_ENDED) {
                log_error(
                        "The saved state of the run before of role \"%s\" says that it has not ended, ignoring it",
                        role->name);
                role_free(previous);
                return;
        }
        numbers_seen(node, previous);
        role->predecessor = previous;
        previous->successor = role;
}

int role_state_load_all(const RoleStore *store, Node *node) {
        g_autoptr(GPtrArray) previous_names = NULL, names = NULL;

        /* We may have died between setting a run aside and saving the one that was to replace it. */
        int r = list_roles(store->previous_fd, &previous_names);
        if (r < 0)
                return r;
        g_assert(previous_names);
        for (unsigned i = 0; i < previous_names->len; i++) {
                const char *name = g_ptr_array_index(previous_names, i);
                if (faccessat(store->roles_fd, name, F_OK, 0) < 0)
                        role_state_bring_back(store, name);
        }

        r = list_roles(store->roles_fd, &names);
        if (r < 0)
                return r;
        g_assert(names);

        for (unsigned i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                Role *role;

                if (load_one(store->roles_fd, name, node, &role) < 0)
                        continue;
                if (role->state != ROLE_STARTING)
                        role_state_drop_previous(store, name);
                else
                        load_previous(store, node, role);
                node_add_role(node, role);
                numbers_seen(node, role);
        }
        /* The directory knows no order, and the oldest are the first to go. */
        g_queue_sort(node->ended, compare_ends, NULL);
        return 0;
}

/* -- StoreOps ---------------------------------------------------------------------------------------------------------------- */

static int store_save(void *data, const Role *role) {
        return role_state_save(data, role);
}

static void store_forget(void *data, const Role *role) {
        role_state_forget(data, role->name);
}

static void store_set_aside(void *data, const Role *role) {
        role_state_set_aside(data, role->name);
}

static void store_drop_previous(void *data, const Role *role) {
        role_state_drop_previous(data, role->name);
}

static void store_bring_back(void *data, const Role *role) {
        role_state_bring_back(data, role->name);
}

static void store_forget_all(void *data) {
        role_state_forget_all(data);
}

const StoreOps role_store_ops = {
        .save = store_save,
        .forget = store_forget,
        .set_aside = store_set_aside,
        .drop_previous = store_drop_previous,
        .bring_back = store_bring_back,
        .forget_all = store_forget_all,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Damaged saved files. Whatever happens to them between two processes: a role that runs is not stopped, each
 * end is told, with its status or as lost, and the service starts. Each damage has a seed, which is printed;
 * with MUTATION_SEED= and MUTATION_ROUNDS= in the environment the same damage is done again, or more. */

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/auto-start.h"
#include "model/env.h"
#include "model/event-log.h"
#include "model/monitor.h"
#include "model/ports.h"
#include "model/role-damage.h"
#include "model/role-recover.h"
#include "model/role-state.h"
#include "model/settings.h"
#include "model/state-fields.h"
#include "test-world.h"

#define DEFAULT_ROUNDS 1000

/* What the role really is when the service dies, and what the keeper has of it. */
typedef enum Truth {
        TRUTH_RUNNING,
        TRUTH_OUTLIVED, /* runs on without its main process */
        TRUTH_ORPHAN,   /* runs, child of a dead keeper */
        TRUTH_EXITED,   /* its main process ended during the outage, with 7 */
        TRUTH_STOPPING,
        TRUTH_OPEN, /* its set-up runs */
        TRUTH_QUEUED,
        TRUTH_ENDED, /* and told, with 0 */
        TRUTH_PURGED,
        _TRUTH_MAX,
} Truth;

static const char *const truth_names[_TRUTH_MAX] = {
        [TRUTH_RUNNING] = "running",
        [TRUTH_OUTLIVED] = "outlived",
        [TRUTH_ORPHAN] = "orphan",
        [TRUTH_EXITED] = "exited",
        [TRUTH_STOPPING] = "stopping",
        [TRUTH_OPEN] = "open",
        [TRUTH_QUEUED] = "queued",
        [TRUTH_ENDED] = "ended",
        [TRUTH_PURGED] = "purged",
};

static bool truth_runs(Truth t) {
        return t == TRUTH_RUNNING || t == TRUTH_OUTLIVED || t == TRUTH_ORPHAN;
}

typedef struct Life {
        TestWorld *w;
        char *path;
        int dir_fd;
        RoleStore store;
        GRand *rand;
        uint32_t seed;
        struct {
                uint64_t child;
                sd_id128_t invocation;
                bool stdin_open;
        } was[_TRUTH_MAX];
        bool log_is_whole;
        GString *mutations; /* what was done, for the message of a failure */
} Life;

/* -- a process of the service ------------------------------------------------------------------ */

static void life_begin(Life *l) {
        Events *events = NULL;

        assert_return_code(events_open(l->dir_fd, &events), 0);
        world_new_node(l->w, events);
        assert_return_code(role_store_open(l->dir_fd, &l->store), 0);
        l->w->node->world.store.ops = &role_store_ops;
        l->w->node->world.store.data = &l->store;
        Env *env = NULL;
        Monitor *monitor = NULL;
        Ports *ports = NULL;
        g_clear_pointer(&l->w->node->env, env_close);
        g_clear_pointer(&l->w->node->monitor, monitor_close);
        g_clear_pointer(&l->w->node->ports, ports_close);
        assert_return_code(env_open(l->dir_fd, &env), 0);
        l->w->node->env = env;
        assert_return_code(monitor_open(l->w->node, l->dir_fd, &monitor), 0);
        l->w->node->monitor = monitor;
        assert_return_code(ports_open(l->w->node, l->dir_fd, &ports), 0);
        l->w->node->ports = ports;
        assert_return_code(role_state_load_all(&l->store, l->w->node), 0);
        node_restore_events(l->w->node);
}

/* It dies: nothing more is saved. */
static void life_end(Life *l) {
        l->w->node = node_free(l->w->node);
        role_store_close(&l->store);
        g_hash_table_remove_all(l->w->populated);
        g_hash_table_remove_all(l->w->scopes);
}

static Life *life_new(uint32_t seed) {
        Life *l = g_new0(Life, 1);

        l->w = test_world_new();
        /* In memory, if possible, because each process allocates some MiB. */
        l->path = g_strdup_printf(
                "%s/test-damage-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir());
        assert_non_null(g_mkdtemp(l->path));
        l->dir_fd = open(l->path, O_DIRECTORY | O_CLOEXEC);
        assert_return_code(l->dir_fd, errno);
        l->seed = seed;
        l->rand = g_rand_new_with_seed(seed);
        l->log_is_whole = true;
        l->mutations = g_string_new(NULL);
        return l;
}

static void remove_tree(int dir_fd, const char *name) {
        autofd fd = openat(dir_fd, name, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *dir = NULL;

        if (fd < 0) {
                assert_return_code(unlinkat(dir_fd, name, 0), errno);
                return;
        }
        assert_return_code(directory_read_at(fd, &dir), 0);
        for (struct dirent *d; (d = readdir(dir));)
                if (!g_str_equal(d->d_name, ".") && !g_str_equal(d->d_name, ".."))
                        remove_tree(fd, d->d_name);
        (void) closedir(dir);
        assert_return_code(unlinkat(dir_fd, name, AT_REMOVEDIR), errno);
}

static void life_free(Life *l) {
        unsigned n_fds = l->w->n_fds;

        life_end(l);
        remove_tree(l->dir_fd, l->path);
        (void) fd_close(l->dir_fd);
        test_world_free(l->w);
        assert_int_equal(count_fds(), n_fds);
        g_rand_free(l->rand);
        (void) g_string_free(l->mutations, true);
        g_free(l->path);
        g_free(l);
}

static Role *make_role(Life *l, Truth truth) {
        TestWorld *w = l->w;
        const char *name = truth_names[truth];
        RoleSpec *spec = test_spec();
        Role *role;

        spec->exit_type = truth == TRUTH_OUTLIVED ? EXIT_TYPE_CGROUP : EXIT_TYPE_MAIN;
        assert_return_code(role_spec_set_working_directory(spec, "/\xc3\xa4", NULL), 0);
        if (truth == TRUTH_QUEUED || truth == TRUTH_OPEN) {
                w->connected = truth == TRUTH_OPEN;
                role = world_start(w, name, spec, NULL);
                w->connected = true;
                if (truth == TRUTH_QUEUED)
                        return role;
                world_forked(w, role);
                world_scope_made(w, role);
                return role;
        }
        role = world_run(w, name, spec);
        switch (truth) {
        case TRUTH_OUTLIVED:
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 5);
                break;
        case TRUTH_STOPPING:
                role_stop(role, ROLE_CAUSE_STOP, false, NULL);
                break;
        case TRUTH_ENDED:
        case TRUTH_PURGED:
                world_exit(w, role, EXIT_CODE_EXITED, 0);
                break;
        default:
                break;
        }
        return role;
}

/* The first process, until it dies. */
static void life_before(Life *l) {
        life_begin(l);
        for (Truth t = 0; t < _TRUTH_MAX; t++) {
                Role *role = make_role(l, t);

                l->was[t].child = role->child;
                l->was[t].invocation = role->invocation;
                l->was[t].stdin_open = role->stdin_fd >= 0;
                if (t == TRUTH_PURGED)
                        node_purge_role(l->w->node, role, NULL);
        }
        assert_return_code(env_set(l->w->node->env, 0, "A", "\xc3\xa4", NULL), 0);
        assert_return_code(monitor_set_timeout(l->w->node->monitor, 3600 * USEC_PER_SEC, NULL), 0);
        life_end(l);
}

static void list_child(Life *l, Truth t) {
        bool ended = t == TRUTH_OUTLIVED || t == TRUTH_EXITED;
        ListedChild listed = {
                .child = l->was[t].child,
                .role = truth_names[t],
                .report = ended ? CHILD_ENDED : CHILD_RUNNING,
                .orphan = t == TRUTH_ORPHAN,
                .pid = getpid(),
                .start_time = start_time_of(getpid()),
                .execed = true,
                .exit = test_exit(EXIT_CODE_EXITED, t == TRUTH_OUTLIVED ? 5 : 7),
                .pidfd = some_fd(),
                .gate_fd = -EBADF,
                .stdin_fd = some_fd(),
                .terminal_fd = -EBADF,
        };

        (void) g_hash_table_add(l->w->children, GUINT_TO_POINTER((guint) listed.child));
        node_on_child(l->w->node, &listed);
}

/* The next one, until it is up to date. */
static void life_after(Life *l) {
        TestWorld *w = l->w;

        forget_calls(w);
        g_hash_table_remove_all(w->children);
        (void) alarm(20); /* in case that it waits for a file */
        life_begin(l);
        (void) alarm(0);
        /* In which cgroups there are processes. */
        for (Truth t = 0; t < _TRUTH_MAX; t++)
                if (truth_runs(t) || t == TRUTH_STOPPING || t == TRUTH_OPEN)
                        (void) g_hash_table_add(w->found, g_strdup(truth_names[t]));
        for (Truth t = TRUTH_RUNNING; t <= TRUTH_OPEN; t++)
                list_child(l, t);
        node_on_keeper(w->node, NULL, 0);
}

/* -- what must hold ---------------------------------------------------------------------------- */

static void check_text(const Life *l, const char *text) {
        if (text && !g_utf8_validate(text, -1, NULL))
                fail_msg("seed %u: not UTF-8", l->seed);
}

/* What the bus has of it. */
static void check_strings(const Life *l, const Role *role) {
        for (char **c = role->spec->command; c && *c; c++)
                check_text(l, *c);
        check_text(l, role->spec->user);
        check_text(l, role->spec->group);
        check_text(l, role->spec->working_directory);
        check_text(l, role->spec->product);
        check_text(l, role->cgroup);
        check_text(l, role->environment_hash);
        check_text(l, role->owner.unit);
        for (char **s = role->strays; s && *s; s++)
                check_text(l, *s);
}

static void check_never_stopped(const Life *l, Truth t) {
        static const char *const requests[] = { "signal-main(", "signal-lost(", "signal-cgroup(",
                "signal-all(", "freeze-and-kill(", "remove(", "thaw(" };

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                g_autofree char *call = g_strconcat(requests[i], truth_names[t], NULL);

                if (strstr(l->w->calls->str, call))
                        fail_msg("seed %u:%s: %s was stopped: %s", l->seed, l->mutations->str, truth_names[t],
                                l->w->calls->str);
        }
}

typedef struct Count {
        const char *role;
        char invocation[SD_ID128_STRING_MAX];
        unsigned n_ends, n_other_ends;
        int64_t status;
        char code[16];
} Count;

static int count_event(void *userdata, const Event *event) {
        Count *count = userdata;

        if (event->type != EVENT_ROLE_EXITED || !g_str_equal(event->role, count->role))
                return 0;
        if (!g_str_equal(event_get_string(event, "invocation-id"), count->invocation)) {
                count->n_other_ends++;
                return 0;
        }
        count->n_ends++;
        count->status = event_get_i64(event, "status", -99);
        (void) g_strlcpy(count->code, event_get_string(event, "code"), sizeof(count->code));
        return 0;
}

static Count count_ends(const Life *l, Truth t) {
        Count count = { .role = truth_names[t] };

        (void) sd_id128_to_string(l->was[t].invocation, count.invocation);
        (void) events_read(l->w->node->events, 0, count_event, &count);
        return count;
}

#define CHECK(l, t, condition) \
        do { \
                if (!(condition)) \
                        fail_msg("seed %u:%s: %s: %s; %s", (l)->seed, (l)->mutations->str, truth_names[t], \
                                #condition, (l)->w->calls->str); \
        } while (0)

static void check_after(Life *l) {
        TestWorld *w = l->w;

        for (Truth t = 0; t < _TRUTH_MAX; t++) {
                Role *role = world_find(w, truth_names[t]);
                Count count = count_ends(l, t);

                if (role)
                        check_strings(l, role);
                CHECK(l, t, count.n_other_ends == 0 || !l->log_is_whole || t == TRUTH_QUEUED);
                if (truth_runs(t)) {
                        check_never_stopped(l, t);
                        CHECK(l, t, role && role->state == ROLE_RUNNING);
                        CHECK(l, t, t == TRUTH_OUTLIVED || role->main_pid == getpid());
                        CHECK(l, t, role->child == l->was[t].child && role->child_exists);
                        CHECK(l, t, count.n_ends == 0);
                        if (l->log_is_whole)
                                CHECK(l, t, sd_id128_equal(role->invocation, l->was[t].invocation));
                }
                if (t == TRUTH_EXITED) {
                        CHECK(l, t, role && role->state == ROLE_ENDED && role->swept);
                        CHECK(l, t, role->exit.code == EXIT_CODE_EXITED && role->exit.status == 7);
                        CHECK(l, t, !l->log_is_whole || count.n_ends == 1);
                        CHECK(l, t, strstr(w->calls->str, "exited(exited)"));
                }
                if (t == TRUTH_STOPPING)
                        CHECK(l, t, role && (role->state == ROLE_STOPPING || role->state == ROLE_RUNNING));
                if (t == TRUTH_OPEN)
                        CHECK(l, t, role && role->state == ROLE_RUNNING);
                if (t == TRUTH_ENDED && l->log_is_whole)
                        CHECK(l, t,
                                count.n_ends == 1 && count.status == 0 &&
                                        (!role || role->state == ROLE_ENDED));
                if (t == TRUTH_PURGED && l->log_is_whole)
                        CHECK(l, t, !role && count.n_ends == 1);
                if (t == TRUTH_QUEUED) /* it never ran; with a file that says nothing it may be lost */
                        CHECK(l, t, count.n_ends + count.n_other_ends <= 1);
        }
}

/* The ends that come later are told with their status. */
static void check_ends(Life *l) {
        TestWorld *w = l->w;

        forget_calls(w);
        for (Truth t = 0; t < _TRUTH_MAX; t++) {
                Role *role = world_find(w, truth_names[t]);
                g_autofree char *told = g_strdup_printf("exited(%s)", truth_names[t]);

                if (!truth_runs(t))
                        continue;
                if (t == TRUTH_OUTLIVED)
                        world_emptied(w, role);
                else
                        world_exit(w, role, EXIT_CODE_EXITED, 9);
                role = world_find(w, truth_names[t]);
                CHECK(l, t, role && role->state == ROLE_ENDED && role->swept);
                CHECK(l, t,
                        role->exit.code == EXIT_CODE_EXITED &&
                                role->exit.status == (t == TRUTH_OUTLIVED ? 5 : 9));
                CHECK(l, t, strstr(w->calls->str, told));
        }
}

/* -- damage ------------------------------------------------------------------------------------ */

typedef struct Text {
        char *data;
        size_t size;
} Text;

static bool file_get(int dir_fd, const char *name, Text *ret) {
        *ret = (Text){};
        return file_read(dir_fd, name, 16 * 1024 * 1024, &ret->data, &ret->size) >= 0;
}

/* Without a rename, so that a log that a process has open would be the same file. */
static void file_put(int dir_fd, const char *name, const char *data, size_t size) {
        autofd fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, data, size), (ssize_t) size);
}

typedef enum Mutation {
        MUTATION_FLIP,
        MUTATION_FLIPS,
        MUTATION_CUT,
        MUTATION_HOLE,
        MUTATION_SPLICE,
        MUTATION_NOT_UTF8,
        MUTATION_ZEROS,
        MUTATION_EMPTY,
        MUTATION_GARBAGE,
        MUTATION_SWAP,
        MUTATION_COPY,
        MUTATION_FIFO,
        MUTATION_DIRECTORY,
        MUTATION_LINK,
        MUTATION_DANGLING,
        MUTATION_GONE,
        _MUTATION_MAX,
} Mutation;

static const char *const mutation_names[_MUTATION_MAX] = {
        [MUTATION_FLIP] = "flip",
        [MUTATION_FLIPS] = "flips",
        [MUTATION_CUT] = "cut",
        [MUTATION_HOLE] = "hole",
        [MUTATION_SPLICE] = "splice",
        [MUTATION_NOT_UTF8] = "not-utf8",
        [MUTATION_ZEROS] = "zeros",
        [MUTATION_EMPTY] = "empty",
        [MUTATION_GARBAGE] = "garbage",
        [MUTATION_SWAP] = "swap",
        [MUTATION_COPY] = "copy",
        [MUTATION_FIFO] = "fifo",
        [MUTATION_DIRECTORY] = "directory",
        [MUTATION_LINK] = "link",
        [MUTATION_DANGLING] = "dangling",
        [MUTATION_GONE] = "gone",
};

static size_t below(Life *l, size_t n) {
        return n > 0 ? (size_t) g_rand_int_range(l->rand, 0, (gint32) n) : 0;
}

static void remove_file(int dir_fd, const char *name) {
        assert_return_code(unlinkat(dir_fd, name, 0), errno);
}

static void mutate(Life *l, int dir_fd, const char *name, const char *other, Mutation m) {
        Text a, b;

        if (!file_get(dir_fd, name, &a))
                return; /* it has been replaced before */
        bool have_b = file_get(dir_fd, other, &b);
        size_t at = below(l, a.size), n = below(l, MIN(a.size - at, 64));

        g_string_append_printf(
                l->mutations, " %s(%s, %s, at %zu, %zu)", mutation_names[m], name, other, at, n);
        switch (m) {
        case MUTATION_FLIPS:
                for (size_t i = below(l, 16); i > 0; i--)
                        if (a.size > 0)
                                a.data[below(l, a.size)] ^= (char) (1 << below(l, 8));
                __attribute__((fallthrough));
        case MUTATION_FLIP:
                if (a.size > 0)
                        a.data[at] ^= (char) (1 << below(l, 8));
                file_put(dir_fd, name, a.data, a.size);
                break;
        case MUTATION_CUT:
                file_put(dir_fd, name, a.data, at);
                break;
        case MUTATION_HOLE:
                memmove(a.data + at, a.data + at + n, a.size - at - n);
                file_put(dir_fd, name, a.data, a.size - n);
                break;
        case MUTATION_SPLICE:
                if (have_b)
                        memcpy(a.data + at, b.data + MIN(at, b.size),
                                MIN(a.size - at, b.size - MIN(at, b.size)));
                file_put(dir_fd, name, a.data, a.size);
                break;
        case MUTATION_NOT_UTF8:
                memset(a.data + at, 0xff, MIN(n + 1, a.size - at));
                file_put(dir_fd, name, a.data, a.size);
                break;
        case MUTATION_ZEROS:
                memset(a.data + at, 0, a.size - at);
                file_put(dir_fd, name, a.data, a.size);
                break;
        case MUTATION_EMPTY:
                file_put(dir_fd, name, "", 0);
                break;
        case MUTATION_GARBAGE:
                for (size_t i = 0; i < a.size; i++)
                        a.data[i] = (char) below(l, 256);
                file_put(dir_fd, name, a.data, a.size);
                break;
        case MUTATION_SWAP:
                if (have_b)
                        file_put(dir_fd, other, a.data, a.size);
                __attribute__((fallthrough));
        case MUTATION_COPY:
                if (have_b)
                        file_put(dir_fd, name, b.data, b.size);
                break;
        case MUTATION_FIFO:
                remove_file(dir_fd, name);
                assert_return_code(mkfifoat(dir_fd, name, 0600), errno);
                break;
        case MUTATION_DIRECTORY:
                remove_file(dir_fd, name);
                assert_return_code(mkdirat(dir_fd, name, 0700), errno);
                assert_return_code(mkdirat(dir_fd, name, 0700) < 0 && errno == EEXIST ? 0 : -1, errno);
                break;
        case MUTATION_LINK:
                remove_file(dir_fd, name);
                assert_return_code(symlinkat(other, dir_fd, name), errno);
                break;
        case MUTATION_DANGLING:
                remove_file(dir_fd, name);
                assert_return_code(symlinkat("no-such-file", dir_fd, name), errno);
                break;
        case MUTATION_GONE:
                remove_file(dir_fd, name);
                break;
        default:
                fail();
        }
        free(a.data);
        free(b.data);
}

static uint32_t first_seed(void) {
        const char *given = getenv("MUTATION_SEED");

        return given ? (uint32_t) strtoul(given, NULL, 10) : g_random_int();
}

static unsigned rounds(unsigned preset) {
        const char *given = getenv("MUTATION_ROUNDS");

        return given ? (unsigned) strtoul(given, NULL, 10) : preset;
}

/* Damages files of roles; each mutation is done several times, and several to a round. */
static unsigned damage_roles(Life *l, unsigned round) {
        autofd roles = openat(l->dir_fd, "roles", O_DIRECTORY | O_CLOEXEC);
        unsigned n = 0;

        assert_return_code(roles, errno);
        for (Truth t = 0; t <= TRUTH_ENDED; t++) {
                Truth other = (Truth) below(l, TRUTH_ENDED + 1);

                if (below(l, 2) == 0)
                        continue;
                mutate(l, roles, truth_names[t], truth_names[other],
                        n == 0 ? (Mutation) (round % _MUTATION_MAX) : (Mutation) below(l, _MUTATION_MAX));
                n++;
        }
        return n;
}

static void test_mutated_roles(void **state) {
        const uint32_t seed = first_seed();
        unsigned n = 0, n_damaged = 0;

        print_message("# MUTATION_SEED=%u\n", seed);
        for (unsigned round = 0; n < rounds(DEFAULT_ROUNDS); round++) {
                Life *l = life_new(seed + round);

                life_before(l);
                n += damage_roles(l, round);
                life_after(l);
                check_after(l);
                for (Truth t = 0; t < _TRUTH_MAX; t++) {
                        Role *role = world_find(l->w, truth_names[t]);
                        n_damaged += role && role->damaged;
                }
                check_ends(l);
                life_free(l);
        }
        print_message("# %u files mutated, %u roles damaged\n", n, n_damaged);
        assert_true(n_damaged > n / 2);
}

/* All other files, too, so that even the log may say nothing. */
static void test_mutated_everything(void **state) {
        static const char *const others[] = { "events", "environment", "ports", "monitor",
                "event-log/00000000000000000001", "event-log/spare", "shutdown", "log", AUTO_START_FILE };
        const uint32_t seed = first_seed();
        unsigned n = 0;

        print_message("# MUTATION_SEED=%u\n", seed);
        for (unsigned round = 0; n < rounds(DEFAULT_ROUNDS / 2); round++) {
                Life *l = life_new(seed + round);

                life_before(l);
                l->log_is_whole = false;
                for (size_t i = 0; i < ELEMENTSOF(others); i++)
                        if (below(l, 3) == 0) {
                                mutate(l, l->dir_fd, others[i], others[below(l, ELEMENTSOF(others))],
                                        (Mutation) below(l, _MUTATION_MAX));
                                n++;
                        }
                if (below(l, 2) == 0)
                        n += damage_roles(l, round);
                life_after(l);
                check_after(l);
                check_ends(l);
                life_free(l);
        }
        print_message("# %u files mutated\n", n);
}

/* Without the log and its file, only the keeper knows that a role has ended. The counter is whole, and says
 * nothing about that before it was saved for the first time. */
static void test_log_is_gone(void **state) {
        Life *l = life_new(0);
        int roles;

        life_before(l);
        l->log_is_whole = false;
        roles = openat(l->dir_fd, "roles", O_DIRECTORY | O_CLOEXEC);
        assert_return_code(roles, errno);
        mutate(l, l->dir_fd, EVENT_LOG_DIRECTORY "/00000000000000000001", "none", MUTATION_GONE);
        mutate(l, roles, truth_names[TRUTH_EXITED], "none", MUTATION_GONE);
        (void) fd_close(roles);
        life_after(l);
        check_after(l);
        check_ends(l);
        life_free(l);
}

/* A directory of files may be something else, too. */
static void test_directories(void **state) {
        static const char *const names[] = { "roles", "previous", "event-log" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                for (int kind = 0; kind < 3; kind++) {
                        Life *l = life_new(0);

                        life_before(l);
                        l->log_is_whole = i < 2;
                        remove_tree(l->dir_fd, names[i]);
                        if (kind == 0)
                                assert_return_code(mkfifoat(l->dir_fd, names[i], 0600), errno);
                        else if (kind == 1)
                                assert_return_code(symlinkat("/", l->dir_fd, names[i]), errno);
                        else
                                file_put(l->dir_fd, names[i], "x", 1);
                        life_after(l);
                        check_after(l);
                        check_ends(l);
                        life_free(l);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mutated_roles),
                cmocka_unit_test(test_mutated_everything),
                cmocka_unit_test(test_log_is_gone),
                cmocka_unit_test(test_directories),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

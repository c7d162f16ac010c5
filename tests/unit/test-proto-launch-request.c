/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The launch request: what is written is read back, and everything else is refused. */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"
#include "proto/launch-request.h"

static LaunchRequest full_request(void) {
        static uint32_t groups[] = { 100, 4294967294U, 0 };
        static LaunchAccount account = { 1000, 100, groups, 3, "alice", "/home/alice", "/bin/sh" };
        static char *command[] = { "/usr/bin/indiserver", "-v", "", "a b\n\"c\"", "grün", NULL };
        static char *base[] = { "LANG=C.UTF-8", "EMPTY=", NULL };
        static char *environment[] = { "A=1", "A=2", "X==y", NULL };
        static char *setup[] = { "/usr/libexec/setup", "eups", "", "2", "base", "1.0", "1", "", NULL };
        static char *xterm_args[] = { "-geometry", "80x24", "", NULL };
        static char *environment_files[] = { "/etc/default/x", "-/a b", NULL };
        static char *start_pre[] = { "2", "-/bin/x", "", "1", "y z", NULL };

        return (LaunchRequest){
                .role = "ccd-sim.1",
                .instance = "main",
                .scope = "architect-main-ccd-sim.1.scope",
                .command = command,
                .base_environment = base,
                .environment = environment,
                .environment_files = environment_files,
                .working_directory = "/var/tmp",
                .user = "alice",
                .group = "4711",
                .output = LAUNCH_OUTPUT_APPEND,
                .output_path = "/var/log/x",
                .nice_set = true,
                .nice = -5,
                .limits_set = UINT64_C(1) << RLIMIT_NOFILE | UINT64_C(1) << RLIMIT_CORE |
                              UINT64_C(1) << RLIMIT_RTTIME,
                .limits = { [RLIMIT_NOFILE] = 99, [RLIMIT_CORE] = UINT64_MAX },
                .setup = setup,
                .setup_deadline_usec = UINT64_C(1) << 40,
                .xterm = true,
                .xterm_args = xterm_args,
                .default_sigpipe = true,
                .cpu_affinity = "0-3 5",
                .oom_score_adjust_set = true,
                .oom_score_adjust = -1000,
                .cgroups_max = UINT32_MAX,
                .record = true,
                .watchdog_usec = UINT64_C(1) << 41,
                .exec_start_pre = start_pre,
                .start_pre_timeout_usec = UINT64_MAX,
                .account = &account,
        };
}

static LaunchRequest small_request(void) {
        static char *command[] = { "true", NULL };

        return (LaunchRequest){ .role = "r", .instance = "i", .command = command };
}

static void assert_same_string(const char *a, const char *b) {
        if (a && b)
                assert_string_equal(a, b);
        else
                assert_true(a == b);
}

static void assert_same_strings(char **a, char **b) {
        size_t i = 0;

        if (!a || !b) {
                assert_true((!a || !*a) && (!b || !*b));
                return;
        }
        for (; a[i] && b[i]; i++)
                assert_string_equal(a[i], b[i]);
        assert_true(!a[i] && !b[i]);
}

static void assert_same(const LaunchRequest *a, const LaunchRequest *b) {
        assert_same_string(a->role, b->role);
        assert_same_string(a->instance, b->instance);
        assert_same_string(a->scope, b->scope);
        assert_same_strings(a->command, b->command);
        assert_same_strings(a->base_environment, b->base_environment);
        assert_same_strings(a->environment, b->environment);
        assert_same_string(a->working_directory, b->working_directory);
        assert_same_string(a->user, b->user);
        assert_same_string(a->group, b->group);
        assert_int_equal(a->output, b->output);
        assert_same_string(a->output_path, b->output_path);
        assert_int_equal(a->nice_set, b->nice_set);
        assert_int_equal(a->nice, b->nice);
        assert_true(a->limits_set == b->limits_set);
        assert_memory_equal(a->limits, b->limits, sizeof(a->limits));
        assert_same_strings(a->setup, b->setup);
        assert_int_equal(!a->setup, !b->setup);
        assert_true(a->setup_deadline_usec == b->setup_deadline_usec);
        assert_int_equal(a->xterm, b->xterm);
        assert_same_strings(a->xterm_args, b->xterm_args);
        assert_same_strings(a->environment_files, b->environment_files);
        assert_int_equal(a->default_sigpipe, b->default_sigpipe);
        assert_same_string(a->cpu_affinity, b->cpu_affinity);
        assert_int_equal(a->oom_score_adjust_set, b->oom_score_adjust_set);
        assert_int_equal(a->oom_score_adjust, b->oom_score_adjust);
        assert_int_equal(a->cgroups_max, b->cgroups_max);
        assert_int_equal(a->record, b->record);
        assert_true(a->watchdog_usec == b->watchdog_usec);
        assert_same_strings(a->exec_start_pre, b->exec_start_pre);
        assert_same_strings(a->commands, b->commands);
        assert_true(a->start_pre_timeout_usec == b->start_pre_timeout_usec);
        assert_int_equal(a->stream, b->stream);
        assert_int_equal(a->stream_uid, b->stream_uid);
        assert_int_equal(!a->account, !b->account);
        if (!a->account)
                return;
        assert_int_equal(a->account->uid, b->account->uid);
        assert_int_equal(a->account->gid, b->account->gid);
        assert_int_equal(a->account->n_groups, b->account->n_groups);
        assert_memory_equal(
                a->account->groups, b->account->groups, a->account->n_groups * sizeof(a->account->groups[0]));
        assert_same_string(a->account->name, b->account->name);
        assert_same_string(a->account->home, b->account->home);
        assert_same_string(a->account->shell, b->account->shell);
}

static void round_trip(const LaunchRequest *q) {
        _cleanup_(launch_request_freep) LaunchRequest *read_back = NULL;
        autofd fd = launch_request_write(q);

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(launch_request_read(fd, &read_back), 0);
        assert_same(q, read_back);
}

/* Returns the bytes of a request. */
static char *encode(const LaunchRequest *q, size_t *ret_size) {
        autofd fd = launch_request_write(q);
        off_t size;
        char *data;

        assert_true(fd >= 0);
        size = lseek(fd, 0, SEEK_END);
        assert_true(size > 0);
        data = malloc((size_t) size);
        assert_int_equal(pread(fd, data, (size_t) size, 0), size);
        *ret_size = (size_t) size;
        return data;
}

static void test_round_trip(void **state) {
        LaunchRequest q = full_request();

        round_trip(&q);
        q = small_request();
        round_trip(&q);

        for (int i = 0; i < _LAUNCH_OUTPUT_MAX; i++) {
                q = small_request();
                q.output = (LaunchOutput) i;
                if (i == LAUNCH_OUTPUT_FILE || i == LAUNCH_OUTPUT_APPEND)
                        q.output_path = "x";
                round_trip(&q);
        }
        for (int i = 0; i < _LAUNCH_STREAM_MAX; i++) {
                q = small_request();
                q.stream = (LaunchStream) i;
                q.stream_uid = i == LAUNCH_STREAM_SHARED ? 4294967294U : 0;
                round_trip(&q);
        }
        for (int i = -20; i <= 19; i++) {
                q = small_request();
                q.nice_set = true;
                q.nice = i;
                round_trip(&q);
        }
        q = small_request();
        q.oom_score_adjust_set = true; /* to 0 */
        round_trip(&q);
        q = small_request();
        q.limits_set = (UINT64_C(1) << RLIM_NLIMITS) - 1;
        for (size_t i = 0; i < RLIM_NLIMITS; i++)
                q.limits[i] = i % 2 ? UINT64_MAX - i : i;
        round_trip(&q);
}

static void test_many(void **state) {
        enum { N = 5000 };
        char *arguments[N + 1], *assignments[N + 1];
        LaunchRequest q = small_request();

        for (int i = 0; i < N; i++) {
                assert_true(asprintf(&arguments[i], "argument %d", i) > 0);
                assert_true(asprintf(&assignments[i], "V%d=%d", i, i) > 0);
        }
        arguments[N] = assignments[N] = NULL;
        q.command = arguments;
        q.base_environment = q.environment = assignments;
        round_trip(&q);
        for (int i = 0; i < N; i++) {
                free(arguments[i]);
                free(assignments[i]);
        }
}

static void test_commands(void **state) {
        LaunchRequest q = full_request();

        q.command = NULL;
        q.commands = q.exec_start_pre;
        round_trip(&q);
}

static void test_too_big(void **state) {
        LaunchRequest q = small_request();
        char *big = malloc(LAUNCH_REQUEST_SIZE_MAX + 1), *command[] = { "true", big, NULL };
        autofd fd = -EBADF;

        memset(big, 'x', LAUNCH_REQUEST_SIZE_MAX);
        big[LAUNCH_REQUEST_SIZE_MAX] = '\0';
        q.command = command;
        assert_int_equal(launch_request_write(&q), -E2BIG);
        big[LAUNCH_REQUEST_SIZE_MAX - 10] = '\0';
        assert_int_equal(launch_request_write(&q), -E2BIG); /* including its surroundings */
        big[LAUNCH_REQUEST_SIZE_MAX - 1000] = '\0';
        round_trip(&q);

        /* The reader refuses it before it is read into memory. */
        fd = memfd_create("big", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, (off_t) LAUNCH_REQUEST_SIZE_MAX + 1), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
        assert_int_equal(launch_request_read(fd, &(LaunchRequest *){ NULL }), -E2BIG);
        free(big);
}

static void refuse_write(LaunchRequest q) {
        assert_int_equal(launch_request_write(&q), -EINVAL);
}

static void test_invalid(void **state) {
        static char *none[] = { NULL }, *no_equal[] = { "A=1", "B", NULL }, *no_name[] = { "=x", NULL };
        static char *one[] = { "/setup", NULL }, *relative[] = { "setup", "eups", NULL };
        static char *no_commands[][4] = { { "x" }, { "0" }, { "1" }, { "2", "x" }, { "1", "" }, { "1", "-" },
                { "1", "x", "y" } };
        LaunchRequest q;

#define REFUSE(change) \
        do { \
                q = full_request(); \
                change; \
                refuse_write(q); \
        } while (0)

        REFUSE(q.setup = NULL); /* and a record of it */
        REFUSE(q.setup = none);
        REFUSE(q.setup = one);
        REFUSE(q.setup = relative);
        REFUSE(q.role = NULL);
        REFUSE(q.role = "a/b");
        REFUSE(q.instance = NULL);
        REFUSE(q.instance = "a-b");
        REFUSE(q.command = NULL);
        REFUSE(q.command = none);
        REFUSE(q.environment = no_equal);
        REFUSE(q.base_environment = no_equal);
        REFUSE(q.environment = no_name);
        REFUSE(q.environment_files = no_equal); /* not absolute */
        REFUSE(q.exec_start_pre = NULL);        /* with its time */
        REFUSE(q.start_pre_timeout_usec = 0);
        REFUSE(q.commands = q.exec_start_pre); /* beside the command */
        REFUSE(q.command = NULL; q.commands = none);
        REFUSE(q.command = NULL; q.commands = no_equal);
        for (size_t i = 0; i < ELEMENTSOF(no_commands); i++)
                REFUSE(q.exec_start_pre = no_commands[i]);
        REFUSE(q.output = _LAUNCH_OUTPUT_MAX);
        REFUSE(q.output = _LAUNCH_OUTPUT_INVALID);
        REFUSE(q.output_path = NULL);
        REFUSE(q.output = LAUNCH_OUTPUT_NULL); /* a path that would not be opened */
        REFUSE(q.nice = -21);
        REFUSE(q.nice = 20);
        REFUSE(q.cpu_affinity = "");
        REFUSE(q.cpu_affinity = "x");
        REFUSE(q.oom_score_adjust = -1001);
        REFUSE(q.oom_score_adjust = 1001);
        REFUSE(q.oom_score_adjust_set = false); /* with a score */
        REFUSE(q.limits_set |= UINT64_C(1) << RLIM_NLIMITS);
        REFUSE(q.limits_set |= UINT64_C(1) << 63);
        LaunchAccount nobody = { UINT32_MAX, 0, NULL, 0, "x", "/", "/" },
                      nameless = { 1, 1, NULL, 0, NULL, "/", "/" };
        REFUSE(q.account = &nobody);
        REFUSE(q.account = &nameless);
        REFUSE(q.stream = LAUNCH_STREAM_OFFERED); /* to a file */
        REFUSE(q.stream_uid = 1);
        static const LaunchStream no_streams[] = { _LAUNCH_STREAM_MAX, _LAUNCH_STREAM_INVALID };
        for (size_t i = 0; i < ELEMENTSOF(no_streams); i++) {
                q = small_request();
                q.stream = no_streams[i];
                refuse_write(q);
        }
        q = small_request();
        q.stream = LAUNCH_STREAM_SHARED;
        q.stream_uid = UINT32_MAX; /* nobody's */
        refuse_write(q);
#undef REFUSE
}

static int parse(const void *data, size_t size) {
        _cleanup_(launch_request_freep) LaunchRequest *q = NULL;
        /* The copy has exactly this size, so that a sanitizer detects each read beyond it. */
        _cleanup_free_ char *copy = malloc(size > 0 ? size : 1);
        int r;

        if (size > 0)
                memcpy(copy, data, size);
        r = launch_request_parse(copy, size, &q);
        assert_int_equal(r >= 0, q != NULL);
        return r;
}

static void test_truncated(void **state) {
        LaunchRequest q = full_request();
        size_t size;
        _cleanup_free_ char *data = encode(&q, &size), *longer = NULL;

        assert_int_equal(parse(data, size), 0);
        for (size_t n = 0; n < size; n++)
                assert_int_equal(parse(data, n), -EBADMSG);

        /* Additional data after the end is refused, too. */
        longer = calloc(1, size + 8);
        memcpy(longer, data, size);
        for (size_t n = size + 1; n <= size + 8; n++)
                assert_int_equal(parse(longer, n), -EBADMSG);
}

/* Each flipped bit gives an error or another valid request, but never a crash, and never a different role
 * that is reported as read correctly. */
static void test_bit_flips(void **state) {
        LaunchRequest q = full_request();
        size_t size, n_refused = 0;
        _cleanup_free_ char *data = encode(&q, &size);

        for (size_t i = 0; i < size * 8; i++) {
                int r;

                data[i / 8] ^= (char) (1 << i % 8);
                r = parse(data, size);
                assert_true(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
                if (r < 0)
                        n_refused++;
                if (i < 32)
                        assert_int_equal(r, -EBADMSG); /* magic */
                else if (i < 64)
                        assert_int_equal(r, -EPROTONOSUPPORT); /* version */
                data[i / 8] ^= (char) (1 << i % 8);
        }
        assert_int_equal(parse(data, size), 0);
        assert_true(n_refused > size); /* more than one bit of each byte, on average, is structure */
}

struct raw {
        char data[512];
        size_t size;
};

static void raw_start(struct raw *b) {
        const uint32_t header[] = { 0x6c616e63, LAUNCH_REQUEST_VERSION };

        memcpy(b->data, header, sizeof(header));
        b->size = sizeof(header);
}

static void raw_record(struct raw *b, uint32_t tag, const void *data, uint32_t size) {
        const uint32_t record[] = { tag, size };

        memcpy(b->data + b->size, record, sizeof(record));
        b->size += sizeof(record);
        if (size > 0)
                memcpy(b->data + b->size, data, size);
        b->size += size;
}

/* Reads a valid request with one additional record before its end. The numbers of the tags are part of the
 * format. */
static int with_record(uint32_t tag, const void *data, uint32_t size) {
        struct raw b;

        raw_start(&b);
        raw_record(&b, 1, "r", 2);
        raw_record(&b, 2, "i", 2);
        raw_record(&b, 4, "true", 5);
        raw_record(&b, 10, &(int32_t){ LAUNCH_OUTPUT_NULL }, 4);
        if (tag != UINT32_MAX)
                raw_record(&b, tag, data, size);
        raw_record(&b, 0, NULL, 0);
        return parse(b.data, b.size);
}

static void test_records(void **state) {
        const uint64_t limit[] = { RLIMIT_CORE, 5 }, far[] = { RLIM_NLIMITS, 5 },
                       farther[] = { UINT64_MAX, 5 };
        struct raw b;

        assert_int_equal(with_record(UINT32_MAX, NULL, 0), 0);
        assert_int_equal(with_record(7, "/tmp", 5), 0);
        assert_int_equal(with_record(4, "more", 5), 0);
        assert_int_equal(with_record(13, limit, sizeof(limit)), 0);
        assert_int_equal(with_record(16, NULL, 0), 0);
        assert_int_equal(with_record(17, "-b", 3), 0);
        assert_int_equal(with_record(18, NULL, 0), 0);

        assert_int_equal(with_record(1, "r", 2), -EBADMSG);              /* a second role */
        assert_int_equal(with_record(10, &(int32_t){ 1 }, 4), -EBADMSG); /* a second output */
        assert_int_equal(with_record(7, "/tmp", 4), -EBADMSG);           /* no NUL */
        assert_int_equal(with_record(7, "/t\0p", 5), -EBADMSG);          /* a NUL inside */
        assert_int_equal(with_record(7, NULL, 0), -EBADMSG);
        assert_int_equal(with_record(4, NULL, 0), -EBADMSG);
        assert_int_equal(with_record(6, "NOEQUAL", 8), -EBADMSG);
        assert_int_equal(with_record(12, &(int32_t){ 20 }, 4), -EBADMSG);
        assert_int_equal(with_record(12, &(int64_t){ 1 }, 8), -EBADMSG);
        assert_int_equal(with_record(13, far, sizeof(far)), -EBADMSG);
        assert_int_equal(with_record(13, farther, sizeof(farther)), -EBADMSG);
        assert_int_equal(with_record(13, limit, 8), -EBADMSG);
        assert_int_equal(with_record(11, "/x", 3), -EBADMSG);     /* a path with output "null" */
        assert_int_equal(with_record(14, "/setup", 7), -EBADMSG); /* without a deadline or a provider */
        assert_int_equal(with_record(15, &(uint64_t){ 1 }, 8), -EBADMSG); /* without a set-up */
        assert_int_equal(with_record(15, &(uint32_t){ 1 }, 4), -EBADMSG);
        assert_int_equal(with_record(16, "x", 2), -EBADMSG);
        assert_int_equal(with_record(17, "no NUL", 6), -EBADMSG);
        assert_int_equal(with_record(18, "x", 2), -EBADMSG);
        assert_int_equal(with_record(19, NULL, 0), -EBADMSG);             /* without a set-up */
        assert_int_equal(with_record(20, &(uint32_t){ 1 }, 4), -EBADMSG); /* an account of a uid alone */
        assert_int_equal(with_record(20, "x", 2), -EBADMSG);
        assert_int_equal(with_record(21, "alice", 6), -EBADMSG); /* without an account */
        assert_int_equal(with_record(22, "/", 2), -EBADMSG);
        assert_int_equal(with_record(23, "/", 2), -EBADMSG);
        assert_int_equal(with_record(24, &(int32_t){ LAUNCH_STREAM_OWN }, 4), 0);
        assert_int_equal(with_record(24, &(int32_t){ LAUNCH_STREAM_OFFERED }, 4), -EBADMSG); /* to null */
        assert_int_equal(with_record(24, "x", 2), -EBADMSG);
        assert_int_equal(with_record(25, &(uint32_t){ 1 }, 4), -EBADMSG); /* without a stream */
        assert_int_equal(with_record(26, "0-3", 4), 0);
        assert_int_equal(with_record(26, "x", 2), -EBADMSG);
        assert_int_equal(with_record(27, &(int32_t){ -1000 }, 4), 0);
        assert_int_equal(with_record(27, &(int32_t){ 1001 }, 4), -EBADMSG);
        assert_int_equal(with_record(27, "x", 2), -EBADMSG);
        assert_int_equal(with_record(28, &(uint32_t){ 1 }, 4), 0);
        assert_int_equal(with_record(28, "x", 2), -EBADMSG);
        assert_int_equal(with_record(29, "-/x", 4), 0);
        assert_int_equal(with_record(29, "x", 2), -EBADMSG);
        assert_int_equal(with_record(29, "--/x", 5), -EBADMSG);
        assert_int_equal(with_record(30, "12345678", 8), 0); /* TAG_WATCHDOG */
        assert_int_equal(with_record(30, "1234", 4), -EBADMSG);
        assert_int_equal(with_record(31, "1", 2), -EBADMSG); /* TAG_START_PRE without its time */
        assert_int_equal(with_record(32, "12345678", 8), -EBADMSG);
        assert_int_equal(with_record(33, "1", 2), -EBADMSG);         /* TAG_COMMANDS beside a command */
        assert_int_equal(with_record(34, "x", 2), -EPROTONOSUPPORT); /* a tag that a later version may add */
        assert_int_equal(with_record(UINT32_MAX - 1, "x", 2), -EPROTONOSUPPORT);

        /* A length that would exceed the data or overflow. */
        raw_start(&b);
        raw_record(&b, 1, "r", 2);
        for (uint32_t n = 3; n != 0; n = n * 2 + 1) {
                memcpy(b.data + 12, &n, sizeof(n));
                assert_int_equal(parse(b.data, b.size), -EBADMSG);
                if (n == UINT32_MAX)
                        break;
        }

        /* A complete set-up, then one with two deadlines, then one whose last record is not empty. */
        for (int wrong = 0; wrong < 3; wrong++) {
                raw_start(&b);
                raw_record(&b, 1, "r", 2);
                raw_record(&b, 2, "i", 2);
                raw_record(&b, 4, "true", 5);
                raw_record(&b, 10, &(int32_t){ LAUNCH_OUTPUT_NULL }, 4);
                raw_record(&b, 14, "/setup", 7);
                raw_record(&b, 14, "eups", 5);
                raw_record(&b, 15, &(uint64_t){ 1 }, 8);
                if (wrong == 1)
                        raw_record(&b, 15, &(uint64_t){ 1 }, 8);
                raw_record(&b, 19, "x", wrong == 2 ? 2 : 0);
                raw_record(&b, 0, NULL, 0);
                assert_int_equal(parse(b.data, b.size), wrong ? -EBADMSG : 0);
        }

        /* A complete account, then one without each of its parts, then one whose gid is none. */
        for (int wrong = 0; wrong < 6; wrong++) {
                raw_start(&b);
                raw_record(&b, 1, "r", 2);
                raw_record(&b, 2, "i", 2);
                raw_record(&b, 4, "true", 5);
                raw_record(&b, 10, &(int32_t){ LAUNCH_OUTPUT_NULL }, 4);
                raw_record(&b, 20, &(uint32_t){ 1 }, 4);
                if (wrong != 1)
                        raw_record(&b, 20, &(uint32_t){ wrong == 5 ? UINT32_MAX : 0 }, 4);
                if (wrong != 2)
                        raw_record(&b, 21, "alice", 6);
                if (wrong != 3)
                        raw_record(&b, 22, "/", 2);
                if (wrong != 4)
                        raw_record(&b, 23, "/bin/sh", 8);
                raw_record(&b, 0, NULL, 0);
                assert_int_equal(parse(b.data, b.size), wrong ? -EBADMSG : 0);
        }

        /* The same limit twice. */
        raw_start(&b);
        raw_record(&b, 1, "r", 2);
        raw_record(&b, 2, "i", 2);
        raw_record(&b, 4, "true", 5);
        raw_record(&b, 10, &(int32_t){ LAUNCH_OUTPUT_NULL }, 4);
        raw_record(&b, 13, limit, sizeof(limit));
        raw_record(&b, 13, limit, sizeof(limit));
        raw_record(&b, 0, NULL, 0);
        assert_int_equal(parse(b.data, b.size), -EBADMSG);

        /* Each of the four required records is missing once. */
        for (int missing = 0; missing < 4; missing++) {
                raw_start(&b);
                if (missing != 0)
                        raw_record(&b, 1, "r", 2);
                if (missing != 1)
                        raw_record(&b, 2, "i", 2);
                if (missing != 2)
                        raw_record(&b, 4, "true", 5);
                if (missing != 3)
                        raw_record(&b, 10, &(int32_t){ LAUNCH_OUTPUT_NULL }, 4);
                raw_record(&b, 0, NULL, 0);
                assert_int_equal(parse(b.data, b.size), -EBADMSG);
        }

        /* An end record with contents. */
        raw_start(&b);
        raw_record(&b, 1, "r", 2);
        raw_record(&b, 0, "x", 1);
        assert_int_equal(parse(b.data, b.size), -EBADMSG);
}

/* Only a sealed memfd is read, because another file may change during the read, or block it. */
static void test_not_sealed(void **state) {
        LaunchRequest q = small_request(), *read_back = NULL;
        size_t size;
        _cleanup_free_ char *data = encode(&q, &size);
        int p[2];
        autofd fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(write(fd, data, size), size);
        assert_int_equal(launch_request_read(fd, &read_back), -EBADMSG);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
        assert_int_equal(launch_request_read(fd, &read_back), -EBADMSG);
        assert_null(read_back);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
        assert_int_equal(launch_request_read(fd, &read_back), 0);
        read_back = launch_request_free(read_back);
        assert_null(read_back);

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(launch_request_read(p[0], &read_back), -EBADMSG);
        (void) fd_close(p[0]);
        (void) fd_close(p[1]);
        assert_int_equal(launch_request_read(-1, &read_back), -EBADMSG);
}

static void test_gate_report(void **state) {
        struct gate_report m = { .magic = GATE_MAGIC,
                .stage = LAUNCH_STAGE_EXEC,
                .error = -ENOENT,
                .warning = 1,
                .text = "no such file" },
                           got = { .error = 4711 };
        char packet[sizeof(m) + 1] = { 0 };

        memcpy(packet, &m, sizeof(m));
        assert_int_equal(gate_report_parse(packet, sizeof(m) - 1, &got), -EBADMSG);
        assert_int_equal(gate_report_parse(packet, sizeof(m) + 1, &got), -EBADMSG);
        assert_int_equal(gate_report_parse(packet, 0, &got), -EBADMSG);
        packet[0] ^= 1;
        assert_int_equal(gate_report_parse(packet, sizeof(m), &got), -EBADMSG);
        assert_int_equal(got.error, 4711);

        assert_int_equal(gate_report_parse(&m, sizeof(m), &got), 0);
        assert_memory_equal(&got, &m, sizeof(m));

        memset(m.text, 'x', sizeof(m.text));
        assert_int_equal(gate_report_parse(&m, sizeof(m), &got), 0);
        assert_int_equal(strlen(got.text), sizeof(m.text) - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gate_report),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_commands),
                cmocka_unit_test(test_too_big),
                cmocka_unit_test(test_invalid),
                cmocka_unit_test(test_truncated),
                cmocka_unit_test(test_bit_flips),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_not_sealed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/command-list.h"
#include "base/cpu-list.h"
#include "base/fd-util.h"
#include "base/unit-name.h"
#include "proto/launch-request.h"

/* The encoding, in native byte order (both ends are on one machine): a header, then records of a tag, a
 * length and as many bytes, unaligned. A string is a record with its NUL, an array one record for each
 * element, in order. TAG_END is the last record, so that a truncated request is never taken for a shorter
 * one. */

#define REQUEST_MAGIC UINT32_C(0x6c616e63)

enum {
        TAG_END,
        TAG_ROLE,
        TAG_INSTANCE,
        TAG_SCOPE,
        TAG_COMMAND,
        TAG_BASE_ENVIRONMENT,
        TAG_ENVIRONMENT,
        TAG_WORKING_DIRECTORY,
        TAG_USER,
        TAG_GROUP,
        TAG_OUTPUT,
        TAG_OUTPUT_PATH,
        TAG_NICE,
        TAG_LIMIT,
        TAG_SETUP,
        TAG_SETUP_DEADLINE,
        TAG_XTERM,
        TAG_XTERM_ARG,
        TAG_DEFAULT_SIGPIPE,
        TAG_RECORD,
        /* A number each: uid, gid, groups. */
        TAG_ACCOUNT,
        TAG_ACCOUNT_NAME,
        TAG_ACCOUNT_HOME,
        TAG_ACCOUNT_SHELL,
        TAG_STREAM,
        TAG_STREAM_UID,
        TAG_CPU_AFFINITY,
        TAG_OOM_SCORE_ADJUST,
        TAG_CGROUPS_MAX,
        TAG_ENVIRONMENT_FILE,
        TAG_WATCHDOG,
        TAG_START_PRE, /* see command-list.h */
        TAG_START_PRE_TIMEOUT,
        TAG_COMMANDS,
        _TAG_MAX,
};

struct request_header {
        uint32_t magic;
        uint32_t version;
};

struct record {
        uint32_t tag;
        uint32_t size;
};

struct limit {
        uint64_t resource;
        uint64_t value;
};

ASSERT_FIXED_SIZE(struct request_header, 8);
ASSERT_FIXED_SIZE(struct record, 8);
ASSERT_FIXED_SIZE(struct limit, 16);

static const char *const launch_output_table[_LAUNCH_OUTPUT_MAX] = {
        [LAUNCH_OUTPUT_JOURNAL] = "journal",
        [LAUNCH_OUTPUT_NULL] = "null",
        [LAUNCH_OUTPUT_FILE] = "file",
        [LAUNCH_OUTPUT_APPEND] = "append",
};

DEFINE_STRING_TABLE(launch_output, LaunchOutput, launch_output_table);

static const char *const launch_stage_table[_LAUNCH_STAGE_MAX] = {
        [LAUNCH_STAGE_REQUEST] = "request",
        [LAUNCH_STAGE_USER] = "user",
        [LAUNCH_STAGE_SESSION] = "session",
        [LAUNCH_STAGE_STDIN] = "stdin",
        [LAUNCH_STAGE_OUTPUT] = "output",
        [LAUNCH_STAGE_LIMITS] = "limits",
        [LAUNCH_STAGE_DIRECTORY] = "directory",
        [LAUNCH_STAGE_ENVIRONMENT] = "environment",
        [LAUNCH_STAGE_PRODUCT] = "product",
        [LAUNCH_STAGE_EXEC] = "exec",
        [LAUNCH_STAGE_PORTS] = "ports",
        [LAUNCH_STAGE_XTERM] = "xterm",
        [LAUNCH_STAGE_START_PRE] = "start-pre",
};

DEFINE_STRING_TABLE(launch_stage, LaunchStage, launch_stage_table);

static bool assignments_are_valid(char *const *env) {
        for (; env && *env; env++)
                if (**env == '=' || !strchr(*env, '='))
                        return false;
        return true;
}

static bool environment_files_are_valid(char *const *files) {
        for (; files && *files; files++)
                if ((*files)[**files == '-'] != '/')
                        return false;
        return true;
}

/* An absolute path of the script, and a provider. Node and script define the rest. */
static bool setup_is_valid(char *const *setup) {
        return !setup || (setup[0] && setup[0][0] == '/' && setup[1]);
}

/* -1 stands for no user and no group. */
static bool account_is_valid(const LaunchAccount *a) {
        if (!a)
                return true;
        for (size_t i = 0; i < a->n_groups; i++)
                if (a->groups[i] == UINT32_MAX)
                        return false;
        return a->uid != UINT32_MAX && a->gid != UINT32_MAX && a->name && a->home && a->shell;
}

/* A stream is that of one user, and only the journal has streams. */
static bool stream_is_valid(const LaunchRequest *q) {
        if (q->stream < 0 || q->stream >= _LAUNCH_STREAM_MAX ||
                (q->stream != LAUNCH_STREAM_OWN && q->output != LAUNCH_OUTPUT_JOURNAL))
                return false;
        return q->stream == LAUNCH_STREAM_SHARED ? q->stream_uid != UINT32_MAX : q->stream_uid == 0;
}

static bool cpu_affinity_is_valid(const char *text) {
        CpuList list = { 0 };

        return !text || cpu_list_parse(text, &list) >= 0;
}

static bool oom_score_is_valid(const LaunchRequest *q) {
        return q->oom_score_adjust_set ? q->oom_score_adjust >= -1000 && q->oom_score_adjust <= 1000
                                       : q->oom_score_adjust == 0;
}

/* Both ends check the same conditions, so that nothing is written that would be refused. */
static bool launch_request_is_valid(const LaunchRequest *q) {
        bool to_path = q->output == LAUNCH_OUTPUT_FILE || q->output == LAUNCH_OUTPUT_APPEND;

        return role_name_is_valid(q->role) && instance_name_is_valid(q->instance) &&
               (q->command ? !q->commands && q->command[0] : q->commands && q->commands[0]) &&
               command_list_is_valid(q->commands) && assignments_are_valid(q->base_environment) &&
               assignments_are_valid(q->environment) && launch_output_to_string(q->output) &&
               to_path == !!q->output_path && (!q->nice_set || (q->nice >= -20 && q->nice <= 19)) &&
               q->limits_set >> RLIM_NLIMITS == 0 && setup_is_valid(q->setup) && (q->setup || !q->record) &&
               account_is_valid(q->account) && stream_is_valid(q) && cpu_affinity_is_valid(q->cpu_affinity) &&
               oom_score_is_valid(q) && environment_files_are_valid(q->environment_files) &&
               command_list_is_valid(q->exec_start_pre) &&
               !q->exec_start_pre == (q->start_pre_timeout_usec == 0);
}

/* Writing */

struct buffer {
        char *data;
        size_t size, room;
        int error;
};

static void buffer_append(struct buffer *b, const void *data, size_t size) {
        if (b->error < 0)
                return;
        if (size > LAUNCH_REQUEST_SIZE_MAX - b->size) {
                b->error = -E2BIG;
                return;
        }

        if (b->size + size > b->room) {
                size_t room = (b->size + size) * 2;
                char *larger = realloc(b->data, room);

                if (!larger) {
                        b->error = -ENOMEM;
                        return;
                }
                b->data = larger;
                b->room = room;
        }

        memcpy(b->data + b->size, data, size);
        b->size += size;
}

static void buffer_append_record(struct buffer *b, uint32_t tag, const void *data, size_t size) {
        struct record record = { .tag = tag, .size = (uint32_t) size };

        if (size > LAUNCH_REQUEST_SIZE_MAX)
                b->error = -E2BIG;
        buffer_append(b, &record, sizeof(record));
        if (size > 0)
                buffer_append(b, data, size);
}

static void buffer_append_string(struct buffer *b, uint32_t tag, const char *s) {
        if (s)
                buffer_append_record(b, tag, s, strlen(s) + 1);
}

static void buffer_append_strings(struct buffer *b, uint32_t tag, char *const *strings) {
        for (; strings && *strings; strings++)
                buffer_append_string(b, tag, *strings);
}

static void buffer_append_account(struct buffer *b, const LaunchAccount *a) {
        buffer_append_record(b, TAG_ACCOUNT, &a->uid, sizeof(a->uid));
        buffer_append_record(b, TAG_ACCOUNT, &a->gid, sizeof(a->gid));
        for (size_t i = 0; i < a->n_groups; i++)
                buffer_append_record(b, TAG_ACCOUNT, &a->groups[i], sizeof(a->groups[i]));
        buffer_append_string(b, TAG_ACCOUNT_NAME, a->name);
        buffer_append_string(b, TAG_ACCOUNT_HOME, a->home);
        buffer_append_string(b, TAG_ACCOUNT_SHELL, a->shell);
}

int launch_request_write(const LaunchRequest *request) {
        struct request_header header = { .magic = REQUEST_MAGIC, .version = LAUNCH_REQUEST_VERSION };
        struct buffer b = { 0 };
        int r;

        if (!launch_request_is_valid(request))
                return -EINVAL;

        buffer_append(&b, &header, sizeof(header));
        buffer_append_string(&b, TAG_ROLE, request->role);
        buffer_append_string(&b, TAG_INSTANCE, request->instance);
        buffer_append_string(&b, TAG_SCOPE, request->scope);
        buffer_append_strings(&b, TAG_COMMAND, request->command);
        buffer_append_strings(&b, TAG_BASE_ENVIRONMENT, request->base_environment);
        buffer_append_strings(&b, TAG_ENVIRONMENT, request->environment);
        buffer_append_string(&b, TAG_WORKING_DIRECTORY, request->working_directory);
        buffer_append_string(&b, TAG_USER, request->user);
        buffer_append_string(&b, TAG_GROUP, request->group);
        buffer_append_record(&b, TAG_OUTPUT, &(int32_t){ (int32_t) request->output }, sizeof(int32_t));
        buffer_append_string(&b, TAG_OUTPUT_PATH, request->output_path);
        if (request->nice_set)
                buffer_append_record(&b, TAG_NICE, &(int32_t){ request->nice }, sizeof(int32_t));
        for (uint64_t i = 0; i < RLIM_NLIMITS; i++)
                if (request->limits_set & (UINT64_C(1) << i)) {
                        struct limit limit = { .resource = i, .value = request->limits[i] };

                        buffer_append_record(&b, TAG_LIMIT, &limit, sizeof(limit));
                }
        /* Written only if they are used: the child of an older keeper refuses them, but no other start. */
        buffer_append_strings(&b, TAG_SETUP, request->setup);
        if (request->setup)
                buffer_append_record(&b, TAG_SETUP_DEADLINE, &(uint64_t){ request->setup_deadline_usec },
                        sizeof(uint64_t));
        if (request->xterm)
                buffer_append_record(&b, TAG_XTERM, NULL, 0);
        buffer_append_strings(&b, TAG_XTERM_ARG, request->xterm_args);
        if (request->default_sigpipe)
                buffer_append_record(&b, TAG_DEFAULT_SIGPIPE, NULL, 0);
        if (request->record)
                buffer_append_record(&b, TAG_RECORD, NULL, 0);
        if (request->account)
                buffer_append_account(&b, request->account);
        if (request->stream != LAUNCH_STREAM_OWN)
                buffer_append_record(
                        &b, TAG_STREAM, &(int32_t){ (int32_t) request->stream }, sizeof(int32_t));
        if (request->stream == LAUNCH_STREAM_SHARED)
                buffer_append_record(&b, TAG_STREAM_UID, &request->stream_uid, sizeof(uint32_t));
        buffer_append_string(&b, TAG_CPU_AFFINITY, request->cpu_affinity);
        if (request->oom_score_adjust_set)
                buffer_append_record(
                        &b, TAG_OOM_SCORE_ADJUST, &(int32_t){ request->oom_score_adjust }, sizeof(int32_t));
        if (request->cgroups_max > 0)
                buffer_append_record(&b, TAG_CGROUPS_MAX, &request->cgroups_max, sizeof(uint32_t));
        buffer_append_strings(&b, TAG_ENVIRONMENT_FILE, request->environment_files);
        if (request->watchdog_usec > 0)
                buffer_append_record(&b, TAG_WATCHDOG, &request->watchdog_usec, sizeof(uint64_t));
        buffer_append_strings(&b, TAG_START_PRE, request->exec_start_pre);
        if (request->start_pre_timeout_usec > 0)
                buffer_append_record(
                        &b, TAG_START_PRE_TIMEOUT, &request->start_pre_timeout_usec, sizeof(uint64_t));
        buffer_append_strings(&b, TAG_COMMANDS, request->commands);
        buffer_append_record(&b, TAG_END, NULL, 0);

        r = b.error < 0 ? b.error : memfd_new_sealed("launch-request", b.data, b.size);
        free(b.data);
        return r;
}

/* Reading */

struct strings {
        size_t n, room;
};

static int record_take_string(const char *data, size_t size, char **ret) {
        char *s;

        if (size == 0 || memchr(data, '\0', size) != data + size - 1)
                return -EBADMSG;

        s = strdup(data);
        if (!s)
                return -ENOMEM;

        *ret = s;
        return 0;
}

static int record_take_element(const char *data, size_t size, char ***array, struct strings *state) {
        char *s = NULL;
        int r;

        if (state->n + 2 > state->room) {
                size_t room = state->room > 0 ? state->room * 2 : 16;
                char **larger = realloc(*array, room * sizeof(char *));

                if (!larger)
                        return -ENOMEM;
                *array = larger;
                state->room = room;
                (*array)[state->n] = NULL;
        }

        r = record_take_string(data, size, &s);
        if (r < 0)
                return r;

        (*array)[state->n++] = s;
        (*array)[state->n] = NULL;
        return 0;
}

static int record_take_i32(const char *data, size_t size, int32_t *ret) {
        if (size != sizeof(*ret))
                return -EBADMSG;

        memcpy(ret, data, sizeof(*ret));
        return 0;
}

static int record_take_u64(const char *data, size_t size, uint64_t *ret) {
        if (size != sizeof(*ret))
                return -EBADMSG;

        memcpy(ret, data, sizeof(*ret));
        return 0;
}

static int record_take_limit(const char *data, size_t size, LaunchRequest *q) {
        struct limit limit;

        if (size != sizeof(limit))
                return -EBADMSG;

        memcpy(&limit, data, sizeof(limit));
        if (limit.resource >= RLIM_NLIMITS || (q->limits_set & (UINT64_C(1) << limit.resource)))
                return -EBADMSG;

        q->limits_set |= UINT64_C(1) << limit.resource;
        q->limits[limit.resource] = limit.value;
        return 0;
}

struct account_ids {
        size_t n;    /* uid and gid included */
        size_t room; /* of the groups */
};

static int record_take_id(const char *data, size_t size, LaunchRequest *q, struct account_ids *state) {
        LaunchAccount *a = q->account;
        uint32_t id;

        if (size != sizeof(id))
                return -EBADMSG;
        memcpy(&id, data, sizeof(id));
        if (!a) {
                a = q->account = calloc(1, sizeof(*a));
                if (!a)
                        return -ENOMEM;
        }
        if (state->n == 0)
                a->uid = id;
        else if (state->n == 1)
                a->gid = id;
        else {
                if (a->n_groups == state->room) {
                        size_t room = state->room > 0 ? state->room * 2 : 16;
                        uint32_t *larger = realloc(a->groups, room * sizeof(*larger));

                        if (!larger)
                                return -ENOMEM;
                        a->groups = larger;
                        state->room = room;
                }
                a->groups[a->n_groups++] = id;
        }
        state->n++;
        return 0;
}

int launch_request_parse(const void *data, size_t size, LaunchRequest **ret) {
        struct strings command = { 0 }, base_environment = { 0 }, environment = { 0 }, setup = { 0 },
                       xterm_args = { 0 }, environment_files = { 0 }, start_pre = { 0 }, commands = { 0 };
        struct account_ids account = { 0 };
        _cleanup_(launch_request_freep) LaunchRequest *q = NULL;
        struct request_header header;
        struct record record = { .tag = _TAG_MAX };
        const char *p = data, *end = p + size;
        uint64_t seen = 0;
        int32_t number;
        int r;

        if (size < sizeof(header))
                return -EBADMSG;
        memcpy(&header, p, sizeof(header));
        p += sizeof(header);
        if (header.magic != REQUEST_MAGIC)
                return -EBADMSG;
        if (header.version != LAUNCH_REQUEST_VERSION)
                return -EPROTONOSUPPORT;

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;

        for (; record.tag != TAG_END; p += record.size) {
                if ((size_t) (end - p) < sizeof(record))
                        return -EBADMSG;
                memcpy(&record, p, sizeof(record));
                p += sizeof(record);
                if (record.size > (size_t) (end - p))
                        return -EBADMSG;
                if (record.tag >= _TAG_MAX)
                        return -EPROTONOSUPPORT; /* from a newer node */

                /* Arrays and limits have one record for each element, all others one. */
                if (record.tag != TAG_COMMAND && record.tag != TAG_BASE_ENVIRONMENT &&
                        record.tag != TAG_ENVIRONMENT && record.tag != TAG_LIMIT && record.tag != TAG_SETUP &&
                        record.tag != TAG_XTERM_ARG && record.tag != TAG_ACCOUNT &&
                        record.tag != TAG_ENVIRONMENT_FILE && record.tag != TAG_START_PRE &&
                        record.tag != TAG_COMMANDS) {
                        if (seen & (UINT64_C(1) << record.tag))
                                return -EBADMSG;
                        seen |= UINT64_C(1) << record.tag;
                }

                switch (record.tag) {
                case TAG_END:
                        r = record.size > 0 ? -EBADMSG : 0;
                        break;
                case TAG_ROLE:
                        r = record_take_string(p, record.size, &q->role);
                        break;
                case TAG_INSTANCE:
                        r = record_take_string(p, record.size, &q->instance);
                        break;
                case TAG_SCOPE:
                        r = record_take_string(p, record.size, &q->scope);
                        break;
                case TAG_COMMAND:
                        r = record_take_element(p, record.size, &q->command, &command);
                        break;
                case TAG_BASE_ENVIRONMENT:
                        r = record_take_element(p, record.size, &q->base_environment, &base_environment);
                        break;
                case TAG_ENVIRONMENT:
                        r = record_take_element(p, record.size, &q->environment, &environment);
                        break;
                case TAG_WORKING_DIRECTORY:
                        r = record_take_string(p, record.size, &q->working_directory);
                        break;
                case TAG_USER:
                        r = record_take_string(p, record.size, &q->user);
                        break;
                case TAG_GROUP:
                        r = record_take_string(p, record.size, &q->group);
                        break;
                case TAG_OUTPUT:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0)
                                q->output = (LaunchOutput) number;
                        break;
                case TAG_OUTPUT_PATH:
                        r = record_take_string(p, record.size, &q->output_path);
                        break;
                case TAG_NICE:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0) {
                                q->nice_set = true;
                                q->nice = number;
                        }
                        break;
                case TAG_LIMIT:
                        r = record_take_limit(p, record.size, q);
                        break;
                case TAG_SETUP:
                        r = record_take_element(p, record.size, &q->setup, &setup);
                        break;
                case TAG_SETUP_DEADLINE:
                        r = record_take_u64(p, record.size, &q->setup_deadline_usec);
                        break;
                case TAG_XTERM:
                        q->xterm = true;
                        r = record.size > 0 ? -EBADMSG : 0;
                        break;
                case TAG_XTERM_ARG:
                        r = record_take_element(p, record.size, &q->xterm_args, &xterm_args);
                        break;
                case TAG_RECORD:
                        q->record = true;
                        r = record.size > 0 ? -EBADMSG : 0;
                        break;
                case TAG_ACCOUNT:
                        r = record_take_id(p, record.size, q, &account);
                        break;
                case TAG_ACCOUNT_NAME:
                        r = q->account ? record_take_string(p, record.size, &q->account->name) : -EBADMSG;
                        break;
                case TAG_ACCOUNT_HOME:
                        r = q->account ? record_take_string(p, record.size, &q->account->home) : -EBADMSG;
                        break;
                case TAG_ACCOUNT_SHELL:
                        r = q->account ? record_take_string(p, record.size, &q->account->shell) : -EBADMSG;
                        break;
                case TAG_STREAM:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0)
                                q->stream = (LaunchStream) number;
                        break;
                case TAG_STREAM_UID:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0)
                                q->stream_uid = (uint32_t) number;
                        break;
                case TAG_CPU_AFFINITY:
                        r = record_take_string(p, record.size, &q->cpu_affinity);
                        break;
                case TAG_OOM_SCORE_ADJUST:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0) {
                                q->oom_score_adjust_set = true;
                                q->oom_score_adjust = number;
                        }
                        break;
                case TAG_CGROUPS_MAX:
                        r = record_take_i32(p, record.size, &number);
                        if (r >= 0)
                                q->cgroups_max = (uint32_t) number;
                        break;
                case TAG_ENVIRONMENT_FILE:
                        r = record_take_element(p, record.size, &q->environment_files, &environment_files);
                        break;
                case TAG_WATCHDOG:
                        r = record_take_u64(p, record.size, &q->watchdog_usec);
                        break;
                case TAG_START_PRE:
                        r = record_take_element(p, record.size, &q->exec_start_pre, &start_pre);
                        break;
                case TAG_COMMANDS:
                        r = record_take_element(p, record.size, &q->commands, &commands);
                        break;
                case TAG_START_PRE_TIMEOUT:
                        r = record_take_u64(p, record.size, &q->start_pre_timeout_usec);
                        break;
                case TAG_DEFAULT_SIGPIPE:
                        q->default_sigpipe = true;
                        r = record.size > 0 ? -EBADMSG : 0;
                        break;
                default:
                        r = -EPROTONOSUPPORT;
                }
                if (r < 0)
                        return r;
        }

        if (p != end || !(seen & (UINT64_C(1) << TAG_OUTPUT)) ||
                !q->setup != !(seen & (UINT64_C(1) << TAG_SETUP_DEADLINE)) ||
                (q->stream == LAUNCH_STREAM_SHARED) != !!(seen & (UINT64_C(1) << TAG_STREAM_UID)) ||
                (q->account && account.n < 2) || !launch_request_is_valid(q))
                return -EBADMSG;

        *ret = q;
        q = NULL;
        return 0;
}

int launch_request_read(int memfd, LaunchRequest **ret) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = memfd_read_sealed(memfd, LAUNCH_REQUEST_SIZE_MAX, &data, &size);
        return r < 0 ? r : launch_request_parse(data, size, ret);
}

static void strings_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}

static void launch_account_free(LaunchAccount *account) {
        if (!account)
                return;
        free(account->groups);
        free(account->name);
        free(account->home);
        free(account->shell);
        free(account);
}

LaunchRequest *launch_request_free(LaunchRequest *request) {
        if (!request)
                return NULL;

        free(request->role);
        free(request->instance);
        free(request->scope);
        strings_free(request->command);
        strings_free(request->commands);
        strings_free(request->base_environment);
        strings_free(request->environment);
        free(request->working_directory);
        free(request->user);
        free(request->group);
        free(request->output_path);
        strings_free(request->setup);
        strings_free(request->xterm_args);
        free(request->cpu_affinity);
        strings_free(request->environment_files);
        strings_free(request->exec_start_pre);
        launch_account_free(request->account);
        free(request);
        return NULL;
}

int gate_report_parse(const void *data, size_t size, struct gate_report *ret) {
        struct gate_report report;

        if (size != sizeof(report))
                return -EBADMSG;
        memcpy(&report, data, sizeof(report));
        if (report.magic != GATE_MAGIC || !ERROR_IS_VALID(report.error))
                return -EBADMSG;

        report.text[sizeof(report.text) - 1] = '\0';
        *ret = report;
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The launch request contains everything that a child needs to become a role. The node writes it to a sealed
 * memfd and sends that through the gate (in one packet, gate_open). The child replies with gate_report
 * packets, with the record of its products, if it was asked for one, and with the time that its set-up took.
 * If the gate closes without a report, the child has executed its command or died; /proc/PID/stat shows
 * which. The keeper never reads any of this. Uses libc only.
 *
 * The encoding has tags and a version. A reader refuses unknown ones with -EPROTONOSUPPORT or -EBADMSG. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "base/string-table.h"

#define LAUNCH_REQUEST_VERSION 1U
#define LAUNCH_REQUEST_SIZE_MAX (16U * 1024U * 1024U)

typedef enum LaunchOutput {
        LAUNCH_OUTPUT_JOURNAL,
        LAUNCH_OUTPUT_NULL,
        LAUNCH_OUTPUT_FILE, /* created or truncated, then written by the user of the role */
        LAUNCH_OUTPUT_APPEND,
        _LAUNCH_OUTPUT_MAX,
        _LAUNCH_OUTPUT_INVALID = -EINVAL,
} LaunchOutput;

DECLARE_STRING_TABLE(launch_output, LaunchOutput); /* journal null file append */

/* How the output of a child gets to the journal. A number never changes. */
typedef enum LaunchStream {
        LAUNCH_STREAM_OWN, /* by a stream of its own */
        /* By one that others may have, too, and that it sends through its gate. It makes sure that the
         * journal has accepted it. */
        LAUNCH_STREAM_OFFERED,
        /* By that of another role, which comes with the request. If it cannot have that one, because it is
         * closed or another user's, it makes one as above. */
        LAUNCH_STREAM_SHARED,
        _LAUNCH_STREAM_MAX,
        _LAUNCH_STREAM_INVALID = -EINVAL,
} LaunchStream;

/* A user, as the databases had it when somebody decided about the start. */
typedef struct LaunchAccount {
        uint32_t uid;
        uint32_t gid;
        uint32_t *groups;
        size_t n_groups;
        char *name;
        char *home;
        char *shell;
} LaunchAccount;

typedef struct LaunchRequest {
        char *role;
        char *instance;
        char *scope;    /* unit name, for messages */
        char **command; /* NULL-terminated; at least one. NULL with commands */
        /* Instead of the command: those of exec-stop or exec-stop-post, which are run one after the other
         * (see command-list.h). The first one that fails ends the child, in the same way. NULL for a role. */
        char **commands;
        char **base_environment; /* NAME=VALUE, before HOME, USER, LOGNAME, SHELL of the user */
        char **environment;      /* NAME=VALUE, after them */
        /* Paths of files with more of them, which the child reads as root; '-' before a path ignores a file
         * that does not exist. NULL if there are none. */
        char **environment_files;
        char *working_directory; /* NULL for / */
        char *user;              /* name or number; NULL keeps the user of the keeper */
        char *group;             /* name or number; NULL selects the group of the user */
        LaunchOutput output;
        char *output_path;   /* for file and append */
        LaunchStream stream; /* for journal */
        uint32_t stream_uid; /* whose it is, if it is shared; no other user may have it */
        bool nice_set;
        int nice;
        uint64_t limits_set;           /* bit RLIMIT_x */
        uint64_t limits[RLIM_NLIMITS]; /* soft and hard; UINT64_MAX for infinity */
        /* The product set-up, or NULL: the path of its script, the provider, and the arguments of the
         * script. */
        char **setup;
        /* CLOCK_MONOTONIC, with setup only; UINT64_MAX for never. */
        uint64_t setup_deadline_usec;
        bool record; /* with setup only: the node wants its record (product-record.h) */
        bool xterm;  /* a window on its terminal */
        char **xterm_args;
        bool default_sigpipe; /* SIGPIPE ends it; otherwise SIGPIPE is ignored */
        char *cpu_affinity;   /* see cpu-list.h; NULL leaves what the keeper has */
        bool oom_score_adjust_set;
        int oom_score_adjust;   /* -1000 to 1000; 0 without _set */
        uint32_t cgroups_max;   /* cgroups below that of its scope; 0 sets no limit */
        uint64_t watchdog_usec; /* for $WATCHDOG_USEC; 0 for none */
        /* Commands that it runs before its own, see command-list.h, and how long they may take; UINT64_MAX
         * for any time. NULL and 0 if there are none. */
        char **exec_start_pre;
        uint64_t start_pre_timeout_usec;
        /* What a user's start runs as; then neither user nor group is looked up, and no limit may be raised.
         */
        LaunchAccount *account;
} LaunchRequest;

/* Writes it to a new sealed memfd and returns that, or a negative errno (-E2BIG). Does not keep the
 * pointers. */
int launch_request_write(const LaunchRequest *request);

/* Reads it from such a memfd. *ret owns all its members; the caller frees it with launch_request_free(). */
int launch_request_read(int memfd, LaunchRequest **ret);
LaunchRequest *launch_request_free(LaunchRequest *request);

static inline void launch_request_freep(LaunchRequest **request) {
        launch_request_free(*request);
}

/* Parses it from memory. Returns -EBADMSG if it is malformed, -EPROTONOSUPPORT if it comes from a newer
 * version. */
int launch_request_parse(const void *data, size_t size, LaunchRequest **ret);

/* The step at which the set-up of a child has failed, in the order of the set-up. A number never changes. */
typedef enum LaunchStage {
        LAUNCH_STAGE_REQUEST, /* the request could not be read */
        LAUNCH_STAGE_USER,    /* user or group does not exist, or may not be assumed */
        LAUNCH_STAGE_SESSION, /* setsid, signals */
        LAUNCH_STAGE_STDIN,
        LAUNCH_STAGE_OUTPUT,
        LAUNCH_STAGE_LIMITS, /* nice, resource limits, oom_score_adj */
        LAUNCH_STAGE_DIRECTORY,
        LAUNCH_STAGE_ENVIRONMENT,
        LAUNCH_STAGE_PRODUCT, /* the product set-up, with the message of the provider */
        LAUNCH_STAGE_EXEC,
        /* Before the exec; it is here, because an older node knows the other numbers. */
        LAUNCH_STAGE_PORTS,
        LAUNCH_STAGE_XTERM, /* before the exec; newer stages have greater numbers */
        /* The commands of exec-start-pre, after the environment. The error is -ETIMEDOUT, -EINTR if one was
         * killed by a signal, -EIO if it has failed, or that of its exec. */
        LAUNCH_STAGE_START_PRE,
        _LAUNCH_STAGE_MAX,
        _LAUNCH_STAGE_INVALID = -EINVAL,
} LaunchStage;

DECLARE_STRING_TABLE(launch_stage, LaunchStage);

#define GATE_MAGIC UINT32_C(0x67617465)

/* Node to child: opens the gate. It has one descriptor, the memfd, and a second one if the request says that
 * it has a stream of another role. */
struct gate_open {
        uint32_t magic;
        uint32_t version; /* LAUNCH_REQUEST_VERSION */
};

#define GATE_STREAM_MAGIC UINT32_C(0x7374726d)

/* Child to node: a stream to the journal for others, too (LAUNCH_STREAM_OFFERED). It has one descriptor. */
struct gate_stream {
        uint32_t magic; /* GATE_STREAM_MAGIC */
        uint32_t uid;   /* as whom the child will run */
};

#define GATE_TIMES_MAGIC UINT32_C(0x74696d65)

/* Child to node, directly before the exec of the command of a role that had products to set up or commands of
 * exec-start-pre: how long these took, in microseconds; 0 if there were none. It is no more than that, so no
 * request asks for it, and a node that does not know it logs and ignores it. */
struct gate_times {
        uint32_t magic; /* GATE_TIMES_MAGIC */
        uint32_t reserved;
        uint64_t products_usec;
        uint64_t hooks_usec;
};

/* Child to node. */
struct gate_report {
        uint32_t magic;
        uint32_t stage;   /* LaunchStage */
        int32_t error;    /* negative errno; 0 with a warning that is only a notice */
        uint32_t warning; /* 1 if the set-up continues, 0 if the child exits now */
        /* For messages, terminated by NUL: 'cannot execute "/x": No such file or directory'. */
        char text[512];
};

/* More options are more tags of the request. */
ASSERT_FIXED_SIZE(struct gate_open, 8);
ASSERT_FIXED_SIZE(struct gate_stream, 8);
ASSERT_FIXED_SIZE(struct gate_times, 24);
ASSERT_FIXED_SIZE(struct gate_report, 528);

/* Parses one packet of the gate. The text in *ret is terminated by NUL and may not be UTF-8. Returns -EBADMSG
 * if it is not a report. */
int gate_report_parse(const void *data, size_t size, struct gate_report *ret);

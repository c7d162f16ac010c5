/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The launch request: everything a child needs to become a role. The node writes it into a sealed memfd and sends that
 * through the gate (one packet: gate_open, with the memfd); the child answers with gate_report packets. The end of the gate
 * without a report means exec, or death: /proc/PID/stat tells which. The keeper itself never reads any of this. libc only.
 *
 * The encoding is tagged and versioned: a reader refuses what it does not know (-EPROTONOSUPPORT, -EBADMSG). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/string-table.h"

#define LAUNCH_REQUEST_VERSION 1U
#define LAUNCH_REQUEST_SIZE_MAX (16U * 1024U * 1024U)

typedef enum LaunchOutput {
        LAUNCH_OUTPUT_JOURNAL,
        LAUNCH_OUTPUT_NULL,
        LAUNCH_OUTPUT_FILE, /* created or emptied, then written by the role's user */
        LAUNCH_OUTPUT_APPEND,
        _LAUNCH_OUTPUT_MAX,
        _LAUNCH_OUTPUT_INVALID = -EINVAL,
} LaunchOutput;

DECLARE_STRING_TABLE(launch_output, LaunchOutput); /* journal null file append */

typedef struct LaunchRequest {
        char *role;
        char *instance;
        char *scope;             /* unit name, for messages */
        char **command;          /* NULL-terminated; at least one */
        char **base_environment; /* NAME=VALUE: before HOME, USER, LOGNAME, SHELL of the user */
        char **environment;      /* NAME=VALUE: after them */
        char *working_directory; /* NULL: / */
        char *user;              /* NULL: stay; name or number */
        char *group;             /* NULL: the user's own; name or number */
        LaunchOutput output;
        char *output_path; /* for file and append */
        bool nice_set;
        int nice;
        uint64_t limits_set;           /* bit RLIMIT_x */
        uint64_t limits[RLIM_NLIMITS]; /* soft and hard; UINT64_MAX: infinity */
        char **setup; /* NULL: none; the product set-up: the path of its script, the provider, and what the script takes */
        uint64_t setup_deadline_usec; /* CLOCK_MONOTONIC, with setup only; UINT64_MAX: never */
        bool xterm;                   /* a window on its terminal */
        char **xterm_args;
} LaunchRequest;

/* Into a new sealed memfd; returns it. Does not keep pointers. -E2BIG. */
int launch_request_write(const LaunchRequest *request);

/* From such a memfd; everything in *ret is owned by it. */
int launch_request_read(int memfd, LaunchRequest **ret);
LaunchRequest *launch_request_free(LaunchRequest *request);

static inline void launch_request_freep(LaunchRequest **request) {
        launch_request_free(*request);
}

/* The same from memory. -EBADMSG: malformed; -EPROTONOSUPPORT: from a newer version. */
int launch_request_parse(const void *data, size_t size, LaunchRequest **ret);

/* Where the set-up of a child failed. The order is the order of the set-up; a number never changes. */
typedef enum LaunchStage {
        LAUNCH_STAGE_REQUEST, /* the request could not be read */
        LAUNCH_STAGE_USER,    /* user or group unknown, or not to be assumed */
        LAUNCH_STAGE_SESSION, /* setsid, signals */
        LAUNCH_STAGE_STDIN,
        LAUNCH_STAGE_OUTPUT,
        LAUNCH_STAGE_LIMITS, /* nice, resource limits, oom_score_adj */
        LAUNCH_STAGE_DIRECTORY,
        LAUNCH_STAGE_ENVIRONMENT,
        LAUNCH_STAGE_PRODUCT, /* the product set-up; in the provider's own words */
        LAUNCH_STAGE_EXEC,
        LAUNCH_STAGE_PORTS, /* before the exec; last here, since an older node knows the others by number */
        LAUNCH_STAGE_XTERM, /* before the exec; what is newer comes after it in the numbers */
        _LAUNCH_STAGE_MAX,
        _LAUNCH_STAGE_INVALID = -EINVAL,
} LaunchStage;

DECLARE_STRING_TABLE(launch_stage, LaunchStage);

#define GATE_MAGIC UINT32_C(0x67617465)

/* Node to child: opens the gate. Comes with one descriptor, the memfd. */
struct gate_open {
        uint32_t magic;
        uint32_t version; /* LAUNCH_REQUEST_VERSION */
};

/* Child to node. */
struct gate_report {
        uint32_t magic;
        uint32_t stage;   /* LaunchStage */
        int32_t error;    /* negative errno */
        uint32_t warning; /* 1: the set-up goes on; 0: the child exits now */
        char text[512];   /* for people, NUL-terminated: 'cannot execute "/x": No such file or directory' */
};

/* From one packet of the gate; the text in *ret ends with NUL, and need not be UTF-8. -EBADMSG: it is no report. */
int gate_report_parse(const void *data, size_t size, struct gate_report *ret);

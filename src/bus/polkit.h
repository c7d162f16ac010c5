/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to polkit, by asynchronous calls of its service on the bus. An answer is the reply to such a
 * call, which the bus daemon delivers only from the process that received the call; no signal of polkit is
 * used, and no answer is kept. A question is cancelled at polkit when its caller leaves the bus, when it is
 * freed, and when polkit has not answered in time.
 *
 * Of one uid, few questions are with polkit at the same time; the others wait here in their order, so that a
 * user whose questions are answered slowly delays nobody else. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define POLKIT_BUS_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

typedef enum PolkitResult {
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_DISMISSED, /* a person was asked to authenticate, and has not done it */
        POLKIT_CHALLENGE, /* a person would have to authenticate */
        POLKIT_FAILED,    /* there is no answer */
        POLKIT_ABSENT,    /* there is no polkit */
        POLKIT_GONE,      /* the caller has left the bus */
        POLKIT_LEAVING,   /* the service ends */
} PolkitResult;

typedef struct Polkit Polkit;
typedef struct PolkitQuestion PolkitQuestion;

/* Called once, later than polkit_ask() returns, and not after polkit_question_free(). It must free the
 * question. text is the reason of POLKIT_FAILED and POLKIT_ABSENT. */
typedef void (*PolkitAnswer)(void *userdata, PolkitResult result, const char *text);

int polkit_new(sd_bus *bus, Polkit **ret);
/* Answers all open questions by POLKIT_LEAVING. Returns NULL. */
Polkit *polkit_free(Polkit *polkit);

typedef struct PolkitSubject {
        const char *name; /* the unique name of the caller */
        uid_t uid;        /* as the bus reports it */
        bool interactive; /* the caller permits that a person is asked to authenticate */
} PolkitSubject;

/* details are names and values in turn, up to NULL. Returns -EDQUOT if too many questions of this uid are
 * open, and another negative errno if the question cannot be sent. */
int polkit_ask(Polkit *polkit, const PolkitSubject *subject, const char *action, char *const *details,
        PolkitAnswer answer, void *userdata, PolkitQuestion **ret);

/* Cancels it at polkit unless it was answered. Returns NULL. */
PolkitQuestion *polkit_question_free(PolkitQuestion *question);

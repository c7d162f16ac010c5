/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Several hosts at once: a verb runs in a thread for each of them, and one thread at a time has the baton,
 * which it passes on only while it waits. So verbs are written as if there were one host, and nothing that
 * they share needs a lock. What the C library has once for the whole process follows the baton: stdout, and
 * the place of getopt().
 *
 * The baton goes from the thread that waits to the next one that has something to do. If there is none, the
 * first thread of the process has it, and polls for all of them. So what arrives wakes one thread, once.
 *
 * Without threads all of this does nothing, or just waits. */

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Of one thread. */
typedef struct Baton Baton;
struct Baton {
        FILE *out;    /* stdout while it has the baton */
        void *output; /* what its output belongs to, for gather.h */

        /* Private. */
        int index; /* optind */
        sem_t turn;
        Baton *next; /* of those that can go on */
        int fd, result;
        short events;
        uint64_t until_usec;
};

/* Waits until one of these events of poll(2) is there, or until this time of CLOCK_MONOTONIC. Returns more
 * than 0 if an event is there, otherwise 0, or a negative errno. A negative fd has no events. */
int baton_poll(int fd, short events, uint64_t until_usec);

/* Evaluates a call that blocks, and that calls no code of ours. */
#define WITHOUT_BATON(expression) \
        ({ \
                baton_release(); \
                __typeof__(expression) _value = (expression); \
                baton_acquire(); \
                _value; \
        })
void baton_release(void);
void baton_acquire(void);

/* Of the thread that has the baton; NULL without threads, and for the first one. */
void *baton_output(void);

/* For fan-out.c. The first thread begins and ends it, and has the baton until it waits. The others enter it
 * with what is theirs, and leave it. */
int baton_begin(void);
void baton_end(void);
void baton_init(Baton *baton, FILE *out, void *output);
void baton_enter(Baton *baton);
void baton_leave(void);

/* What threads wait for that other threads do. */
typedef enum BatonEvent {
        BATON_STATE,  /* a thread has ended, or the first one has got so far; only for the first thread */
        BATON_GO,     /* the threads may go on */
        BATON_PERMIT, /* one of them may connect */
        BATON_TURN,   /* another host has ended */
        _BATON_EVENT_MAX,
} BatonEvent;

void baton_wait(BatonEvent event);
void baton_wake(BatonEvent event);     /* all of those that wait */
void baton_wake_one(BatonEvent event); /* the one that has waited for the longest time */

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "ctl/baton.h"

/* The lock is for what those change that have no baton, since a blocking call of theirs has returned. It is
 * never kept. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Baton *ready, **ready_end = &ready; /* in the order in which they go on */
static bool polling;                       /* the first thread must be woken to see that somebody is ready */

static Baton first; /* the first thread */
static bool used;   /* changes only while there is no other thread */
static bool state_changed;
static int wake_fd;
static Baton *holder;
static GPtrArray *waiting;                   /* for events of poll() */
static GPtrArray *waiters[_BATON_EVENT_MAX]; /* for what other threads do */
static GArray *polled;
static __thread Baton *mine;

/* -- passing it on -- */

/* These two with the lock. */
static void ready_add(Baton *baton) {
        baton->next = NULL;
        *ready_end = baton;
        ready_end = &baton->next;
}

static Baton *ready_take(void) {
        Baton *baton = ready;

        if (baton) {
                ready = baton->next;
                if (!ready)
                        ready_end = &ready;
        }
        return baton;
}

static void baton_add_ready(Baton *baton) {
        (void) pthread_mutex_lock(&lock);
        ready_add(baton);
        (void) pthread_mutex_unlock(&lock);
}

static void baton_pass(void) {
        mine->out = stdout;
        mine->index = optind;
        (void) pthread_mutex_lock(&lock);
        Baton *next = ready_take() ?: &first;
        (void) pthread_mutex_unlock(&lock);
        (void) sem_post(&next->turn);
}

static void baton_take(void) {
        while (sem_wait(&mine->turn) < 0 && errno == EINTR)
                ;
        holder = mine;
        stdout = mine->out;
        optind = mine->index;
}

void baton_release(void) {
        if (used)
                baton_pass();
}

void baton_acquire(void) {
        if (!used)
                return;
        (void) pthread_mutex_lock(&lock);
        ready_add(mine);
        if (polling)
                (void) eventfd_write(wake_fd, 1);
        (void) pthread_mutex_unlock(&lock);
        baton_take();
}

void *baton_output(void) {
        return used ? holder->output : NULL;
}

/* -- waiting -- */

static int poll_until(struct pollfd *fds, nfds_t n, uint64_t until_usec) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        struct timespec left = {};

        if (until_usec > now && until_usec != UINT64_MAX)
                left = (struct timespec){ .tv_sec = (time_t) ((until_usec - now) / 1000000),
                        .tv_nsec = (long) ((until_usec - now) % 1000000 * 1000) };
        int r = ppoll(fds, n, until_usec == UINT64_MAX ? NULL : &left, NULL);
        return r < 0 ? -errno : r;
}

int baton_poll(int fd, short events, uint64_t until_usec) {
        struct pollfd one = { .fd = fd, .events = events };

        if (!used)
                return poll_until(&one, 1, until_usec);
        mine->fd = fd;
        mine->events = events;
        mine->until_usec = until_usec;
        g_ptr_array_add(waiting, mine);
        baton_pass();
        baton_take();
        return mine->result;
}

/* Finds out who can go on. Those that wait are asked about in one call. */
static void baton_poll_all(void) {
        const struct pollfd wake = { .fd = wake_fd, .events = POLLIN };
        uint64_t until = UINT64_MAX, count;

        g_array_set_size(polled, 0);
        g_array_append_val(polled, wake);
        for (guint i = 0; i < waiting->len; i++) {
                const Baton *baton = g_ptr_array_index(waiting, i);
                const struct pollfd one = { .fd = baton->fd, .events = baton->events };

                g_array_append_val(polled, one);
                until = MIN(until, baton->until_usec);
        }
        (void) pthread_mutex_lock(&lock);
        polling = true;
        const bool any = ready != NULL;
        (void) pthread_mutex_unlock(&lock);
        int r = poll_until((struct pollfd *) polled->data, polled->len, any ? 0 : until);
        (void) pthread_mutex_lock(&lock);
        polling = false;
        (void) pthread_mutex_unlock(&lock);
        (void) eventfd_read(wake_fd, &count);

        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        guint left = 0;
        for (guint i = 0; i < waiting->len; i++) {
                Baton *baton = g_ptr_array_index(waiting, i);
                const struct pollfd *found = &g_array_index(polled, struct pollfd, i + 1);

                if ((r > 0 && found->revents != 0) || now >= baton->until_usec) {
                        baton->result = r > 0 && found->revents != 0;
                        baton_add_ready(baton);
                } else
                        waiting->pdata[left++] = baton;
        }
        g_ptr_array_set_size(waiting, (gint) left);
}

static bool somebody_is_ready(void) {
        (void) pthread_mutex_lock(&lock);
        const bool any = ready != NULL;
        (void) pthread_mutex_unlock(&lock);
        return any;
}

/* It has the baton again only when nobody else can go on. */
static void baton_wait_first(void) {
        while (!state_changed)
                if (somebody_is_ready()) {
                        baton_pass();
                        baton_take();
                } else
                        baton_poll_all();
        state_changed = false;
}

void baton_wait(BatonEvent event) {
        if (event == BATON_STATE) {
                baton_wait_first();
                return;
        }
        g_ptr_array_add(waiters[event], mine);
        baton_pass();
        baton_take();
}

void baton_wake_one(BatonEvent event) {
        if (event == BATON_STATE)
                state_changed = true;
        else if (waiters[event]->len > 0)
                baton_add_ready(g_ptr_array_remove_index(waiters[event], 0));
}

void baton_wake(BatonEvent event) {
        do
                baton_wake_one(event);
        while (event != BATON_STATE && waiters[event]->len > 0);
}

/* -- the threads -- */

void baton_init(Baton *baton, FILE *out, void *output) {
        *baton = (Baton){ .out = out, .output = output };
        (void) sem_init(&baton->turn, 0, 0);
}

int baton_begin(void) {
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wake_fd < 0)
                return -errno;
        waiting = g_ptr_array_new();
        polled = g_array_new(false, false, sizeof(struct pollfd));
        for (size_t i = 0; i < _BATON_EVENT_MAX; i++)
                waiters[i] = g_ptr_array_new();
        baton_init(&first, stdout, NULL);
        first.index = optind;
        holder = mine = &first;
        used = true;
        return 0;
}

void baton_end(void) {
        used = false;
        for (size_t i = 0; i < _BATON_EVENT_MAX; i++)
                g_clear_pointer(&waiters[i], g_ptr_array_unref);
        g_clear_pointer(&waiting, g_ptr_array_unref);
        g_clear_pointer(&polled, g_array_unref);
        (void) close(wake_fd);
}

void baton_enter(Baton *baton) {
        mine = baton;
        baton_acquire();
}

void baton_leave(void) {
        baton_pass();
}

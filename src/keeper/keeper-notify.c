/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-notify.h"

#define NOTIFY_READ_MAX 16U /* messages of one role, before others have their turn */
/* Children at the same time. Each role has one at most, so with 256 roles one user does not need all. */
#define DROPS_MAX 1024U
#define DROPS_RETRY_USEC USEC_PER_SEC

void keeper_read_notify(Keeper *k, Notify *n, unsigned max) {
        bool drop;

        if (list_is_linked(&n->drop))
                return;
        if (notify_read(n, k->self->instance, max, &drop))
                keeper_tell_notified(k, n);
        if (drop)
                keeper_add_drop(k, n);
}

void keeper_on_notify(Keeper *k, Notify *n) {
        keeper_read_notify(k, n, NOTIFY_READ_MAX);
        if (notify_is_flooded(n)) {
                list_remove(&n->paused);
                list_append(&k->notify_paused, &n->paused);
                keeper_watch_notify(k, n);
        }
        if (!k->blocked)
                keeper_flush(k);
}

int keeper_resume_notify(Keeper *k) {
        const uint64_t now = list_is_linked(&k->notify_paused) ? now_usec(CLOCK_MONOTONIC) : 0;
        int wait = -1;

        LIST_FOREACH_SAFE (Notify, paused, n, &k->notify_paused)
                if (n->resume_usec <= now) {
                        list_remove(&n->paused);
                        keeper_watch_notify(k, n);
                } else
                        wait = timeout_sooner(wait, timeout_until(n->resume_usec, now));
        return wait;
}

static void notify_tell_end(Keeper *k, Notify *n) {
        n->end_waits = false;
        if (k->welcomed && !n->child->announce)
                keeper_tell_exit(k, n->child);
}

void keeper_tell_end(Keeper *k, Child *child) {
        if (child->notify) {
                keeper_read_notify(k, child->notify, NOTIFY_KEPT_MAX);
                keeper_tell_notified(k, child->notify);
                if (list_is_linked(&child->notify->drop) && !child->notify->drop_late) {
                        child->notify->end_waits = true;
                        return;
                }
        }
        if (k->welcomed && !child->announce)
                keeper_tell_exit(k, child);
}

/* -- messages with descriptors -- */

static void notify_start_drop(Keeper *k, Notify *n, uint64_t now) {
        int r = notify_clone_drop(n);

        if (r >= 0) {
                k->n_dropping++;
                r = keeper_watch(k, EPOLL_CTL_ADD, n->drop_pidfd, EPOLLIN, &n->drop_watch);
        }
        if (r < 0)
                k->drops_retry_usec = now + DROPS_RETRY_USEC;
}

static void notify_be_late(Keeper *k, Notify *n) {
        n->drop_late = true;
        if (!n->child)
                return;
        if (!n->late_told)
                log_warning(
                        "A descriptor that came with a notification of role %s is not closed within %d s, "
                        "so its notifications wait",
                        n->child->role, (int) (NOTIFY_DROP_TIMEOUT_USEC / USEC_PER_SEC));
        n->late_told = true;
        if (n->end_waits)
                notify_tell_end(k, n);
}

void keeper_on_notify_drop(Keeper *k, Notify *n) {
        siginfo_t info;

        if (pidfd_waitid(n->drop_pidfd, &info, NULL, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;
        keeper_unwatch(k, n->drop_pidfd);
        n->drop_pidfd = fd_close(n->drop_pidfd);
        n->drop_late = false;
        list_remove(&n->drop);
        k->n_dropping--;
        if (!n->child) {
                k->n_shut--;
                keeper_close_notify(k, n);
                return;
        }

        keeper_read_notify(k, n, n->end_waits ? NOTIFY_KEPT_MAX : NOTIFY_READ_MAX);
        keeper_watch_notify(k, n);
        if (n->end_waits && !list_is_linked(&n->drop))
                notify_tell_end(k, n);
        if (!k->blocked)
                keeper_flush(k);
}

int keeper_run_drops(Keeper *k) {
        const uint64_t now = list_is_linked(&k->drops) ? now_usec(CLOCK_MONOTONIC) : 0;
        const bool retry = k->drops_retry_usec > 0 && k->drops_retry_usec <= now;
        bool told = false;
        int wait = -1;

        if (retry)
                k->drops_retry_usec = 0;
        LIST_FOREACH_SAFE (Notify, drop, n, &k->drops) {
                if (!n->drop_late && n->drop_deadline_usec <= now) {
                        notify_be_late(k, n);
                        told = true;
                }
                if (!n->drop_late)
                        wait = timeout_sooner(wait, timeout_until(n->drop_deadline_usec, now));
                /* The next program does not know their children. */
                if (n->drop_pidfd < 0 && k->n_dropping < DROPS_MAX && k->drops_retry_usec == 0 &&
                        !k->reexec.checked)
                        notify_start_drop(k, n, now);
                else if (n->drop_pidfd >= 0 && retry)
                        keeper_on_notify_drop(k, n); /* it may not be watched */
        }
        if (k->drops_retry_usec > 0 && list_is_linked(&k->drops))
                wait = timeout_sooner(wait, timeout_until(k->drops_retry_usec, now));
        if (told && !k->blocked)
                keeper_flush(k);
        return wait;
}

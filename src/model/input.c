/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/input.h"
#include "model/node.h"
#include "model/quota.h"
#include "model/role.h"
#include "model/role-terminal.h"
#include "model/settings.h"

typedef struct Chunk {
        const char *data;
        size_t size;    /* without the newline */
        size_t written; /* with the newline */
        bool newline;
        bool close;          /* end-of-file, without data */
        char end_of_file[2]; /* its data, for a terminal */
        Quota *quota;        /* of the caller; NULL if there is no limit */
        size_t charge;       /* what it has taken of that */
        void *owner;
        void (*release)(void *owner);
        Waiter waiter;
} Chunk;

struct RoleInput {
        Role *role;
        sd_event_source *source; /* EPOLLOUT, enabled only while the queue is not empty */
        GQueue queue;            /* of Chunk */
        size_t queued;           /* in bytes */
        bool closing;
        bool mid_line; /* the last written byte was no newline */
};

static size_t chunk_total(const Chunk *chunk) {
        return chunk->size + (chunk->newline ? 1 : 0);
}

static void chunk_done(Chunk *chunk, const Fault *fault) {
        if (chunk->quota)
                quota_return_input(chunk->quota, chunk->charge);
        waiter_wake(chunk->waiter, fault);
        if (chunk->release)
                chunk->release(chunk->owner);
        g_free(chunk);
}

RoleInput *input_new(Role *role) {
        RoleInput *input = g_new0(RoleInput, 1);

        input->role = role;
        return input;
}

static void input_fail_all(RoleInput *input, const Fault *reason) {
        Chunk *chunk;

        input->source = sd_event_source_disable_unref(input->source);
        input->queued = 0;
        while ((chunk = g_queue_pop_head(&input->queue)))
                chunk_done(chunk, reason);
}

RoleInput *input_free(RoleInput *input, const Fault *reason) {
        if (!input)
                return NULL;
        input_fail_all(input, reason);
        g_free(input);
        return NULL;
}

/* Returns -EAGAIN if the pipe is full. */
static int chunk_write(Chunk *chunk, int fd) {
        while (chunk->written < chunk_total(chunk)) {
                struct iovec iov[2];
                int n_iov = 0;

                if (chunk->written < chunk->size)
                        iov[n_iov++] = (struct iovec){ (char *) chunk->data + chunk->written,
                                chunk->size - chunk->written };
                if (chunk->newline)
                        iov[n_iov++] = (struct iovec){ (char *) "\n", 1 };

                ssize_t n = writev(fd, iov, n_iov);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                chunk->written += (size_t) n;
        }
        return 0;
}

static void input_pump(RoleInput *input);

static int input_on_writable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        input_pump(userdata);
        return 0;
}

/* The source must go first: the keeper has the same open file, so closing our descriptor does not remove it
 * from the epoll instance. */
static void input_close_pipe(RoleInput *input) {
        input->source = sd_event_source_disable_unref(input->source);
        input->role->stdin_fd = fd_close(input->role->stdin_fd);
}

/* A terminal stays open: its reader receives end-of-file once, from a character. */
static int input_make_end_of_file(RoleInput *input, Chunk *chunk) {
        int r = terminal_end_of_file(
                input->role->stdin_fd, input->mid_line, chunk->end_of_file, &chunk->size);

        if (r < 0) {
                g_auto(Fault) fault = {};
                (void) fault_set(&fault, NODE_ERROR_NO_INPUT,
                        "The terminal of role \"%s\" has no end-of-file now: %s", input->role->name,
                        r == -ENOTTY
                                ? "it is in raw mode, where programs with line editing take WriteInput of byte 4"
                                : g_strerror(-r));
                (void) g_queue_pop_head(&input->queue);
                chunk_done(chunk, &fault);
                return r;
        }
        chunk->close = false;
        chunk->data = chunk->end_of_file;
        input->queued += chunk->size;
        return 0;
}

static bool input_is_terminal(const RoleInput *input) {
        return input->role->spec->stdin_kind == ROLE_STDIN_PTY;
}

static void input_pump(RoleInput *input) {
        Role *role = input->role;
        Chunk *chunk;

        while ((chunk = g_queue_peek_head(&input->queue))) {
                int r = 0;

                if (chunk->close && input_is_terminal(input)) {
                        if (input_make_end_of_file(input, chunk) < 0)
                                continue;
                } else if (chunk->close) {
                        (void) g_queue_pop_head(&input->queue);
                        input_close_pipe(input);
                        ASK(role->node, link, close_stdin, role, chunk->waiter);
                        chunk->waiter = (Waiter){};
                        chunk_done(chunk, NULL);
                        continue;
                }

                r = chunk_write(chunk, role->stdin_fd);
                if (r == -EAGAIN)
                        break;
                if (r < 0) {
                        g_auto(Fault) fault = {};
                        (void) fault_set(&fault, NODE_ERROR_NO_INPUT,
                                "Role \"%s\" does not read its standard input: %s", role->name,
                                r == -EPIPE ? "it has closed it" : g_strerror(-r));
                        if (input_is_terminal(input)) {
                                input_fail_all(input, &fault);
                                return;
                        }
                        input_close_pipe(input);
                        input_fail_all(input, &fault);
                        ASK(role->node, link, close_stdin, role, (Waiter){});
                        return;
                }
                (void) g_queue_pop_head(&input->queue);
                input->queued -= chunk_total(chunk);
                if (chunk_total(chunk) > 0)
                        input->mid_line = !chunk->newline && chunk->data != chunk->end_of_file &&
                                          chunk->data[chunk->size - 1] != '\n';
                chunk_done(chunk, NULL);
        }

        if (g_queue_is_empty(&input->queue))
                input->source = sd_event_source_disable_unref(input->source);
        else if (!input->source) {
                int r = sd_event_add_io(role->node->event, &input->source, role->stdin_fd, EPOLLOUT,
                        input_on_writable, input);
                if (r < 0) {
                        g_auto(Fault) fault = {};
                        (void) fault_set(&fault, NODE_ERROR_IO_ERROR,
                                "Role \"%s\": cannot watch its standard input: %s", role->name,
                                g_strerror(-r));
                        input_fail_all(input, &fault);
                }
        }
}

static int input_check(RoleInput *input, Fault *fault) {
        if (input->closing || input->role->stdin_fd < 0)
                return fault_set(fault, NODE_ERROR_NO_INPUT, "The standard input of role \"%s\" is closed",
                        input->role->name);
        return 0;
}

static int input_queue(RoleInput *input, Chunk *chunk, const Caller *caller, Fault *fault) {
        const Role *role = input->role;
        const Node *node = role->node;

        if (node_limits(node, caller)) {
                chunk->quota = quota_get(node->quotas, caller->uid);
                chunk->charge = chunk_total(chunk);
                int r = quota_take_input(chunk->quota, chunk->charge, role->name,
                        node->settings->max_queued_input_per_user, fault);
                if (r < 0)
                        return r;
        }
        g_queue_push_tail(&input->queue, g_memdup2(chunk, sizeof(*chunk)));
        input->queued += chunk_total(chunk);
        if (!input->source)
                input_pump(input);
        return 0;
}

int input_write(RoleInput *input, const void *data, size_t size, bool newline, void *owner,
        void (*release)(void *owner), const Caller *caller, Waiter waiter, Fault *fault) {
        Chunk chunk = { .data = data,
                .size = size,
                .newline = newline,
                .owner = owner,
                .release = release,
                .waiter = waiter };

        int r = input_check(input, fault);
        if (r < 0)
                return r;
        if (chunk_total(&chunk) > INPUT_QUEUE_MAX)
                return fault_set(fault, NODE_ERROR_INPUT_FULL,
                        "Cannot write %zu bytes to role \"%s\": one call may write %u at most, write them in parts",
                        chunk_total(&chunk), input->role->name, INPUT_QUEUE_MAX);
        if (chunk_total(&chunk) > INPUT_QUEUE_MAX - input->queued)
                return fault_set(fault, NODE_ERROR_INPUT_FULL,
                        "Role \"%s\" does not read its standard input fast enough: %zu bytes wait already, the limit is %u",
                        input->role->name, input->queued, INPUT_QUEUE_MAX);

        return input_queue(input, &chunk, caller, fault);
}

int input_close(RoleInput *input, const Caller *caller, Waiter waiter, Fault *fault) {
        Chunk chunk = { .close = true, .waiter = waiter };

        int r = input_check(input, fault);
        if (r < 0)
                return r;
        /* The end-of-file may be written at once, and is the last then. */
        input->closing = !input_is_terminal(input);
        r = input_queue(input, &chunk, caller, fault);
        if (r < 0)
                input->closing = false;
        return r;
}

void input_refuse(Role *role) {
        g_auto(Fault) fault = {};

        if (role->spec->stdin_kind != ROLE_STDIN_PIPE)
                return;
        (void) fault_set(&fault, NODE_ERROR_NO_INPUT,
                "The standard input of role \"%s\" is closed, because the role is being stopped", role->name);
        role->input = input_free(role->input, &fault);
}

void input_end(Role *role) {
        input_refuse(role);
        if (role->spec->stdin_kind != ROLE_STDIN_PIPE)
                return;
        role->stdin_fd = fd_close(role->stdin_fd);
        if (role->child_exists)
                ASK(role->node, link, close_stdin, role, (Waiter){});
}

void input_resume(RoleInput *input) {
        if (!input->closing || input->role->stdin_fd < 0 || !g_queue_is_empty(&input->queue))
                return;
        input_close_pipe(input);
        ASK(input->role->node, link, close_stdin, input->role, (Waiter){});
}

int input_find(Role *role, Fault *fault) {
        int r = role_check_running(role, fault);
        if (r < 0)
                return r;
        if (role->spec->stdin_kind == ROLE_STDIN_NULL)
                return fault_set(fault, NODE_ERROR_NO_INPUT,
                        "Role \"%s\" was started without a pipe as its standard input", role->name);
        if (!role->input)
                return fault_set(fault, NODE_ERROR_NO_INPUT, "The standard input of role \"%s\" is closed%s",
                        role->name,
                        role->state == ROLE_STOPPING ? ", because the role is being stopped" : "");
        return 0;
}

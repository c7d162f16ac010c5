/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-product.h"
#include "keeper/exec/exec-report.h"
#include "keeper/exec/exec-subprocess.h"
#include "proto/product-record.h"

#define SHELL "/bin/bash"
#define IMAGE_FD 3
#define IMAGE_SIZE_MAX (16U * 1024U * 1024U)

/* The output of the set-up is kept for the error message: its beginning and its end. */
#define SAID_MAX (16U * 1024U)
#define SAID_HEAD (SAID_MAX / 4)
#define PRODUCT_SHOWN 40
#define HEAR_ROUNDS 16 /* the capacity of a pipe */

struct setup {
        int gate_fd;
        const LaunchRequest *request;
        Subprocess shell;
        size_t n_products;       /* that it has begun with */
        char said[SAID_MAX + 1]; /* about the last one of them */
        size_t n_said;
};

/* The arguments of the script, see there. */
enum { SETUP_SCRIPT, SETUP_PROVIDER, SETUP_COMMAND, SETUP_PRODUCTS };

/* Returns the name of product number n, from 1 on; NULL if there is no such one, or only one product. */
static const char *setup_product(char *const *setup, size_t n) {
        const char *name = NULL;
        size_t count = 0;

        if (!setup[SETUP_COMMAND])
                return NULL;
        for (char *const *a = setup + SETUP_PRODUCTS; *a; count++) {
                uint32_t n_arguments;

                if (parse_u32(*a++, &n_arguments) < 0)
                        return NULL;
                if (count + 1 == n)
                        name = *a;
                for (; *a && n_arguments > 0; n_arguments--)
                        a++;
        }
        return count > 1 ? name : NULL;
}

#define FAIL(s, error, fmt, ...) \
        do { \
                char *const *_setup = (s)->request->setup; \
                const char *_product = setup_product(_setup, (s)->n_products); \
                gate_fail((s)->gate_fd, LAUNCH_STAGE_PRODUCT, (error), "%s: %.*s%s" fmt, \
                        _setup[SETUP_PROVIDER], PRODUCT_SHOWN, _product ? _product : "", \
                        _product ? ": " : "", ##__VA_ARGS__); \
        } while (0)

/* -- the process of the shell -- */

static _noreturn_ void shell_refuse(const char *what) {
        (void) dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
        _exit(EXEC_FAILED);
}

static _noreturn_ void shell_main(
        pid_t parent, const LaunchRequest *q, char *const *env, int image_fd, int said_fd) {
        static const char *const options[] = { SHELL, "--noprofile", "--norc", "-p" };
        _cleanup_free_ const char **argv = NULL;
        sigset_t none;
        size_t n = 0;
        int null_fd;

        /* The parent calls this, too, because either may be the first. */
        (void) setpgid(0, 0);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_DFL);

        if (dup2(said_fd, STDOUT_FILENO) < 0 || dup2(said_fd, STDERR_FILENO) < 0)
                _exit(EXEC_FAILED);
        /* Without its parent the shell would not be ended at its deadline. */
        if (exec_die_with(parent) < 0)
                _exit(EXEC_FAILED);
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
                shell_refuse("cannot connect /dev/null");
        /* image_fd may have this number already. */
        if (image_fd == IMAGE_FD ? fd_cloexec(image_fd, false) < 0 : dup2(image_fd, IMAGE_FD) < 0)
                shell_refuse("cannot connect the environment");
        if (fd_close_all_except((int[]){ IMAGE_FD }, 1) < 0)
                shell_refuse("cannot close descriptors");

        while (q->setup[n])
                n++;
        argv = calloc(ELEMENTSOF(options) + n + 1, sizeof(*argv));
        if (!argv)
                shell_refuse("cannot run " SHELL);
        memcpy(argv, options, sizeof(options));
        n = ELEMENTSOF(options);
        argv[n++] = q->setup[0];
        for (char **a = q->setup + 1; *a; a++)
                argv[n++] = *a;

        (void) execve(SHELL, (char *const *) argv, env);
        int error = errno;
        free(argv);
        errno = error;
        shell_refuse("cannot execute " SHELL);
}

/* -- the output -- */

static void setup_keep_said(struct setup *s, const char *data, size_t size) {
        while (size > 0) {
                size_t n = SAID_MAX - s->n_said;

                if (n == 0) {
                        memmove(s->said + SAID_HEAD, s->said + 2 * SAID_HEAD, SAID_MAX - 2 * SAID_HEAD);
                        s->n_said -= SAID_HEAD;
                        continue;
                }
                if (n > size)
                        n = size;
                memcpy(s->said + s->n_said, data, n);
                s->n_said += n;
                data += n;
                size -= n;
        }
}

/* A NUL ends what was said about the product before. It is not passed on. */
static void setup_take_said(struct setup *s, const char *data, size_t size) {
        for (;;) {
                const char *end = memchr(data, '\0', size);
                size_t n = end ? (size_t) (end - data) : size;

                setup_keep_said(s, data, n);
                /* If it cannot be written it is lost there, but the error message still contains it. */
                if (n > 0)
                        (void) !write(STDERR_FILENO, data, n);
                if (!end)
                        return;
                s->n_products++;
                s->n_said = 0;
                data += n + 1;
                size -= n + 1;
        }
}

/* Keeps the output and passes it on, as far as it is available now. The rounds are limited, because a process
 * may write without end. Returns false if no process can write any more. */
static bool setup_hear(struct setup *s, int fd) {
        char data[4096];

        for (int i = 0; i < HEAR_ROUNDS; i++) {
                ssize_t n = read(fd, data, sizeof(data));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 && errno == EAGAIN;
                setup_take_said(s, data, (size_t) n);
        }
        return true;
}

/* A traceback of EUPS or of a modulefile ends with its error. Lmod begins with it, after what the modulefile
 * has said, and ends with general advice. */
static const char *setup_words(struct setup *s, char buffer[static WORDS_MAX]) {
        static const char lmod_error[] = "Lmod has detected the following error:";
        char *words = s->said, *const end = s->said + s->n_said;

        if (strcmp(s->request->setup[SETUP_PROVIDER], "lmod") != 0)
                return text_words(s->said, s->n_said, WORDS_MAX / 4, buffer);
        for (char *p = words; (p = memmem(p, (size_t) (end - p), lmod_error, strlen(lmod_error))); p++)
                words = p;
        return text_words(words, (size_t) (end - words), WORDS_MAX / 2, buffer);
}

/* -- the end -- */

/* Ends the shell and all processes that it has started. A process that does not end belongs to another user,
 * or is within a system call. After a failure the node kills the scope. */
static void setup_end_all(struct setup *s) {
        char pids[SUBPROCESS_PIDS_SIZE];

        if (!subprocess_end_all(&s->shell, pids))
                FAIL(s, -EBUSY, "processes that its set-up has left do not end: %s", pids);
}

/* Reads the output of the shell until it ends. Returns false if the deadline passed first. */
static bool setup_wait_for_shell(struct setup *s, int pidfd, int said_fd) {
        struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN }, { .fd = said_fd, .events = POLLIN } };
        const uint64_t deadline = s->request->setup_deadline_usec;

        for (;;) {
                struct timespec left = timespec_until(deadline);
                int n = ppoll(fds, ELEMENTSOF(fds), deadline == USEC_INFINITY ? NULL : &left, NULL);

                if (n < 0 && errno != EINTR)
                        FAIL(s, -errno, "cannot wait for its set-up: %s", strerror(errno));
                if (n > 0 && fds[1].revents && !setup_hear(s, said_fd))
                        fds[1].fd = -1;
                if (n > 0 && fds[0].revents) {
                        /* Does not wait for the end of the output, because a background process may keep it
                         * open. */
                        (void) setup_hear(s, said_fd);
                        return true;
                }
                if (n == 0 || (deadline != USEC_INFINITY && now_usec(CLOCK_MONOTONIC) >= deadline))
                        return false;
        }
}

/* -- the environment -- */

/* Returns whether bash has created the variable itself. Functions are for shells that share them, but a role
 * gets variables. */
static bool assignment_is_shells_own(const char *assignment) {
        static const char *const names[] = { "PWD", "OLDPWD", "SHLVL", "_", "IFS", "SHELLOPTS", "BASH",
                "BASHOPTS", "BASHPID", "BASH_VERSION", "HISTCMD", "LINENO", "OPTIND", "PPID", "PS4", "RANDOM",
                "SECONDS" };

        return assignment_is_of_shell(assignment, names, ELEMENTSOF(names));
}

/* Takes the image, except the variables of the shell itself, which keep their previous values. */
static int image_merge(char *image, size_t size, char *const *env, char ***ret) {
        size_t n = 1, k = 0;
        char **merged;

        for (char *p = image; p < image + size; p += strlen(p) + 1)
                n++;
        for (char *const *e = env; *e; e++)
                n++;

        /* Neither this nor the image is freed, because the exec takes them or the process ends. */
        merged = calloc(n, sizeof(*merged));
        if (!merged)
                return -ENOMEM;
        for (char *const *e = env; *e; e++)
                if (assignment_is_shells_own(*e))
                        merged[k++] = *e;
        for (char *p = image; p < image + size; p += strlen(p) + 1)
                if (!assignment_is_shells_own(p))
                        merged[k++] = p;
        *ret = merged;
        return 0;
}

/* -- the record -- */

/* Takes name and version from the values by which the providers list what is set up: "camera 3.1 -f Linux64"
 * of SETUP_CAMERA, and "foo/1.0:bar/2.0" of LOADEDMODULES. Changes the copy of the value. */
static size_t record_add_eups(char *value, char **products) {
        static char none[] = "";
        char *state = NULL, *name = strtok_r(value, " ", &state), *version;

        if (!name)
                return 0;
        version = strtok_r(NULL, " ", &state);
        products[0] = name;
        products[1] = version && version[0] != '-' ? version : none;
        return 2;
}

static size_t record_add_modules(char *value, char **products, size_t room) {
        static char none[] = "";
        char *state = NULL;
        size_t n = 0;

        for (char *name = strtok_r(value, ":", &state); name && n < room;
                name = strtok_r(NULL, ":", &state)) {
                char *slash = strrchr(name, '/');

                if (slash == name)
                        continue;
                products[n++] = name;
                products[n++] = slash ? slash + 1 : none;
                if (slash)
                        *slash = '\0';
        }
        return n;
}

static int record_compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Stores a list of name and version of each product, which is terminated with NULL. Modules are in the order
 * in which they were loaded, products of EUPS in that of their names. EUPS lists itself, too, but was not
 * requested. */
static int record_list_products(const char *provider, char *const *env, char ***ret) {
        const size_t room = 2 * (size_t) PRODUCT_RECORD_PRODUCTS_MAX;
        const bool eups = strcmp(provider, "eups") == 0;
        const char *prefix = eups ? "SETUP_" : "LOADEDMODULES=";
        char **products;
        size_t n = 0;

        /* Like the copies below it is not freed, because the exec comes soon. */
        products = calloc(room + 1, sizeof(*products));
        if (!products)
                return -ENOMEM;
        for (; *env && n < room; env++) {
                const char *value = strchr(*env, '=');
                char *copy;

                if (!value || strncmp(*env, prefix, strlen(prefix)) != 0 ||
                        strncmp(*env, "SETUP_EUPS=", strlen("SETUP_EUPS=")) == 0)
                        continue;
                copy = strdup(value + 1);
                if (!copy)
                        return -ENOMEM;
                n += eups ? record_add_eups(copy, products + n)
                          : record_add_modules(copy, products + n, room - n);
        }
        if (eups)
                qsort(products, n / 2, 2 * sizeof(*products), record_compare);
        *ret = products;
        return 0;
}

/* A failure costs the record, not the role. */
static void setup_record(struct setup *s, char *const *before, char *const *after) {
        char **products, **changes;
        autofd memfd = -EBADF;
        int r;

        r = record_list_products(s->request->setup[SETUP_PROVIDER], after, &products);
        if (r >= 0)
                r = environment_changes(before, after, &changes);
        if (r >= 0)
                r = memfd = product_record_write(products, changes);
        if (r >= 0)
                r = gate_send_record(s->gate_fd, memfd);
        if (r < 0)
                gate_warn(s->gate_fd, LAUNCH_STAGE_PRODUCT, r,
                        "What its products have made cannot be recorded: %s", strerror(-r));
}

void product_setup(int gate_fd, const LaunchRequest *request, char *const *env, char ***ret) {
        struct setup s = { .gate_fd = gate_fd, .request = request };
        autofd image_fd = -EBADF, said_read = -EBADF, said_write = -EBADF, pidfd = -EBADF;
        const pid_t self = getpid();
        char *image = NULL;
        sigset_t old;
        int said[2], r;
        size_t size = 0, n_said;
        bool in_time;

        /* A memfd needs no reader, so a write to it never blocks. */
        image_fd = memfd_new("environment");
        if (image_fd < 0)
                FAIL(&s, image_fd, "cannot begin its set-up: %s", strerror(-image_fd));
        if (pipe2(said, O_CLOEXEC) < 0)
                FAIL(&s, -errno, "cannot begin its set-up: %s", strerror(errno));
        said_read = said[0];
        said_write = said[1];

        r = fd_nonblock(said_read, true);
        if (r >= 0)
                r = subprocess_prepare(0, &old);
        if (r >= 0 && signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                r = -errno;
        if (r < 0)
                FAIL(&s, r, "cannot begin its set-up: %s", strerror(-r));

        s.shell.pid = fork();
        if (s.shell.pid == 0)
                shell_main(self, request, env, image_fd, said_write);
        if (s.shell.pid < 0)
                FAIL(&s, -errno, "cannot fork for its set-up: %s", fork_strerror(errno));
        (void) setpgid(s.shell.pid, s.shell.pid);
        (void) fd_close(fd_steal(&said_write)); /* otherwise its end would not be detected */
        pidfd = pidfd_open_pid(s.shell.pid);
        if (pidfd < 0) {
                setup_end_all(&s);
                FAIL(&s, pidfd, "cannot watch its set-up: %s", strerror(-pidfd));
        }

        in_time = setup_wait_for_shell(&s, pidfd, said_read);
        n_said = s.n_said;
        setup_end_all(&s);
        (void) setup_hear(&s, said_read);
        if (!in_time) {
                s.n_said = n_said; /* without the output during its end */
                FAIL(&s, -ETIMEDOUT, "its set-up did not end in time (SetupTimeout=)%s%s",
                        s.n_said > 0 ? ", its output was: " : "", setup_words(&s, (char[WORDS_MAX]){ 0 }));
        }
        if (!WIFEXITED(s.shell.status) || WEXITSTATUS(s.shell.status) != 0) {
                const char *words = setup_words(&s, (char[WORDS_MAX]){ 0 });

                if (*words)
                        FAIL(&s, -EIO, "%s", words);
                if (WIFSIGNALED(s.shell.status))
                        FAIL(&s, -EIO, "its set-up was killed by signal %d (%s)", WTERMSIG(s.shell.status),
                                strsignal(WTERMSIG(s.shell.status)));
                FAIL(&s, -EIO, "its set-up failed without a message (exit status %d)",
                        WEXITSTATUS(s.shell.status));
        }

        r = memfd_read(image_fd, IMAGE_SIZE_MAX, &image, &size);
        if (r >= 0 && (size == 0 || image[size - 1] != '\0'))
                FAIL(&s, -EIO, "its set-up ended before it was complete%s%s", s.n_said > 0 ? ": " : "",
                        setup_words(&s, (char[WORDS_MAX]){ 0 }));
        if (r >= 0)
                r = image_merge(image, size, env, ret);
        if (r < 0)
                FAIL(&s, r, "cannot take over the environment: %s", strerror(-r));

        if (request->record)
                setup_record(&s, env, *ret);

        (void) signal(SIGPIPE, SIG_DFL);
        r = subprocess_done(&old);
        if (r < 0)
                FAIL(&s, r, "cannot end its set-up: %s", strerror(-r));
}

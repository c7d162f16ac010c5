/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* actor plays the roles of the tests. Its arguments are executed one after the other:
 *
 *   say FIFO TEXT        writes "TEXT PID" to a named pipe, so that the test knows the progress
 *   print TEXT           writes TEXT to standard output, without the PID
 *   ignore SIGNAL        ignores it from now on
 *   exit-on SIGNAL N     from now on exits with status N at the signal
 *   tell-on SIGNAL FIFO TEXT   from now on writes "TEXT PID" at the signal, and continues
 *   fork{ ... }          executes the arguments in the braces in a child, which then exits
 *   daemon{ ... }        the same in a grandchild with a session of its own
 *   thread               executes the rest in another thread; the main thread ends
 *   raise SIGNAL         sends it to itself
 *   close FD             closes it
 *   read-eof             reads standard input to its end
 *   echo FIFO            writes each line of standard input to standard output (to standard error if
 *                        it begins with "!") and then "echo PID" to FIFO, to its end
 *   cat                  copies standard input to standard output, to its end
 *   burn MSEC            uses MSEC of CPU time
 *   touch MIB            allocates memory and uses it
 *   fill-tasks FIFO      forks until that fails, then writes "N ERRNO"
 *   bomb N MSEC FIFO     becomes some N processes that fork and exit after MSEC each; writes "bomb"
 *                        when there are N
 *   serve FIFO           writes "serve", then for ever replies on all of LISTEN_FDS: each connection,
 *                        and each datagram, gets the PID; the peer hangs up first
 *   accept N CLOSE       accepts N connections from descriptor 3; with CLOSE 1 it hangs up first
 *   set FD OPTION VALUE  sets reuseaddr, reuseport or nonblock
 *   pass FD SOCKET       sends it to a process that receives on this datagram socket, by SCM_RIGHTS
 *   listen FD FIFO       listens on a socket that it has; writes "listen ERRNO"
 *   bind PORT FIFO       binds and listens on a TCP port of its own; writes "bind ERRNO"
 *   dump FILE            writes all properties of its process
 *   notify TEXT          sends TEXT to $NOTIFY_SOCKET, as sd_notify(3); each "|" is a newline
 *   ping MSEC N          sends WATCHDOG=1 that often, MSEC apart
 *   pause                waits for ever
 *   exit N
 *
 * FIFO may also be a file, to whose end the text is added. After the last argument actor exits with 0.
 * Signals are names such as TERM. It uses libc only. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define die(...) (fprintf(stderr, "actor: " __VA_ARGS__), fputc('\n', stderr), _exit(99))

static struct {
        int exit_status;
        int fifo;
        char text[64];
} on_signal[NSIG];

#define BOMB_SECONDS 60
/* Of the fork bomb, shared by all its processes. */
static atomic_int *bomb_size;

static int signal_number(const char *name) {
        for (int i = 1; i < NSIG; i++) {
                const char *abbreviation = sigabbrev_np(i);
                if (abbreviation && strcmp(abbreviation, name) == 0)
                        return i;
        }
        return atoi(name) ?: (die("what signal is %s?", name), 0);
}

/* Also used in a signal handler. */
static void say_to(int fd, const char *text) {
        char line[128], digits[12];
        size_t n = 0, d = 0;

        for (pid_t pid = getpid(); pid > 0; pid /= 10)
                digits[d++] = (char) ('0' + pid % 10);
        for (; *text && n < 100; text++)
                line[n++] = *text;
        line[n++] = ' ';
        while (d > 0)
                line[n++] = digits[--d];
        line[n++] = '\n';
        if (write(fd, line, n) != (ssize_t) n)
                _exit(98);
}

static int open_fifo(const char *path) {
        /* The test has it open for reading and writing, so this neither blocks nor fails. */
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        if (fd < 0)
                die("%s: %s", path, strerror(errno));
        return fd;
}

static void say(const char *path, const char *text) {
        int fd = open_fifo(path);

        say_to(fd, text);
        close(fd);
}

static void on_exit_signal(int sig) {
        _exit(on_signal[sig].exit_status);
}

static void on_tell_signal(int sig) {
        int saved = errno;

        say_to(on_signal[sig].fifo, on_signal[sig].text);
        errno = saved;
}

static void handle(int sig, void (*handler)(int)) {
        struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
        sigset_t set;

        if (sigaction(sig, &sa, NULL) < 0)
                die("sigaction %d: %s", sig, strerror(errno));
        sigemptyset(&set);
        sigaddset(&set, sig);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void notify(const char *text) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char *lines = strdup(text);

        if (!path || fd < 0 || !lines)
                die("no socket for notifications");
        for (char *p = lines; *p; p++)
                if (*p == '|')
                        *p = '\n';
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (sendto(fd, lines, strlen(lines), 0, (struct sockaddr *) &address, sizeof(address)) < 0)
                die("%s: %s", path, strerror(errno));
        free(lines);
        close(fd);
}

static void ping(int msec, int n) {
        const struct timespec pause_time = { .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000L };

        for (int i = 0; i < n; i++) {
                notify("WATCHDOG=1");
                nanosleep(&pause_time, NULL);
        }
}

static void burn(int msec) {
        struct timespec t;

        do
                clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < msec);
}

static void touch(size_t mib) {
        char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                die("mmap: %s", strerror(errno));
        for (size_t i = 0; i < mib << 20; i += 4096)
                p[i] = 1;
}

/* The command also ends if no limit has an effect. */
#define FILL_TASKS_MAX 100

static void fill_tasks(const char *path) {
        char text[64];
        int n = 0, error;

        for (;;) {
                pid_t pid = fork();
                if (pid == 0)
                        for (;;)
                                pause();
                if (pid < 0) {
                        error = errno;
                        break;
                }
                if (++n > FILL_TASKS_MAX) {
                        error = 0;
                        break;
                }
        }
        snprintf(text, sizeof(text), "%d %s", n, strerrorname_np(error) ?: "0");
        say(path, text);
}

/* Each process forks one process and exits, so that no PID exists for long. While there are too few of them,
 * it forks one more. The bomb must not harm the machine, so a generation lives long enough to be reaped, and
 * a bomb that is not stopped ends by itself. The processes are reaped by a process that is not the main
 * process and so survives a kill of only that one. PID 1 would be too slow, and some 600 zombies would count,
 * too. */
static _Noreturn void bomb(int n, int msec, const char *path) {
        const struct timespec life = { .tv_nsec = msec * 1000000L };
        const time_t end = time(NULL) + BOMB_SECONDS;
        int fifo = open_fifo(path);

        bomb_size = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (bomb_size == MAP_FAILED)
                die("mmap: %s", strerror(errno));
        atomic_store(bomb_size, 1);

        if (fork() != 0)
                for (;;)
                        pause();

        signal(SIGCHLD, SIG_IGN);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (fork() != 0)
                for (;;)
                        pause();

        while (time(NULL) < end) {
                nanosleep(&life, NULL);
                if (atomic_load(bomb_size) < n && fork() == 0 && atomic_fetch_add(bomb_size, 1) + 1 == n)
                        say_to(fifo, "bomb");
                if (fork() > 0)
                        _exit(0);
        }
        _exit(0);
}

/* Writes each line of a file in /proc as "NAME.KEY: VALUE". The key is the text before the colon, or in the
 * first WIDTH columns. Without a key the form is "NAME: LINE". */
static void dump_file(FILE *f, const char *name, const char *path, size_t width) {
        char line[4096];
        FILE *in = fopen(path, "re");

        if (!in) {
                fprintf(f, "%s: (%s)\n", name, strerror(errno));
                return;
        }
        while (fgets(line, sizeof(line), in)) {
                size_t end = strcspn(line, "\n"), key = width;
                char *colon = strchr(line, ':');

                line[end] = 0;
                if (width > 0 && end > width) {
                        while (key > 0 && line[key - 1] == ' ')
                                key--;
                        fprintf(f, "%s.%.*s: %s\n", name, (int) key, line, line + width);
                } else if (colon)
                        fprintf(f, "%s.%.*s: %s\n", name, (int) (colon - line), line, colon + 1);
                else
                        fprintf(f, "%s: %s\n", name, line);
        }
        fclose(in);
}

static void dump_links(FILE *f, const char *name, const char *path) {
        DIR *dir = opendir(path);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                char target[4096], link[512];
                ssize_t n;

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
                n = readlink(link, target, sizeof(target) - 1);
                target[n > 0 ? n : 0] = 0;
                fprintf(f, "%s.%s: %s\n", name, entry->d_name, target);
        }
        if (dir)
                closedir(dir);
}

static void dump(const char *path) {
        char temporary[4096], text[4096];
        FILE *f;

        /* This comes before the file of the dump is open. The flags are included because a non-blocking pipe
         * end surprises many programs. */
        snprintf(temporary, sizeof(temporary), "%s.tmp", path);
        {
                DIR *dir = opendir("/proc/self/fd");
                struct dirent *entry;
                size_t n = 0;

                text[0] = 0;
                while (dir && (entry = readdir(dir))) {
                        int fd = atoi(entry->d_name);
                        if (entry->d_name[0] == '.' || fd == dirfd(dir))
                                continue;
                        n += (size_t) snprintf(text + n, sizeof(text) - n,
                                "fd.%d.nonblock: %d\nfd.%d.cloexec: %d\n", fd,
                                !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fd, !!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
                }
                if (dir)
                        closedir(dir);
        }
        f = fopen(temporary, "we");
        if (!f)
                die("%s: %s", temporary, strerror(errno));
        fputs(text, f);

        dump_file(f, "status", "/proc/self/status", 0);
        dump_file(f, "limits", "/proc/self/limits", 26);
        dump_file(f, "oom_score_adj", "/proc/self/oom_score_adj", 0);
        dump_file(f, "coredump_filter", "/proc/self/coredump_filter", 0);
        dump_file(f, "loginuid", "/proc/self/loginuid", 0);
        dump_file(f, "timerslack", "/proc/self/timerslack_ns", 0);
        dump_links(f, "ns", "/proc/self/ns");
        for (char **e = environ; *e; e++)
                fprintf(f, "env.%.*s: %s\n", (int) strcspn(*e, "="), *e,
                        strchr(*e, '=') ? strchr(*e, '=') + 1 : "");
        fprintf(f, "cwd: %s\n", getcwd(text, sizeof(text)));
        fprintf(f, "pid: %d\npgid: %d\nsid: %d\n", getpid(), getpgid(0), getsid(0));
        fprintf(f, "nice: %d\n", getpriority(PRIO_PROCESS, 0));
        fprintf(f, "scheduler: %d\n", sched_getscheduler(0));
        fprintf(f, "ioprio: %ld\n", syscall(SYS_ioprio_get, 1, 0));
        fprintf(f, "personality: %d\n", personality(0xffffffffUL));
        fprintf(f, "dumpable: %d\n", prctl(PR_GET_DUMPABLE));
        {
                int value = -1;
                prctl(PR_GET_PDEATHSIG, &value);
                fprintf(f, "pdeathsig: %d\n", value);
                value = -1;
                prctl(PR_GET_CHILD_SUBREAPER, &value);
                fprintf(f, "subreaper: %d\n", value);
        }
        fprintf(f, "securebits: %d\n", prctl(PR_GET_SECUREBITS));
        fprintf(f, "thp_disable: %d\n", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));

        if (fclose(f) != 0 || rename(temporary, path) < 0)
                die("%s: %s", path, strerror(errno));
}

static void cat(void) {
        char buffer[65536];
        ssize_t n;

        while ((n = read(0, buffer, sizeof(buffer))) > 0)
                for (ssize_t done = 0, w; done < n; done += w)
                        if ((w = write(1, buffer + done, (size_t) (n - done))) < 0)
                                die("cat: %s", strerror(errno));
}

static void echo(const char *path) {
        int fifo = open_fifo(path);
        char *line = NULL;
        size_t size = 0;

        setvbuf(stdout, NULL, _IONBF, 0);
        while (getline(&line, &size, stdin) > 0) {
                int fd = line[0] == '!' ? 2 : 1;
                if (write(fd, line + (fd - 1), strlen(line) - (size_t) (fd - 1)) < 0)
                        die("echo: %s", strerror(errno));
                say_to(fifo, "echo");
        }
        free(line);
        close(fifo);
}

/* Sends the PID on one connection, and then waits for the other end to hang up. */
static void answer(int fd, bool close_first) {
        char buffer[64];

        dprintf(fd, "%d\n", getpid());
        while (!close_first && read(fd, buffer, sizeof(buffer)) > 0)
                ;
        close(fd);
}

static void serve(const char *path) {
        const char *n_text = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
        struct pollfd fds[512];
        int n = n_text ? atoi(n_text) : 0;

        if (n < 1 || n > 512 || !pid || atoi(pid) != getpid())
                die("serve: LISTEN_FDS=%s LISTEN_PID=%s", n_text ? n_text : "", pid ? pid : "");
        for (int i = 0; i < n; i++)
                fds[i] = (struct pollfd){ .fd = 3 + i, .events = POLLIN };
        say(path, "serve");
        for (;;) {
                if (poll(fds, (nfds_t) n, -1) < 0)
                        die("poll: %s", strerror(errno));
                for (int i = 0; i < n; i++) {
                        char buffer[64];
                        struct sockaddr_storage from;
                        socklen_t size = sizeof(from);
                        int fd, listening = 0;

                        if (!fds[i].revents)
                                continue;
                        getsockopt(fds[i].fd, SOL_SOCKET, SO_ACCEPTCONN, &listening,
                                &(socklen_t){ sizeof(int) });
                        if (!listening) {
                                ssize_t k =
                                        recvfrom(fds[i].fd, buffer, sizeof(buffer), 0, (void *) &from, &size);
                                if (k < 0)
                                        die("recvfrom: %s", strerror(errno));
                                k = snprintf(buffer, sizeof(buffer), "%d\n", getpid());
                                sendto(fds[i].fd, buffer, (size_t) k, 0, (void *) &from, size);
                                continue;
                        }
                        fd = accept4(fds[i].fd, NULL, NULL, SOCK_CLOEXEC);
                        if (fd < 0)
                                die("accept: %s", strerror(errno));
                        answer(fd, false);
                }
        }
}

static void say_errno(const char *path, const char *what, int error) {
        char text[64];

        snprintf(text, sizeof(text), "%s %s", what, strerrorname_np(error) ?: "0");
        say(path, text);
}

static void bind_own(uint16_t port, const char *path) {
        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                die("socket: %s", strerror(errno));
        say_errno(path, "bind",
                bind(fd, (const void *) &any, sizeof(any)) < 0 || listen(fd, 5) < 0 ? errno : 0);
}

/* Returns the end of the block of the brace that was just opened. */
static char **block_end(char **arg) {
        int depth = 1;

        for (; *arg; arg++) {
                size_t n = strlen(*arg);
                if (strcmp(*arg, "}") == 0 && --depth == 0)
                        return arg;
                if (n > 1 && (*arg)[n - 1] == '{')
                        depth++;
        }
        die("a brace is not closed");
}

static void set_option(int fd, const char *option, int value) {
        if (strcmp(option, "nonblock") == 0) {
                if (fcntl(fd, F_SETFL, value ? O_NONBLOCK : 0) < 0)
                        die("fcntl: %s", strerror(errno));
                return;
        }
        if (setsockopt(fd, SOL_SOCKET, strcmp(option, "reuseaddr") == 0 ? SO_REUSEADDR : SO_REUSEPORT, &value,
                    sizeof(value)) < 0)
                die("%s: %s", option, strerror(errno));
}

static void pass(int fd, const char *path) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS } };
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        struct iovec byte = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
        struct msghdr m = { .msg_name = &to,
                .msg_namelen = sizeof(to),
                .msg_iov = &byte,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control) };
        int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        if (s < 0 || sendmsg(s, &m, 0) < 0)
                die("cannot pass a descriptor to %s: %s", path, strerror(errno));
        close(s);
}

static void act(char **arg, char **end);

static struct { char **arg, **end; } of_thread;

static void *act_in_thread(void *unused) {
        (void) unused;
        act(of_thread.arg, of_thread.end);
        _exit(0);
}

static _Noreturn void go_on_in_thread(char **arg, char **end) {
        pthread_t thread;

        of_thread.arg = arg;
        of_thread.end = end;
        if (pthread_create(&thread, NULL, act_in_thread, NULL) != 0)
                die("pthread_create");
        pthread_exit(NULL);
}

static void act(char **arg, char **end) {
        while (arg < end) {
                const char *verb = *arg++;

#define IS(word, n) \
        (strcmp(verb, word) == 0 && (end - arg >= (n) ? (arg += (n), true) : (die("%s: what?", verb), false)))
                if (IS("say", 2))
                        say(arg[-2], arg[-1]);
                else if (IS("print", 1))
                        dprintf(1, "%s\n", arg[-1]);
                else if (IS("ignore", 1))
                        handle(signal_number(arg[-1]), SIG_IGN);
                else if (IS("exit-on", 2)) {
                        int sig = signal_number(arg[-2]);
                        on_signal[sig].exit_status = atoi(arg[-1]);
                        handle(sig, on_exit_signal);
                } else if (IS("tell-on", 3)) {
                        int sig = signal_number(arg[-3]);
                        on_signal[sig].fifo = open_fifo(arg[-2]);
                        snprintf(on_signal[sig].text, sizeof(on_signal[sig].text), "%s", arg[-1]);
                        handle(sig, on_tell_signal);
                } else if (IS("fork{", 0) || IS("daemon{", 0)) {
                        bool daemon = verb[0] == 'd';
                        char **close = block_end(arg);
                        pid_t pid = fork();

                        if (pid < 0)
                                die("fork: %s", strerror(errno));
                        if (pid == 0) {
                                if (daemon) {
                                        if (setsid() < 0 || (pid = fork()) < 0)
                                                die("daemon: %s", strerror(errno));
                                        if (pid > 0)
                                                _exit(0);
                                }
                                act(arg, close);
                                _exit(0);
                        }
                        if (daemon)
                                waitpid(pid, NULL, 0);
                        arg = close + 1;
                } else if (IS("thread", 0))
                        go_on_in_thread(arg, end);
                else if (IS("raise", 1)) {
                        int sig = signal_number(arg[-1]);
                        if (sig != SIGSTOP && sig != SIGKILL)
                                handle(sig, SIG_DFL);
                        raise(sig);
                } else if (IS("close", 1))
                        close(atoi(arg[-1]));
                else if (IS("read-eof", 0)) {
                        char buffer[65536];
                        while (read(0, buffer, sizeof(buffer)) > 0)
                                ;
                } else if (IS("echo", 1))
                        echo(arg[-1]);
                else if (IS("cat", 0))
                        cat();
                else if (IS("burn", 1))
                        burn(atoi(arg[-1]));
                else if (IS("touch", 1))
                        touch((size_t) atoi(arg[-1]));
                else if (IS("fill-tasks", 1))
                        fill_tasks(arg[-1]);
                else if (IS("bomb", 3))
                        bomb(atoi(arg[-3]), atoi(arg[-2]), arg[-1]);
                else if (IS("serve", 1))
                        serve(arg[-1]);
                else if (IS("accept", 2))
                        for (int i = atoi(arg[-2]); i > 0; i--) {
                                int fd = accept(3, NULL, NULL);
                                if (fd < 0)
                                        die("accept: %s", strerror(errno));
                                answer(fd, atoi(arg[-1]));
                        }
                else if (IS("set", 3))
                        set_option(atoi(arg[-3]), arg[-2], atoi(arg[-1]));
                else if (IS("pass", 2))
                        pass(atoi(arg[-2]), arg[-1]);
                else if (IS("listen", 2))
                        say_errno(arg[-1], "listen", listen(atoi(arg[-2]), 5) < 0 ? errno : 0);
                else if (IS("bind", 2))
                        bind_own((uint16_t) atoi(arg[-2]), arg[-1]);
                else if (IS("dump", 1))
                        dump(arg[-1]);
                else if (IS("notify", 1))
                        notify(arg[-1]);
                else if (IS("ping", 2))
                        ping(atoi(arg[-2]), atoi(arg[-1]));
                else if (IS("pause", 0))
                        for (;;)
                                pause();
                else if (IS("exit", 1))
                        _exit(atoi(arg[-1]));
                else
                        die("what is %s?", verb);
#undef IS
        }
}

int main(int argc, char **argv) {
        act(argv + 1, argv + argc);
        return 0;
}

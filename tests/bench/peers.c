/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "peers.h"

#define PATIENCE_MS (BENCH_PATIENCE_USEC / 1000)
#define SYSTEMD_RUNS 32U /* at a time; of 500 at once, more than half fail */
#define MAX_PROCESSES 1000U

extern char **environ;

static char directory[] = "/tmp/bench-XXXXXX";
static char ready_variable[80];
static int ready_fd = -1;
static pid_t pids[MAX_PROCESSES];
static pid_t service; /* s6-svscan, supervisord */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static void remove_tree(const char *path) {
        (void) nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_directory(void) {
        remove_tree(directory);
}

static void __attribute__((format(printf, 2, 3))) path_of(char buf[static 64], const char *format, ...) {
        va_list ap;
        int n = snprintf(buf, 64, "%s/", directory);

        va_start(ap, format);
        (void) vsnprintf(buf + n, 64 - (size_t) n, format, ap);
        va_end(ap);
}

static void prepare(void) {
        char path[64];

        if (ready_fd >= 0)
                return;
        if (!mkdtemp(directory))
                bench_die("mkdtemp: %s", strerror(errno));
        (void) atexit(remove_directory);
        path_of(path, "ready");
        bench_check(mkfifo(path, 0600) < 0 ? -errno : 0, path);
        ready_fd = open(path, O_RDWR | O_CLOEXEC);
        bench_check(ready_fd < 0 ? -errno : 0, path);
        (void) snprintf(ready_variable, sizeof(ready_variable), "BENCH_READY=%s", path);
}

/* What a peer says is of no use here, and what its sleepers say goes to the FIFO. */
static pid_t spawn(char *const argv[]) {
        posix_spawn_file_actions_t actions;
        char *env[256] = { ready_variable };
        unsigned n = 1;
        pid_t pid;

        for (char **e = environ; *e && n < 255; e++)
                env[n++] = *e;
        bench_check(-posix_spawn_file_actions_init(&actions), "posix_spawn");
        for (int fd = 0; fd <= 2; fd++)
                bench_check(-posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0),
                        "posix_spawn");
        bench_check(-posix_spawnp(&pid, argv[0], &actions, NULL, argv, env), argv[0]);
        (void) posix_spawn_file_actions_destroy(&actions);
        return pid;
}

/* Returns the number of sleepers that have begun to run since the last call, which is at least 1. */
static unsigned wait_ready(void) {
        struct pollfd p = { .fd = ready_fd, .events = POLLIN };
        char bytes[MAX_PROCESSES];

        if (poll(&p, 1, (int) PATIENCE_MS) != 1)
                bench_die("a process of a peer does not start");
        const ssize_t n = read(ready_fd, bytes, sizeof(bytes));
        bench_check(n < 0 ? -errno : 0, "FIFO");
        return (unsigned) n;
}

static void wait_for(pid_t pid) {
        bench_check(waitpid(pid, NULL, 0) < 0 ? -errno : 0, "waitpid");
}

static double signal_all(unsigned n) {
        const double begin = bench_now();

        for (unsigned i = 0; i < n; i++)
                (void) kill(pids[i], SIGTERM);
        for (unsigned i = 0; i < n; i++)
                wait_for(pids[i]);
        return bench_now() - begin;
}

/* -- no supervisor -- */

double plain_start(sd_bus *bus, unsigned n) {
        char *const argv[] = { (char *) bench_sleeper(), NULL };

        prepare();
        const double begin = bench_now();
        for (unsigned i = 0; i < n; i++)
                pids[i] = spawn(argv);
        for (unsigned ready = 0; ready < n;)
                ready += wait_ready();
        return bench_now() - begin;
}

double plain_stop(sd_bus *bus, unsigned n) {
        return signal_all(n);
}

/* -- s6 -- */

double s6_start(sd_bus *bus, unsigned n) {
        char scan[64], max[16], path[64];
        char *const argv[] = { (char *) "s6-svscan", (char *) "-c", max, scan, NULL };

        prepare();
        path_of(scan, "s6");
        remove_tree(scan);
        bench_check(mkdir(scan, 0700) < 0 ? -errno : 0, scan);
        for (unsigned i = 0; i < n; i++) {
                path_of(path, "s6/bench-%u", i);
                bench_check(mkdir(path, 0700) < 0 ? -errno : 0, path);
                path_of(path, "s6/bench-%u/run", i);
                bench_check(symlink(bench_sleeper(), path) < 0 ? -errno : 0, path);
        }
        (void) snprintf(max, sizeof(max), "%u", n + 1);

        const double begin = bench_now();
        service = spawn(argv);
        for (unsigned ready = 0; ready < n;)
                ready += wait_ready();
        return bench_now() - begin;
}

static double stop_service(void) {
        const double begin = bench_now();

        (void) kill(service, SIGTERM);
        wait_for(service);
        return bench_now() - begin;
}

double s6_stop(sd_bus *bus, unsigned n) {
        return stop_service();
}

/* -- supervisord -- */

static int supervisord_connect(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        bench_check(fd < 0 ? -errno : 0, "socket");
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) >= 0)
                return fd;
        (void) close(fd);
        return -1;
}

/* The reply, for which the caller waits, is the end of file of the connection. */
static int supervisord_request(const char *socket, const char *method, const char *arguments) {
        char body[512], request[1024];

        (void) snprintf(body, sizeof(body),
                "<?xml version='1.0'?><methodCall><methodName>%s</methodName><params>%s</params></methodCall>",
                method, arguments);
        const int n = snprintf(request, sizeof(request),
                "POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n\r\n%s",
                strlen(body), body);
        const int fd = supervisord_connect(socket);
        bench_check(fd < 0 ? -ECONNREFUSED : 0, "supervisord");
        if (write(fd, request, (size_t) n) != n)
                bench_die("supervisord: %s", strerror(errno));
        return fd;
}

static void supervisord_reply(int fd) {
        char buffer[65536];
        bool done = false;
        ssize_t n;

        /* The beginning of each read is enough to see an error, which is short. */
        while ((n = read(fd, buffer, sizeof(buffer) - 1)) > 0) {
                buffer[n] = '\0';
                if (strstr(buffer, "<fault>"))
                        bench_die("supervisord: %s", buffer);
                done = done || strstr(buffer, "200 OK");
        }
        bench_check(n < 0 ? -errno : 0, "supervisord");
        if (!done)
                bench_die("supervisord does not reply");
        (void) close(fd);
}

static void supervisord_launch(const char *socket, unsigned n) {
        char config[64];
        int fd;
        char *const argv[] = { (char *) "supervisord", (char *) "-n", (char *) "-c", config, NULL };

        path_of(config, "supervisord.conf");
        FILE *f = fopen(config, "we");
        if (!f)
                bench_die("%s: %s", config, strerror(errno));
        (void) fprintf(f,
                "[unix_http_server]\nfile=%s\n"
                "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
                "[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\nloglevel=error\npidfile=%s/supervisord.pid\nminfds=8192\nuser=root\n"
                "[program:bench]\ncommand=%s\nprocess_name=%%(process_num)d\nnumprocs=%u\nautostart=false\n"
                "autorestart=false\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
                socket, directory, bench_sleeper(), n);
        bench_check(fclose(f) != 0 ? -errno : 0, config);
        service = spawn(argv);
        /* The interval between two attempts. No time is measured here. */
        for (unsigned i = 0; (fd = supervisord_connect(socket)) < 0; i++) {
                if (i >= PATIENCE_MS / 10 || waitpid(service, NULL, WNOHANG) != 0)
                        bench_die("supervisord does not start");
                (void) usleep(10000);
        }
        (void) close(fd);
}

double supervisord_start(sd_bus *bus, unsigned n) {
        char socket[64];

        prepare();
        path_of(socket, "supervisord.socket");
        supervisord_launch(socket, n);

        const double begin = bench_now();
        const int fd = supervisord_request(socket, "supervisor.startProcessGroup",
                "<param><value><string>bench</string></value></param>"
                "<param><value><boolean>0</boolean></value></param>");
        for (unsigned ready = 0; ready < n;)
                ready += wait_ready();
        const double ms = bench_now() - begin;
        supervisord_reply(fd);
        return ms;
}

double supervisord_stop(sd_bus *bus, unsigned n) {
        char socket[64];

        path_of(socket, "supervisord.socket");
        const double begin = bench_now();
        supervisord_reply(supervisord_request(socket, "supervisor.stopProcessGroup",
                "<param><value><string>bench</string></value></param>"
                "<param><value><boolean>1</boolean></value></param>"));
        const double ms = bench_now() - begin;
        (void) stop_service();
        return ms;
}

/* -- systemd-run -- */

double systemd_run_start(sd_bus *bus, unsigned n) {
        char *const argv[] = { (char *) "systemd-run", (char *) "--scope", (char *) "--quiet",
                (char *) "--collect", (char *) "--slice=benchrun.slice", (char *) bench_sleeper(), NULL };

        prepare();
        const double begin = bench_now();
        for (unsigned i = 0, ready = 0; ready < n;) {
                while (i < n && i - ready < SYSTEMD_RUNS)
                        pids[i++] = spawn(argv);
                ready += wait_ready();
        }
        const double ms = bench_now() - begin;
        (void) signal_all(n);
        bench_wait_units_gone(bus, "run-*.scope");
        return ms;
}

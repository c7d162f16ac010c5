/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keeper replaces itself without a visible effect, or the new program refuses the state and the old one
 * continues. Later versions still read the state that is written for this. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "keeper/keeper-serialize.h"

static int setup_copy(void **state) {
        int r = world_setup(state);

        if (r >= 0)
                world_start(*state, &(struct start){ .copy = true });
        return r;
}

/* Requests the re-execution on a connection of its own, as systemctl reload does. */
static int ask_on_the_side(World *w) {
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        autofd fd = node_connect(w);
        size_t n_fds;
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_true(fd >= 0);
        node_send(fd, &m, sizeof(m));
        assert_int_equal(node_receive(fd, &p, fds, &n_fds), sizeof(p.done));
        assert_int_equal(p.header.type, KEEPER_DONE);
        assert_int_equal(p.done.request, KEEPER_REEXEC);
        return p.done.error;
}

static char *file_of(pid_t pid, const char *name) {
        char path[64], *text;
        size_t size;

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, &size), 0);
        return text;
}

struct fd_count {
        pid_t pid;
        int max;
};

static bool has_no_more_fds(void *userdata) {
        const struct fd_count *c = userdata;

        return count_process_fds(c->pid) <= c->max;
}

static unsigned long long exe_inode(pid_t pid) {
        char path[64];
        struct stat st;

        (void) snprintf(path, sizeof(path), "/proc/%d/exe", (int) pid);
        assert_int_equal(stat(path, &st), 0);
        return st.st_ino;
}

/* All descriptors except the standard streams must be close-on-exec; otherwise every role would inherit
 * them. */
static void assert_all_cloexec(pid_t pid) {
        char path[64];
        struct dirent *e;
        DIR *d;

        (void) snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int) pid);
        d = opendir(path);
        assert_non_null(d);
        while ((e = readdir(d))) {
                unsigned flags;
                char name[400], *text;

                if (e->d_name[0] == '.' || atoi(e->d_name) < 3)
                        continue;
                (void) snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
                if (file_read(AT_FDCWD, name, 65536, &text, NULL) == -ENOENT)
                        continue; /* the connection of the request was just closed */
                assert_int_equal(sscanf(strstr(text, "flags:"), "flags: %o", &flags), 1);
                if (!(flags & O_CLOEXEC))
                        fail_msg("descriptor %s is not close-on-exec: %s", e->d_name, text);
                free(text);
        }
        (void) closedir(d);
}

static void assert_limit_as_found(World *w) {
        char script[128];
        struct rlimit rl;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
        (void) snprintf(
                script, sizeof(script), "test $(ulimit -Sn) = %llu", (unsigned long long) rl.rlim_cur);
        assert_run(w, QUIET(.command = SHELL(script)), 0);
}

static void takes_over(World *w, bool by_node) {
        static char reads[] = "read line && exit \"$line\"", stays[] = "exec sleep 1000",
                    parent[] = "read x; echo $PPID >\"$FILE\"";
        char *file = world_path(w, "ppid"), *text, *title = file_of(w->keeper, "cmdline"), *variable;
        Role at_gate, reading, running, zombie, unread;
        struct keeper_exited e;
        int before;

        assert_true(asprintf(&variable, "FILE=%s", file) > 0);
        at_gate = role_fork(w, KEEPER_FORK_STDIN_PIPE);
        reading = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = SHELL(reads)));
        running = role_run(w, 0, QUIET(.command = SHELL(stays)));
        zombie = role_run(w, 0, QUIET(.command = SHELL("exit 42")));
        (void) role_ended(w, &zombie);
        unread = role_run(w, 0, QUIET(.command = SHELL(stays)));
        role_wait_at_gate(&at_gate);
        before = count_process_fds(w->keeper);

        assert_int_equal(by_node ? world_request(w, KEEPER_REEXEC, 0) : ask_on_the_side(w), 0);

        assert_int_equal(waitpid(w->keeper, NULL, WNOHANG), 0);
        text = file_of(w->keeper, "cmdline");
        assert_string_equal(text, title);
        free(text);
        assert_all_cloexec(w->keeper);
        assert_true(wait_for(has_no_more_fds, &(struct fd_count){ w->keeper, before }));

        /* A child that was waiting at its gate is started by the new keeper, and is still its child. */
        role_open(&at_gate, QUIET(.command = SHELL(parent), .environment = ENVIRONMENT(variable)));
        role_listen(&at_gate);
        assert_int_equal(at_gate.n_reports, 0);
        assert_int_equal(write(at_gate.stdin_fd, "x\n", 2), 2);
        assert_int_equal(role_end(w, &at_gate).exit.wait_status, 0);
        text = world_read(w, "ppid");
        assert_int_equal(atoi(text), w->keeper);
        free(text);

        assert_int_equal(write(reading.stdin_fd, "17\n", 3), 3);
        e = role_end(w, &reading);
        assert_int_equal(e.exit.wait_status, 17 << 8);
        assert_int_equal(e.exit.flags, 0);
        assert_int_equal(world_signal(w, running.id, SIGUSR1), 0);
        assert_int_equal(role_end(w, &running).exit.wait_status, SIGUSR1);
        assert_int_equal(role_end(w, &zombie).exit.wait_status, 42 << 8);

        /* After a HELLO the node receives what the previous keeper knew. */
        assert_int_equal(kill(unread.pid, SIGUSR2), 0);
        e = role_ended(w, &unread);
        world_disconnect(w);
        {
                autofd other = node_connect(w);
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                node_hello(other, KEEPER_PROTOCOL_VERSION, KEEPER_PROTOCOL_VERSION, &p);
                assert_int_equal(p.welcome.n_children, 1);
                assert_int_equal(node_receive(other, &p, fds, &n_fds), sizeof(p.child));
                assert_int_equal(p.child.exited, 1);
                assert_int_equal(p.child.flags, 0);
                assert_memory_equal(&p.child.exit, &e.exit, sizeof(e.exit));
                for (size_t i = 0; i < n_fds; i++)
                        (void) fd_close(fds[i]);
        }
        (void) world_connect(w);
        {
                int fds[WORLD_FDS_MAX];
                Packet p;
                size_t n = world_receive(w, KEEPER_CHILD, unread.id, &p, fds);

                for (size_t i = 0; i < n; i++)
                        (void) fd_close(fds[i]);
        }
        assert_int_equal(world_request(w, KEEPER_REAP, unread.id), 0);
        role_close(&unread);
        assert_limit_as_found(w);
        free(variable);
        free(title);
        free(file);
}

static void test_node_asks(void **state) {
        takes_over(*state, true);
}

static void test_asked_on_the_side(void **state) {
        takes_over(*state, false);
}

static uint16_t bind_one(World *w) {
        const struct keeper_bind m = {
                .header = { .type = KEEPER_BIND },
                .n = 1,
                .protocol = KEEPER_TCP,
                .ip_version = 4,
                .address = { 127, 0, 0, 1 },
        };
        struct {
                struct keeper_bound bound;
        } answer;

        node_send(w->node, &m, sizeof(m));
        assert_true(recv(w->node, &answer, sizeof(answer), 0) > 0);
        assert_int_equal(answer.bound.header.type, KEEPER_BOUND);
        assert_int_equal(answer.bound.error, 0);
        return answer.bound.numbers[0];
}

static int bind_to(uint16_t port) {
        const struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) }
        };
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return bind(fd, (const struct sockaddr *) &a, sizeof(a)) < 0 ? -errno : 0;
}

static void test_ports(void **state) {
        World *w = *state;
        const uint16_t port = bind_one(w);
        struct keeper_ports m = { .header = { .type = KEEPER_RELEASE_PORTS },
                .ports = { { .number = port, .protocol = KEEPER_TCP } } };
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_int_equal(bind_to(port), -EADDRINUSE);
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
        assert_int_equal(bind_to(port), -EADDRINUSE);
        node_send(w->node, &m, keeper_ports_size(1));
        (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
        assert_int_equal(bind_to(port), 0);
}

/* Many re-executions, with starts in between; some children are at their gates. */
static void test_often(void **state) {
        World *w = *state;

        for (int i = 0; i < 25; i++) {
                Role role = role_fork(w, KEEPER_FORK_STDIN_PIPE);

                assert_int_equal(i % 2 ? world_request(w, KEEPER_REEXEC, 0) : ask_on_the_side(w), 0);
                role_open(&role, QUIET(.command = SHELL("read line && exit \"$line\"")));
                assert_int_equal(i % 3 ? ask_on_the_side(w) : world_request(w, KEEPER_REEXEC, 0), 0);
                role_listen(&role);
                assert_int_equal(role.n_reports, 0);
                assert_int_equal(write(role.stdin_fd, "9\n", 2), 2);
                assert_int_equal(role_end(w, &role).exit.wait_status, 9 << 8);
        }
}

/* The installed program has been replaced by another file. */
static void test_new_program(void **state) {
        World *w = *state;
        char *path = world_path(w, "architect-keeper"), *text;
        const unsigned long long before = exe_inode(w->keeper);
        size_t size;

        assert_int_equal(file_read(AT_FDCWD, path, 64 * 1024 * 1024, &text, &size), 0);
        assert_int_equal(unlink(path), 0);
        world_write(w, "architect-keeper", text, size, 0755);
        assert_int_equal(ask_on_the_side(w), 0);
        assert_int_not_equal(exe_inode(w->keeper), before);
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);
        free(text);
        free(path);
}

static void refuses(World *w, const char *script, int error, const char *why) {
        char *path = world_path(w, "architect-keeper"), *log;
        const unsigned long long before = exe_inode(w->keeper);
        Role role =
                role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = SHELL("read line && exit \"$line\"")));

        w->noisy = true;
        (void) unlink(path);
        if (script) {
                world_write(w, "architect-keeper", script, strlen(script), 0755);
        }
        (void) truncate(w->log, 0);
        assert_int_equal(ask_on_the_side(w), error);
        assert_int_equal(exe_inode(w->keeper), before);
        log = world_read(w, "log");
        if (!strstr(log, why))
                fail_msg("\"%s\" is not in: %s", why, log);
        free(log);

        /* No descriptor was closed, and none was left over. */
        assert_all_cloexec(w->keeper);
        assert_int_equal(write(role.stdin_fd, "3\n", 2), 2);
        assert_int_equal(role_end(w, &role).exit.wait_status, 3 << 8);
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), error);
        assert_run(w, QUIET(.command = SHELL("exit 5")), 5 << 8);
        free(path);
}

static void test_refused(void **state) {
        World *w = *state;

        refuses(w, "#!/bin/sh\nexit 1\n", -ENOEXEC, "exit status 1");
        refuses(w, "#!/bin/sh\nkill -SEGV $$\n", -ENOEXEC, "signal 11");
        refuses(w, "\177ELF, and then it was cut off", -ENOEXEC, "Exec format error");
        refuses(w, NULL, -ENOENT, "No such file");
}

/* During the check all requests are still handled. */
static void test_hangs(void **state) {
        World *w = *state;
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        char *path = world_path(w, "architect-keeper");
        static const char script[] = "#!/bin/sh\nexec sleep 1000\n";
        /* Connections without a packet do not block others. */
        autofd fd = node_connect(w), second = node_connect(w);
        size_t n_fds;
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_true(fd >= 0 && second >= 0);
        w->noisy = true;
        assert_int_equal(unlink(path), 0);
        world_write(w, "architect-keeper", script, strlen(script), 0755);
        node_send(fd, &m, sizeof(m));
        for (int i = 0; i < 20; i++)
                assert_run(w, QUIET(.command = SHELL("exit 5")), 5 << 8);
        assert_int_equal(ask_on_the_side(w), -EALREADY);
        assert_int_equal(recv(fd, &p, sizeof(p), MSG_DONTWAIT), -1);
        assert_int_equal(node_receive(fd, &p, fds, &n_fds), sizeof(p.done));
        assert_int_equal(p.done.error, -ETIMEDOUT);
        free(path);
}

static bool has_refused(void *userdata) {
        char *log = world_read(userdata, "log");
        bool refused = strstr(log, "exit status 1") != NULL;

        free(log);
        return refused;
}

/* The node that sent the request goes before it has received the reply. The next node must not receive it. */
static void test_node_goes(void **state) {
        World *w = *state;
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        char *path = world_path(w, "architect-keeper"), *fifo = world_path(w, "go");
        static const char script[] = "#!/bin/sh\nread line <\"${0%/*}/go\"\nexit 1\n";
        autofd go = -EBADF;

        w->noisy = true;
        assert_int_equal(mkfifo(fifo, 0600), 0);
        go = open(fifo, O_RDWR | O_CLOEXEC);
        assert_true(go >= 0);
        assert_int_equal(unlink(path), 0);
        world_write(w, "architect-keeper", script, strlen(script), 0755);

        node_send(w->node, &m, sizeof(m));
        world_disconnect(w);
        assert_int_equal(world_connect(w), 0);
        assert_int_equal(write(go, "\n", 1), 1);
        assert_true(wait_for(has_refused, w));
        assert_int_equal(world_request(w, KEEPER_REAP, 4711), -ENOENT);
        assert_run(w, QUIET(.command = SHELL("exit 5")), 5 << 8);
        free(fifo);
        free(path);
}

/* The new program accepts the state in the check, but cannot be executed afterwards. Until then everything
 * can be undone. */
static void test_gone_after_check(void **state) {
        World *w = *state;
        char *path = world_path(w, "architect-keeper");
        static const char script[] = "#!/bin/sh\nrm -f \"$0\"\n";
        Role role =
                role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = SHELL("read line && exit \"$line\"")));

        w->noisy = true;
        assert_int_equal(unlink(path), 0);
        world_write(w, "architect-keeper", script, strlen(script), 0755);
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), -ENOENT);
        assert_all_cloexec(w->keeper);
        assert_int_equal(write(role.stdin_fd, "3\n", 2), 2);
        assert_int_equal(role_end(w, &role).exit.wait_status, 3 << 8);
        assert_limit_as_found(w);
        free(path);
}

/* A keeper of the previous version, for tests of the node. */
static void test_protocol_max(void **state) {
        World *w = *state;
        const struct keeper_signal_process m = { .header = { .type = KEEPER_SIGNAL_PROCESS } };
        int fds[WORLD_FDS_MAX];
        Packet p;

        node_hello(w->node, KEEPER_PROTOCOL_VERSION_MIN, KEEPER_PROTOCOL_VERSION, &p);
        assert_int_equal(p.welcome.version, KEEPER_PROTOCOL_VERSION_MIN);
        node_send(w->node, &m, sizeof(m));
        (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
        assert_int_equal(p.done.error, -EOPNOTSUPP);
        node_hello(w->node, KEEPER_PROTOCOL_VERSION, KEEPER_PROTOCOL_VERSION, &p);
        assert_int_equal(p.welcome.error, -EPROTONOSUPPORT);
        w->node = fd_close(w->node);
        assert_int_equal(kill(w->keeper, SIGTERM), 0);
        assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
        w->keeper = 0;
}

/* -- the state -- */

static int check_blob(const void *data, size_t size, const char **ret_why) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };

        return keeper_state_parse(data, size, &state, ret_why);
}

static int run_check(const char *file) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                int fd = open(file, O_RDONLY);

                if (dup2(fd, STDIN_FILENO) < 0 || dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0)
                        _exit(126);
                (void) execl(keeper_program(), "architect-keeper", "--check", NULL);
                _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* This state was written by version 1. A keeper that cannot read it must not take over from version 1. */
static void test_version_1(void **state) {
        World *w = *state;
        _cleanup_(keeper_state_clear) KeeperState s = { 0 };
        const char *path = required_environment("KEEPER_STATE_V1"), *why = NULL;
        char *data, *again, *other = world_path(w, "state");
        uint32_t version;
        size_t size;
        struct stat st;
        autofd fd = -EBADF;

        assert_int_equal(file_read(AT_FDCWD, path, 65536, &data, &size), 0);
        assert_int_equal(keeper_state_parse(data, size, &s, &why), 0);
        assert_int_equal(s.self.pid, 4711);
        assert_int_equal(s.self.listen_fd, 3);
        assert_int_equal(s.self.node_fd, 7);
        assert_int_equal(s.self.asker_fd, -1);
        assert_int_equal(s.self.node_version, 2);
        assert_int_equal(s.self.nofile_current, 1024);
        assert_true(s.self.nofile_max == UINT64_MAX);
        assert_int_equal(s.self.generation, 12);
        assert_int_equal(s.n_children, 2);
        assert_string_equal(s.children[0].role, "camera");
        assert_int_equal(s.children[0].id, 5);
        assert_int_equal(s.children[0].pid, 4712);
        assert_int_equal(s.children[0].start_time, 123456);
        assert_int_equal(s.children[0].pidfd, 8);
        assert_int_equal(s.children[0].gate_fd, 9);
        assert_int_equal(s.children[0].stdin_fd, 10);
        assert_int_equal(s.children[0].release_fd, -1);
        assert_int_equal(s.children[0].flags, 0);
        assert_string_equal(s.children[1].role, "guider");
        assert_int_equal(s.children[1].flags,
                KEEPER_STATE_CHILD_EXITED | KEEPER_STATE_CHILD_EXECED | KEEPER_STATE_CHILD_TELL_EXIT);
        assert_int_equal(s.children[1].exit.wait_status, 42 << 8);
        assert_int_equal(s.children[1].exit.maxrss_bytes, 1048576);
        assert_int_equal(s.n_ports, 1);
        assert_int_equal(s.ports[0].port.number, 7624);
        assert_int_equal(s.ports[0].port.protocol, KEEPER_TCP);
        assert_int_equal(s.ports[0].child, 5);
        assert_int_equal(s.ports[0].fd, 11);
        assert_int_equal(s.ports[0].address.in6.sin6_family, AF_INET6);
        assert_int_equal(ntohs(s.ports[0].address.in6.sin6_port), 7624);
        assert_int_equal(s.n_stored, 1);
        assert_int_equal(s.stored[0].kind, 'p');
        assert_int_equal(s.stored[0].inode, 99);
        assert_int_equal(s.n_terminals, 1);
        assert_string_equal(s.terminals[0].role, "camera");
        assert_int_equal(s.terminals[0].child, 5);
        assert_int_equal(s.terminals[0].pid, 4714);
        assert_int_equal(s.terminals[0].master_fd, 14);
        assert_int_equal(s.terminals[0].output_fd, 17);

        /* It has nothing of version 2, so it is written in this form. */
        fd = keeper_state_write(&s);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, size);
        again = malloc(size);
        assert_int_equal(pread(fd, again, size, 0), size);
        assert_memory_equal(again, data, size);
        free(again);
        fd = fd_close(fd);

        /* A program of version 1 does not know the requests of version 3 of the protocol. */
        s.self.node_version = 3;
        fd = keeper_state_write(&s);
        assert_int_equal(pread(fd, &version, sizeof(version), 8), sizeof(version));
        assert_int_equal(version, 2);
        {
                _cleanup_(keeper_state_clear) KeeperState newer = { 0 };

                assert_int_equal(keeper_state_read(fd, &newer, &why), 0);
                assert_int_equal(newer.self.node_version, 3);
        }
        fd = fd_close(fd);
        s.self.node_version = 2;
        assert_int_equal(run_check(path), 0);

        /* Two children with the same number. A keeper with this state could not continue. */
        s.children[1].id = s.children[0].id;
        fd = keeper_state_write(&s);
        assert_true(fd >= 0);
        {
                _cleanup_(keeper_state_clear) KeeperState twins = { 0 };

                assert_int_equal(keeper_state_read(fd, &twins, &why), -EBADMSG);
                assert_non_null(strstr(why, "twice"));
        }
        assert_int_equal(close(fd), 0);

        /* A state that was cut off at any position, is too long, or is of a newer version is refused with a
         * reason. */
        for (size_t i = 0; i < size; i++) {
                why = NULL;
                assert_int_equal(check_blob(data, i, &why), -EBADMSG);
                assert_non_null(why);
        }
        data = realloc(data, size + 1);
        data[size] = 0;
        assert_int_equal(check_blob(data, size + 1, &why), -EBADMSG);
        data[8] = KEEPER_STATE_VERSION + 1;
        assert_int_equal(check_blob(data, size, &why), -EPROTONOSUPPORT);
        assert_non_null(strstr(why, "version"));
        world_write(w, "state", data, size, 0644);
        assert_int_equal(run_check(other), 1);
        data[8] = 1;
        data[16] = 77;
        assert_int_equal(check_blob(data, size, &why), -EPROTONOSUPPORT);
        assert_non_null(strstr(why, "section"));
        assert_int_equal(run_check("/dev/null"), 1);
        free(data);
        free(other);
}

/* If the keeper dies, a program of version 1 can still be the next one: what systemd has stored contains no
 * connection. */
static void test_stored(void **state) {
        const struct keeper_self self = { .pid = getpid(), .protocol_max = KEEPER_PROTOCOL_VERSION };
        _cleanup_(keeper_state_clear) KeeperState s = { 0 };
        const struct sockaddr_un any = { .sun_family = AF_UNIX };
        const char *why = NULL;
        uint32_t version = 0;
        Keeper k;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &any, sizeof(sa_family_t)), 0);
        assert_int_equal(keeper_init(&k, &self, fd), 0);
        k.welcomed = true;
        k.version = KEEPER_PROTOCOL_VERSION;

        autofd state_fd = keeper_write_state(&k);
        assert_true(state_fd >= 0);
        assert_int_equal(pread(state_fd, &version, sizeof(version), 8), sizeof(version));
        assert_int_equal(version, 1);
        assert_int_equal(keeper_state_read(state_fd, &s, &why), 0);
        assert_int_equal(s.self.node_version, 0);

        id_map_clear(&k.sockets.by_port);
        id_map_clear(&k.children_by_id);
        (void) fd_close(k.signal_fd);
        (void) fd_close(k.epoll_fd);
        (void) fd_close(k.listen_fd);
}

static int setup_previous_version(void **state) {
        int r = world_setup(state);
        World *w = *state;
        char *option;

        if (r < 0)
                return r;
        assert_true(asprintf(&option, "--socket=%s", w->socket) > 0);
        w->keeper = fork();
        if (w->keeper == 0) {
                (void) execl(keeper_program(), keeper_program(), option, "--protocol-max=2", NULL);
                _exit(127);
        }
        for (int i = 0; i < 2000 && w->node < 0; i++) {
                w->node = node_connect(w);
                (void) nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        }
        free(option);
        return w->node < 0 ? -1 : 0;
}

static int group_setup(void **state) {
        (void) required_environment("KEEPER_STATE_V1");
        return world_group_setup(state);
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
#define COPY(f) cmocka_unit_test_setup_teardown(f, setup_copy, world_teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_node_asks),
                CONNECTED(test_asked_on_the_side),
                CONNECTED(test_ports),
                CONNECTED(test_often),
                COPY(test_new_program),
                COPY(test_refused),
                COPY(test_hangs),
                COPY(test_node_goes),
                COPY(test_gone_after_check),
                cmocka_unit_test_setup_teardown(test_protocol_max, setup_previous_version, world_teardown),
                cmocka_unit_test_setup_teardown(test_version_1, world_setup, world_teardown),
                cmocka_unit_test(test_stored),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}

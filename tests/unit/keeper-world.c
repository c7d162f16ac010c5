/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"

#define PATIENCE_MSEC 60000

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
                             "alice:x:4711:4712:Alice:/home/alice:/bin/alice-sh\n"
                             "nobodys:x:4294967295:4712::/:/bin/sh\n"
                             "nogroup:x:4716:4294967295::/:/bin/sh\n"
                             "bare:x:4713:4713:::\n"; /* has neither a home directory nor a shell */
static const char groups[] = "root:x:0:\n"
                             "nogroup:x:65534:\n"
                             "alice:x:4712:\n"
                             "bare:x:4713:\n"
                             "scope:x:4714:bob,alice\n"
                             "dialout:x:4715:alice\n"
                             "other:x:4716:bob\n";
static const char nsswitch[] = "passwd: files\ngroup: files\n";

static void bind_file(int dir, const char *name, const char *text, const char *over) {
        char *path;

        assert_int_equal(file_replace(dir, name, text, strlen(text)), 0);
        assert_int_equal(fchmodat(dir, name, 0644, 0), 0);
        assert_true(asprintf(&path, "/run/%s", name) > 0);
        assert_int_equal(mount(path, over, NULL, MS_BIND, NULL), 0);
        free(path);
}

int world_group_setup(void **state) {
        autofd dir = -EBADF;

        (void) required_environment("ARCHITECT_KEEPER");
        (void) required_environment("ARCHITECT_TERMINAL");

        (void) alarm(540); /* a hang is a failure; a failure without the name of a test is better than none */

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0) {
                print_error("this test wants to be root: %s\n", strerror(errno));
                return -1;
        }

        dir = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bind_file(dir, "passwd", passwd, "/etc/passwd");
        bind_file(dir, "group", groups, "/etc/group");
        bind_file(dir, "nsswitch.conf", nsswitch, "/etc/nsswitch.conf");
        return 0;
}

/* -- observation from outside -- */

int count_process_fds(pid_t pid) {
        char path[64];
        int n = -2; /* . and .. */
        DIR *d;

        (void) snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        assert_int_equal(closedir(d), 0);
        return n;
}

/* How often the process has run. */
static unsigned long long process_switches(pid_t pid) {
        unsigned long long voluntary, involuntary;
        char path[64], *text, *p;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
        p = strstr(text, "\nvoluntary_ctxt_switches:");
        assert_non_null(p);
        assert_int_equal(sscanf(p, " voluntary_ctxt_switches: %llu nonvoluntary_ctxt_switches: %llu",
                                 &voluntary, &involuntary),
                2);
        free(text);
        return voluntary + involuntary;
}

static void msleep(unsigned msec) {
        (void) nanosleep(
                &(struct timespec){ .tv_sec = msec / 1000, .tv_nsec = (long) (msec % 1000) * 1000000 }, NULL);
}

void assert_at_rest(pid_t pid) {
        unsigned long long before, after = process_switches(pid);

        /* Pending operations may be completed first. */
        for (int i = 0; i < 100; i++) {
                before = after;
                msleep(50);
                after = process_switches(pid);
                if (before == after)
                        break;
        }

        before = process_switches(pid);
        msleep(300);
        after = process_switches(pid);
        assert_int_equal(before, after);
}

bool wait_for(bool (*condition)(void *), void *userdata) {
        for (int i = 0; i < PATIENCE_MSEC / 2; i++) {
                if (condition(userdata))
                        return true;
                msleep(2);
        }
        return false;
}

bool pidfd_is_dead(void *pidfd) {
        struct pollfd p = { .fd = *(int *) pidfd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

static void wait_readable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, PATIENCE_MSEC) != 1)
                fail_msg("nothing came for %d s", PATIENCE_MSEC / 1000);
}

/* -- connections -- */

static struct sockaddr_un address_of(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        assert_true(strlen(path) < sizeof(a.sun_path));
        memcpy(a.sun_path, path, strlen(path));
        return a;
}

int node_connect(const World *w) {
        struct sockaddr_un a = address_of(w->socket);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;

        /* The keeper reads SO_PEERCRED, which contains the identity at the time of the connect(). */
        assert_true(fd >= 0);
        if (w->uid != 0)
                assert_int_equal(seteuid(w->uid), 0);
        r = connect(fd, (struct sockaddr *) &a, sizeof(a));
        if (w->uid != 0)
                assert_int_equal(seteuid(0), 0);

        return r < 0 ? fd_close(fd) : fd;
}

void node_send(int fd, const void *data, size_t size) {
        int r = socket_send(fd, data, size, NULL, 0);

        if (r < 0)
                fail_msg("cannot send: %s", strerror(-r));
}

size_t node_receive(int fd, Packet *ret, int fds[static WORLD_FDS_MAX], size_t *ret_n_fds) {
        ssize_t n;

        *ret_n_fds = WORLD_FDS_MAX;
        wait_readable(fd);
        n = socket_recv(fd, ret, sizeof(*ret), fds, ret_n_fds);
        if (n == -ECONNRESET)
                return 0;
        if (n < 0)
                fail_msg("cannot receive: %s", strerror((int) -n));
        return (size_t) n;
}

void node_hello(int fd, uint32_t version_min, uint32_t version_max, Packet *ret) {
        const struct keeper_hello m = { { .type = KEEPER_HELLO }, version_min, version_max };
        int fds[WORLD_FDS_MAX];
        size_t n_fds;

        node_send(fd, &m, sizeof(m));
        assert_int_equal(node_receive(fd, ret, fds, &n_fds), sizeof(ret->welcome));
        assert_int_equal(n_fds, 0);
        assert_int_equal(ret->header.type, KEEPER_WELCOME);
        assert_int_equal(ret->header.child, 0);
}

uint32_t world_connect(World *w) {
        Packet p;

        assert_true(w->node < 0);
        w->node = node_connect(w);
        assert_true(w->node >= 0);
        w->n_exits = 0;
        node_hello(w->node, KEEPER_PROTOCOL_VERSION, KEEPER_PROTOCOL_VERSION, &p);
        assert_int_equal(p.welcome.error, 0);
        assert_int_equal(p.welcome.version, KEEPER_PROTOCOL_VERSION);
        return p.welcome.n_children;
}

void world_disconnect(World *w) {
        w->node = fd_close(w->node);
}

static struct keeper_exited *find_exit(World *w, uint64_t id) {
        for (size_t i = 0; i < w->n_exits; i++)
                if (w->exits[i].header.child == id)
                        return &w->exits[i];
        return NULL;
}

/* Receives the next message of this type about this child. Exits that arrive before are recorded; any other
 * message is an error. */
size_t world_receive(World *w, uint32_t type, uint64_t id, Packet *ret, int fds[static WORLD_FDS_MAX]) {
        for (;;) {
                size_t n_fds, n = node_receive(w->node, ret, fds, &n_fds);

                assert_true(n >= sizeof(ret->header));
                assert_int_equal(ret->header.reserved, 0);
                if (ret->header.type == KEEPER_EXITED) {
                        assert_int_equal(n, sizeof(ret->exited));
                        assert_int_equal(n_fds, 0);
                        if (find_exit(w, ret->header.child))
                                fail_msg("child %llu ended twice", (unsigned long long) ret->header.child);
                        assert_true(w->n_exits < ELEMENTSOF(w->exits));
                        w->exits[w->n_exits++] = ret->exited;
                        if (type == KEEPER_EXITED && ret->header.child == id)
                                return 0;
                        continue;
                }
                assert_int_equal(ret->header.type, type);
                assert_int_equal(ret->header.child, id);
                return n_fds;
        }
}

static int receive_done(World *w, uint32_t request, uint64_t id) {
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_int_equal(world_receive(w, KEEPER_DONE, id, &p, fds), 0);
        assert_int_equal(p.done.request, request);
        return p.done.error;
}

int world_request(World *w, uint32_t type, uint64_t id) {
        const struct keeper_header m = { .type = type, .child = id };

        node_send(w->node, &m, sizeof(m));
        return receive_done(w, type, id);
}

int world_signal(World *w, uint64_t id, int signo) {
        const struct keeper_signal m = { .header = { .type = KEEPER_SIGNAL, .child = id }, .signo = signo };

        node_send(w->node, &m, sizeof(m));
        return receive_done(w, KEEPER_SIGNAL, id);
}

/* -- roles -- */

int try_fork(World *w, uint64_t id, const char *role, uint32_t flags, Role *ret) {
        struct keeper_fork m = { .header = { .type = KEEPER_FORK, .child = id }, .flags = flags };
        uint32_t expected = KEEPER_FD_PIDFD | KEEPER_FD_GATE |
                            (flags & KEEPER_FORK_STDIN_PIPE ? KEEPER_FD_STDIN : 0) |
                            (flags & KEEPER_FORK_TERMINAL ? KEEPER_FD_TERMINAL | KEEPER_FD_MASTER : 0);
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        (void) snprintf(m.role, sizeof(m.role), "%s", role);
        node_send(w->node, &m, sizeof(m));
        n_fds = world_receive(w, KEEPER_FORKED, id, &p, fds);
        if (p.forked.error < 0) {
                assert_int_equal(n_fds, 0);
                assert_int_equal(p.forked.fds, 0);
                assert_int_equal(p.forked.pid, 0);
                return p.forked.error;
        }

        assert_int_equal(p.forked.error, 0);
        assert_int_equal(p.forked.fds, expected);
        assert_int_equal(n_fds, __builtin_popcount(expected));
        *ret = (Role){
                .id = id,
                .pid = p.forked.pid,
                .start_time = p.forked.start_time,
                .pidfd = fds[0],
                .gate = fds[1],
                .record = -EBADF,
                .stream = -EBADF,
                .stdin_fd = n_fds == 3 ? fds[2] : -EBADF,
                .terminal = n_fds == 4 ? fds[2] : -EBADF,
                .master = n_fds == 4 ? fds[3] : -EBADF,
        };
        return 0;
}

Role role_fork(World *w, uint32_t flags) {
        Role role;

        assert_int_equal(try_fork(w, ++w->last_id, "cam", flags, &role), 0);
        return role;
}

void role_open_with(Role *role, const LaunchRequest *q, int stream) {
        const struct gate_open m = { .magic = GATE_MAGIC, .version = LAUNCH_REQUEST_VERSION };
        autofd fd = launch_request_write(q);
        const int fds[] = { fd, stream };

        assert_true(fd >= 0);
        assert_int_equal(socket_send(role->gate, &m, sizeof(m), fds, stream >= 0 ? 2 : 1), 0);
}

void role_open(Role *role, const LaunchRequest *q) {
        role_open_with(role, q, -EBADF);
}

static bool is_at_gate(void *userdata) {
        const Role *role = userdata;
        char path[64], *text;
        bool named;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) role->pid);
        assert_int_equal(file_read(AT_FDCWD, path, 64, &text, NULL), 0);
        named = text[0] == '(';
        free(text);
        return named;
}

void role_wait_at_gate(Role *role) {
        assert_true(wait_for(is_at_gate, role));
}

/* Receives one packet, a report, a record, a stream or times. Returns its magic number, 0 at the end of the
 * gate. */
static uint32_t role_receive(Role *role) {
        union {
                struct gate_report report;
                struct gate_record record;
                struct gate_stream stream;
                struct gate_times times;
        } packet;
        int fds[1];
        size_t n_fds = ELEMENTSOF(fds);
        ssize_t n;

        wait_readable(role->gate);
        n = socket_recv(role->gate, &packet, sizeof(packet), fds, &n_fds);
        if (n == 0)
                return 0;
        assert_true(n >= (ssize_t) sizeof(packet.record));
        if (packet.record.magic == GATE_RECORD_MAGIC) {
                assert_int_equal(n, sizeof(packet.record));
                assert_int_equal(n_fds, 1);
                (void) fd_close(role->record);
                role->record = fds[0];
                return GATE_RECORD_MAGIC;
        }
        if (packet.stream.magic == GATE_STREAM_MAGIC) {
                assert_int_equal(n, sizeof(packet.stream));
                assert_int_equal(n_fds, 1);
                assert_true(role->stream < 0); /* only once */
                role->stream = fds[0];
                role->stream_uid = packet.stream.uid;
                return GATE_STREAM_MAGIC;
        }
        if (packet.times.magic == GATE_TIMES_MAGIC) {
                assert_int_equal(n, sizeof(packet.times));
                assert_int_equal(n_fds, 0);
                assert_int_equal(role->times.magic, 0); /* only once */
                role->times = packet.times;
                return GATE_TIMES_MAGIC;
        }
        assert_int_equal(n, sizeof(packet.report));
        assert_int_equal(n_fds, 0);
        assert_int_equal(packet.report.magic, GATE_MAGIC);
        assert_non_null(memchr(packet.report.text, '\0', sizeof(packet.report.text)));
        assert_non_null(launch_stage_to_string((LaunchStage) packet.report.stage));
        assert_true(packet.report.error < 0 || (packet.report.warning && packet.report.error == 0));
        assert_true(role->n_reports < ELEMENTSOF(role->reports));
        role->reports[role->n_reports++] = packet.report;
        return GATE_MAGIC;
}

void role_await_record(Role *role) {
        assert_int_equal(role_receive(role), GATE_RECORD_MAGIC);
}

void role_reply_recorded(Role *role) {
        const struct gate_recorded m = { .magic = GATE_RECORDED_MAGIC };

        assert_int_equal(socket_send(role->gate, &m, sizeof(m), NULL, 0), 0);
}

void role_listen(Role *role) {
        uint32_t magic;

        while ((magic = role_receive(role)) != 0)
                if (magic == GATE_RECORD_MAGIC)
                        role_reply_recorded(role);
        role->gate = fd_close(role->gate);
}

void role_close(Role *role) {
        role->pidfd = fd_close(role->pidfd);
        role->gate = fd_close(role->gate);
        role->stdin_fd = fd_close(role->stdin_fd);
        role->terminal = fd_close(role->terminal);
        role->master = fd_close(role->master);
        role->record = fd_close(role->record);
        role->stream = fd_close(role->stream);
}

Role role_start(World *w, uint32_t flags, const LaunchRequest *q) {
        Role role = role_fork(w, flags);

        role_open(&role, q);
        role_listen(&role);
        return role;
}

Role role_run(World *w, uint32_t flags, const LaunchRequest *q) {
        Role role = role_start(w, flags, q);

        if (role.n_reports > 0)
                fail_msg("%s", role.reports[0].text);
        return role;
}

struct keeper_exited role_ended(World *w, Role *role) {
        struct keeper_exited *e = find_exit(w, role->id);
        int fds[WORLD_FDS_MAX];
        Packet p;

        if (e)
                return *e;
        (void) world_receive(w, KEEPER_EXITED, role->id, &p, fds);
        return p.exited;
}

struct keeper_exited role_end(World *w, Role *role) {
        struct keeper_exited e = role_ended(w, role);

        assert_int_equal(world_request(w, KEEPER_REAP, role->id), 0);
        role_close(role);

        /* The number may be used again. */
        *find_exit(w, role->id) = w->exits[w->n_exits - 1];
        w->n_exits--;
        return e;
}

void assert_run(World *w, const LaunchRequest *q, int wait_status) {
        Role role = role_run(w, 0, q);
        struct keeper_exited e = role_end(w, &role);

        assert_int_equal(e.exit.wait_status, wait_status);
        assert_int_equal(e.execed, 1);
}

char *assert_fails(World *w, const LaunchRequest *q, LaunchStage stage, int error) {
        static char text[sizeof(((struct gate_report *) NULL)->text)];
        Role role = role_start(w, 0, q);
        struct keeper_exited e = role_end(w, &role);

        assert_int_equal(e.execed, 0);
        assert_int_equal(e.exit.wait_status, 255 << 8);
        assert_int_equal(role.n_reports, 1);
        if (role.reports[0].stage != (uint32_t) stage || role.reports[0].error != error)
                fail_msg("stage %u, error %d: %s", role.reports[0].stage, role.reports[0].error,
                        role.reports[0].text);
        assert_int_equal(role.reports[0].warning, 0);
        memcpy(text, role.reports[0].text, sizeof(text));
        return text;
}

/* -- the keeper and its world -- */

char *world_path(World *w, const char *name) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", w->dir, name) > 0);
        return path;
}

void world_write(World *w, const char *name, const void *data, size_t size, mode_t mode) {
        autofd dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(file_replace(dir, name, data, size), 0);
        assert_int_equal(fchmodat(dir, name, mode, 0), 0);
}

char *world_read(World *w, const char *name) {
        char *path = world_path(w, name), *text;

        if (file_read(AT_FDCWD, path, 16 * 1024 * 1024, &text, NULL) < 0)
                fail_msg("cannot read %s", path);
        free(path);
        return text;
}

static bool is_listening(void *userdata) {
        World *w = userdata;
        autofd fd = node_connect(w);

        return fd >= 0;
}

bool keeper_has_n_fds(void *userdata) {
        World *w = userdata;

        return count_process_fds(w->keeper) == w->n_fds;
}

const char *keeper_program(void) {
        return required_environment("ARCHITECT_KEEPER");
}

static void exec_keeper(World *w, const struct start *start, int listen_fd) {
        const char *path = start->copy ? world_path(w, "architect-keeper") : keeper_program();
        int log = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        /* The program is opened by root, because the user of the keeper may have no access to the directory
         * of the build. */
        int program = fcntl(open(path, O_RDONLY | O_CLOEXEC), F_DUPFD_CLOEXEC, 10);
        char *option, *terminal, *pid;

        if (program < 0 || log < 0 || dup2(log, STDERR_FILENO) < 0 ||
                asprintf(&option, "--socket=%s", w->socket) < 0 ||
                asprintf(&terminal, "--terminal=%s",
                        w->terminal ?: required_environment("ARCHITECT_TERMINAL")) < 0 ||
                asprintf(&pid, "%d", (int) getpid()) < 0)
                _exit(126);

        if (listen_fd >= 0) {
                if (dup2(listen_fd, 3) < 0 || (listen_fd == 3 && fd_cloexec(3, false) < 0))
                        _exit(126);
                (void) setenv("LISTEN_FDS", "1", 1);
                (void) setenv("LISTEN_PID", pid, 1);
        }
        if (start->before_exec)
                start->before_exec(w);
        if (start->uid != 0 && (setgroups(0, NULL) < 0 || setresgid(start->gid, start->gid, start->gid) < 0 ||
                                       setresuid(start->uid, start->uid, start->uid) < 0))
                _exit(126);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

        (void) fexecve(program,
                (char *[]){
                        (char *) path, listen_fd >= 0 ? (char *) "--instance=main" : option, terminal, NULL },
                environ);
        _exit(127);
}

static void copy_keeper(World *w) {
        char *text;
        size_t size;

        assert_int_equal(file_read(AT_FDCWD, keeper_program(), 64 * 1024 * 1024, &text, &size), 0);
        world_write(w, "architect-keeper", text, size, 0755);
        free(text);
}

void world_start(World *w, const struct start *start) {
        autofd listen_fd = -EBADF;

        if (start->copy)
                copy_keeper(w);

        if (start->inherit) {
                struct sockaddr_un a = address_of(w->socket);

                listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
                assert_int_equal(bind(listen_fd, (struct sockaddr *) &a, sizeof(a)), 0);
                assert_int_equal(listen(listen_fd, 16), 0);
        }

        if (start->uid != 0)
                assert_return_code(
                        chown(w->dir, start->uid, start->gid) | chown(w->run, start->uid, start->gid), 0);
        w->uid = start->uid;
        w->keeper = fork();
        if (w->keeper == 0)
                exec_keeper(w, start, listen_fd);
        assert_true(w->keeper > 0);

        /* Waits until a connection is accepted, and then until its end is noticed. After that the keeper is
         * idle. */
        assert_true(wait_for(is_listening, w));
        (void) world_connect(w);
        w->n_fds = count_process_fds(w->keeper) - 1;
        world_disconnect(w);
        assert_true(wait_for(keeper_has_n_fds, w));
        (void) world_connect(w);
}

void world_check(World *w) {
        if (w->node >= 0)
                world_disconnect(w);
        assert_int_equal(world_connect(w), 0); /* otherwise children were not reaped */
        world_disconnect(w);
        if (!wait_for(keeper_has_n_fds, w))
                fail_msg("the keeper had %d descriptors, now %d", w->n_fds, count_process_fds(w->keeper));
}

void world_stop(World *w) {
        int status;

        if (w->keeper <= 0)
                return;
        assert_int_equal(kill(w->keeper, SIGTERM), 0);
        assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
        assert_int_equal(status, SIGTERM); /* it was running until now */
        w->keeper = 0;
}

int world_setup(void **state) {
        World *w = calloc(1, sizeof(*w));

        w->dir = strdup("/tmp/architect-test-XXXXXX");
        if (!mkdtemp(w->dir) || chmod(w->dir, 0755) < 0)
                return -1;
        /* The sockets of terminals are in "architect-terminal" beside the directory of this one. */
        w->run = world_path(w, "keeper");
        if (mkdir(w->run, 0755) < 0)
                return -1;
        w->socket = world_path(w, "keeper/main");
        w->log = world_path(w, "log");
        w->node = -EBADF;
        *state = w;
        return 0;
}

int world_setup_connected(void **state) {
        int r = world_setup(state);

        if (r >= 0)
                world_start(*state, &(struct start){ 0 });
        return r;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

int world_teardown(void **state) {
        World *w = *state;
        char *log = NULL;
        int r = 0;

        if (w->keeper > 0) {
                world_check(w);
                world_stop(w);
        }
        if (!w->noisy && file_read(AT_FDCWD, w->log, 1024 * 1024, &log, NULL) >= 0 && *log) {
                print_error("the keeper said: %s\n", log);
                r = -1;
        }

        free(log);
        (void) nftw(w->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(w->dir);
        free(w->run);
        free(w->socket);
        free(w->log);
        free(w);
        return r;
}

/* -- notifications -- */

static int sender_send(const char *line, int fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        autofd s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char *text = strdup(line);

        for (char *p = text; *p; p++)
                if (*p == '|')
                        *p = '\n';
        if (!path || s < 0)
                _exit(90);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (connect(s, (struct sockaddr *) &address, sizeof(address)) < 0)
                _exit(91);
        int r = socket_send(s, text, strlen(text), &fd, fd >= 0 ? 1 : 0);
        free(text);
        return r;
}

static void sender_wait_read(void) {
        int ends[2];
        char byte;

        if (pipe2(ends, O_CLOEXEC) < 0 || sender_send("BARRIER=1", ends[1]) < 0)
                _exit(92);
        (void) close(ends[1]);
        if (read(ends[0], &byte, 1) != 0)
                _exit(93);
        (void) close(ends[0]);
}

static void sender_barrier(void) {
        sender_wait_read();
        (void) sender_send("STATUS=barrier", -EBADF);
}

/* A TCP socket that lingers, because its peer reads nothing of what waits to be sent. */
static int lingering_new(int port) {
        const struct sockaddr_in address = { .sin_family = AF_INET,
                .sin_port = htons((uint16_t) port),
                .sin_addr = { htonl(INADDR_LOOPBACK) } };
        const struct linger linger = { .l_onoff = 1, .l_linger = 2 };
        static char bytes[1 << 16];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
                _exit(95);
        while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        return fd;
}

static void sender_send_slow(int port) {
        autofd fd = lingering_new(port);

        if (sender_send("STATUS=slow", fd) < 0)
                _exit(96);
}

static void sender_send_quick(void) {
        autofd fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (sender_send("STATUS=quick", fd) < 0)
                _exit(97);
}

void sender_main(int argc, char *argv[]) {
        char line[8192];

        if (argc != 2 || strcmp(argv[1], "--sender") != 0)
                return;
        while (fgets(line, sizeof(line), stdin)) {
                line[strcspn(line, "\n")] = '\0';
                if (line[0] == 'm' && sender_send(line + 1, -EBADF) < 0)
                        _exit(94);
                if (line[0] == 'c') {
                        pid_t pid = fork();

                        if (pid == 0)
                                _exit(sender_send(line + 1, -EBADF) < 0 ? 1 : 0);
                        (void) waitpid(pid, NULL, 0);
                }
                for (int i = 0; line[0] == 'r' && i < atoi(line + 1); i++)
                        (void) sender_send("READY=1", -EBADF);
                if (line[0] == 'b')
                        sender_barrier();
                if (line[0] == 'w')
                        sender_wait_read();
                if (line[0] == 'f')
                        sender_send_quick();
                if (line[0] == 'k')
                        sender_send_slow(atoi(line + 1));
                if (line[0] == 's')
                        (void) raise(SIGSTOP);
                if (line[0] == 'x')
                        _exit(atoi(line + 1));
        }
        _exit(0);
}

Role sender_run(World *w, uint32_t flags) {
        static char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        assert_true(n > 0);
        self[n] = '\0';
        return role_run(w, flags | KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND(self, "--sender")));
}

void sender_do(const Role *role, const char *line) {
        assert_int_equal(write(role->stdin_fd, line, strlen(line)), strlen(line));
        assert_int_equal(write(role->stdin_fd, "\n", 1), 1);
}

static bool sender_is_stopped(void *userdata) {
        const Role *role = userdata;
        struct proc_stat stat;

        return proc_stat_read(role->pid, &stat) >= 0 && stat.state == 'T';
}

void sender_wait(Role *role) {
        sender_do(role, "s");
        assert_true(wait_for(sender_is_stopped, role));
        assert_int_equal(pidfd_kill(role->pidfd, SIGCONT), 0);
}

uint64_t expect_notified(World *w, const Role *role, NotifyKind kind, const char *text, uint64_t value) {
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_int_equal(world_receive(w, KEEPER_NOTIFIED, role->id, &p, fds), 0);
        assert_int_equal(p.notified.kind, kind);
        assert_string_equal(p.notified.text, text ? text : "");
        assert_true(p.notified.value == value);
        assert_true(p.notified.monotonic_usec > 0 && p.notified.monotonic_usec <= now_usec(CLOCK_MONOTONIC));
        return p.notified.number;
}

int take_notified(World *w, uint64_t id, uint64_t number) {
        const struct keeper_take_notified m = { .header = { .type = KEEPER_TAKE_NOTIFIED, .child = id },
                .number = number };

        node_send(w->node, &m, sizeof(m));
        return receive_done(w, KEEPER_TAKE_NOTIFIED, id);
}

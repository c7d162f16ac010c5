/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * An ordinary user, alice, tries everything that only root, or another user, may do: from outside, and as a
 * role that root has started as her, from inside its scope. Each line of the tables is a try and its expected
 * refusal. The program of the case is the attacker, too. Then she has polkit permit something else than it
 * was asked, by all races between the question and the answer. Afterwards nothing has changed. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <grp.h>
#include <unistd.h>

#include "net.h"
#include "polkit.h"
#include "testlib.h"

#define SECRET_NAME "CASE_SECRET"
#define DEFINED "hostile-user.defined"
#define SECRET "hostile-user-secret-4f1c"
#define INTERACTION_REQUIRED "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
/* Of systemd's own methods, depending on its version and the policy of the bus. */
#define REFUSED ACCESS_DENIED " " INTERACTION_REQUIRED
#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

/* -- the attacker -- */

/* What she knows: everything, but not the secret. A file of the test has it. */
typedef struct Attacker {
        GKeyFile *known;
        GDBusConnection *bus;
        bool inside; /* in the scope of a role */
        guint n_tries, n_possible;
} Attacker;

static char *known(const Attacker *a, const char *key) {
        return g_key_file_get_string(a->known, "known", key, NULL);
}

static int known_int(const Attacker *a, const char *key) {
        return g_key_file_get_integer(a->known, "known", key, NULL);
}

G_GNUC_PRINTF(4, 5)
static void tried(Attacker *a, bool refused, const char *got, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list args;

        a->n_tries++;
        if (refused)
                return;
        va_start(args, format);
        what = g_strdup_vprintf(format, args);
        va_end(args);
        a->n_possible++;
        g_print("POSSIBLE: %s: %s\n", what, got);
}

/* A negative errno, as expected, or one that no user ever gets. */
static void tried_errno(Attacker *a, int r, int expected, const char *what, const char *of) {
        tried(a, r == -expected, r < 0 ? strerrorname_np(-r) : "it succeeds", "%s of %s, expected %s", what,
                of, strerrorname_np(expected));
}

static int negative(long r) {
        return r < 0 ? -errno : 0;
}

/* -- processes of others -- */

typedef struct Target {
        const char *name;
        pid_t pid;
        int pidfd;
} Target;

static int try_ptrace_seize(const Target *t) {
        return negative(ptrace(PTRACE_SEIZE, t->pid, 0, 0));
}

static int try_ptrace_attach(const Target *t) {
        return negative(ptrace(PTRACE_ATTACH, t->pid, 0, 0));
}

static int try_getfd(const Target *t) {
        return negative(syscall(SYS_pidfd_getfd, t->pidfd, 0, 0));
}

static int try_kcmp(const Target *t) {
        return negative(syscall(SYS_kcmp, getpid(), t->pid, KCMP_FILE, 0, 0));
}

static int try_read_memory(const Target *t) {
        char byte;
        struct iovec local = { &byte, 1 }, remote = { &byte, 1 };

        return negative(process_vm_readv(t->pid, &local, 1, &remote, 1, 0));
}

static int try_write_memory(const Target *t) {
        char byte = 0;
        struct iovec local = { &byte, 1 }, remote = { &byte, 1 };

        return negative(process_vm_writev(t->pid, &local, 1, &remote, 1, 0));
}

static int try_move_pages(const Target *t) {
        return negative(syscall(SYS_migrate_pages, t->pid, 1, &(unsigned long){ 1 }, &(unsigned long){ 1 }));
}

static int try_kill_0(const Target *t) {
        return negative(kill(t->pid, 0));
}

static int try_kill_term(const Target *t) {
        return negative(kill(t->pid, SIGTERM));
}

static int try_kill_stop(const Target *t) {
        return negative(kill(t->pid, SIGSTOP));
}

static int try_kill_cont(const Target *t) {
        return negative(kill(t->pid, SIGCONT));
}

static int try_kill_hup(const Target *t) {
        return negative(kill(t->pid, SIGHUP));
}

static int try_kill_usr1(const Target *t) {
        return negative(kill(t->pid, SIGUSR1));
}

static int try_kill_group(const Target *t) {
        pid_t group = getpgid(t->pid);

        /* -1, the group of PID 1, stands for all processes of hers. */
        return group > 1 ? negative(kill(-group, SIGKILL)) : -EPERM;
}

static int try_pidfd_kill(const Target *t) {
        return negative(syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0));
}

static int try_queue_signal(const Target *t) {
        siginfo_t info = { .si_code = SI_QUEUE };

        return negative(syscall(SYS_rt_sigqueueinfo, t->pid, SIGTERM, &info));
}

static int try_nice(const Target *t) {
        return negative(setpriority(PRIO_PROCESS, (id_t) t->pid, 19));
}

static int try_scheduler(const Target *t) {
        return negative(sched_setscheduler(t->pid, SCHED_IDLE, &(struct sched_param){ 0 }));
}

static int try_affinity(const Target *t) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(0, &set);
        return negative(sched_setaffinity(t->pid, sizeof(set), &set));
}

static int try_ioprio(const Target *t) {
        return negative(
                syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, t->pid, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)));
}

static int try_limit(const Target *t) {
        return negative(prlimit(t->pid, RLIMIT_NOFILE, &(struct rlimit){ 3, 3 }, NULL));
}

static int try_robust_list(const Target *t) {
        void *head;
        size_t size;

        return negative(syscall(SYS_get_robust_list, t->pid, &head, &size));
}

static const struct {
        const char *what;
        int (*try)(const Target *t);
        int expected;
        bool own; /* also refused for the terminal of her own role */
} on_process[] = {
        { "ptrace(SEIZE)", try_ptrace_seize, EPERM, true },
        { "ptrace(ATTACH)", try_ptrace_attach, EPERM, true },
        { "pidfd_getfd", try_getfd, EPERM, true },
        { "kcmp", try_kcmp, EPERM, true },
        { "process_vm_readv", try_read_memory, EPERM, true },
        { "process_vm_writev", try_write_memory, EPERM, true },
        { "migrate_pages", try_move_pages, EPERM, true },
        { "get_robust_list", try_robust_list, EPERM, true },
        { "kill(0)", try_kill_0, EPERM, false },
        { "kill(SIGTERM)", try_kill_term, EPERM, false },
        { "kill(SIGSTOP)", try_kill_stop, EPERM, false },
        { "kill(SIGCONT)", try_kill_cont, EPERM, false },
        { "kill(SIGHUP)", try_kill_hup, EPERM, false },
        { "kill(SIGUSR1)", try_kill_usr1, EPERM, false },
        { "kill of the process group", try_kill_group, EPERM, false },
        { "pidfd_send_signal(SIGKILL)", try_pidfd_kill, EPERM, false },
        { "rt_sigqueueinfo", try_queue_signal, EPERM, false },
        { "setpriority", try_nice, EPERM, false },
        { "sched_setscheduler", try_scheduler, EPERM, false },
        { "sched_setaffinity", try_affinity, EPERM, false },
        { "ioprio_set", try_ioprio, EPERM, false },
        { "prlimit", try_limit, EPERM, false },
};

/* -- files -- */

static int try_read(const char *path) {
        return negative(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

static int try_write(const char *path) {
        return negative(open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK));
}

static int try_create(const char *path) {
        return negative(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}

static int try_list(const char *path) {
        return negative(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_link(const char *path) {
        char target[PATH_MAX];

        return negative(readlink(path, target, sizeof(target)));
}

static int try_unlink(const char *path) {
        return negative(unlink(path));
}

static int try_rename(const char *path) {
        g_autofree char *to = g_strconcat(path, ".old", NULL);

        return negative(rename(path, to));
}

static int try_mkdir(const char *path) {
        return negative(mkdir(path, 0755));
}

static int connect_type(const char *path, int type) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        r = negative(connect(fd, (const void *) &address, sizeof(address)));
        (void) close(fd);
        return r;
}

static int try_connect(const char *path) {
        return connect_type(path, SOCK_STREAM);
}

static int try_connect_packets(const char *path) {
        return connect_type(path, SOCK_SEQPACKET);
}

/* Below the directory of a process. */
static const struct {
        const char *file;
        const char *what;
        int (*try)(const char *path);
} of_process[] = {
        { "fd", "list", try_list },
        { "fdinfo", "list", try_list },
        { "fd/0", "readlink", try_link },
        { "fd/0", "read", try_read },
        { "fd/1", "write", try_write },
        { "fd/3", "write", try_write },
        { "mem", "read", try_read },
        { "mem", "write", try_write },
        { "environ", "read", try_read },
        { "auxv", "read", try_read },
        { "maps", "read", try_read },
        { "syscall", "read", try_read },
        { "stack", "read", try_read },
        { "io", "read", try_read },
        { "exe", "readlink", try_link },
        { "cwd", "readlink", try_link },
        { "root", "readlink", try_link },
        { "ns/mnt", "readlink", try_link },
        { "ns/mnt", "read", try_read },
        { "clear_refs", "write", try_write },
        { "oom_score_adj", "write", try_write },
        { "coredump_filter", "write", try_write },
        { "comm", "write", try_write },
};

/* "%" stands for a value of the file of the test. */
static const struct {
        const char *path;
        const char *what;
        int (*try)(const char *path);
        int expected;
} on_file[] = {
        /* the keeper */
        { "/run/architect-keeper", "list", try_list, EACCES },
        { "/run/architect-keeper/main", "connect", try_connect_packets, EACCES },
        { "/run/architect-keeper/main", "unlink", try_unlink, EACCES },
        { "/run/architect-keeper/other", "create", try_create, EACCES },
        { "/run/architect-keeper", "rename", try_rename, EACCES },
        /* what the node saves */
        { "/run/architect-node/main", "list", try_list, EACCES },
        { "/run/architect-node/main/%saved", "read", try_read, EACCES },
        { "/run/architect-node/main/%saved", "write", try_write, EACCES },
        { "/run/architect-node/main/%saved", "unlink", try_unlink, EACCES },
        { "/run/architect-node/main/x", "create", try_create, EACCES },
        { "/run/architect-node/x", "create", try_create, EACCES },
        { "/run/architect-node/main", "rename", try_rename, EACCES },
        /* terminals */
        { "%socket", "connect", try_connect, EACCES },
        { "%socket", "unlink", try_unlink, EACCES },
        { "%socket", "rename", try_rename, EACCES },
        { "/run/architect-terminal/main/1.1001", "create", try_create, EACCES },
        { "/run/architect-terminal/x", "create", try_create, EACCES },
        { "/run/architect-terminal/main", "rename", try_rename, EACCES },
        /* notifications */
        { "/run/architect-notify/main", "list", try_list, EACCES },
        { "/run/architect-notify/main/x", "create", try_create, EACCES },
        { "/run/architect-notify/x", "create", try_create, EACCES },
        { "/run/architect-notify/main", "rename", try_rename, EACCES },
        { "%tty", "read", try_read, EACCES },
        { "%tty", "write", try_write, EACCES },
        { "%tty-of-bob", "read", try_read, EACCES },
        { "%tty-of-bob", "write", try_write, EACCES },
        /* cgroups */
        { "%scope/cgroup.procs", "write", try_write, EACCES },
        { "%scope/cgroup.threads", "write", try_write, EACCES },
        { "%scope/cgroup.freeze", "write", try_write, EACCES },
        { "%scope/cgroup.kill", "write", try_write, EACCES },
        { "%scope/cgroup.subtree_control", "write", try_write, EACCES },
        { "%scope/x", "mkdir", try_mkdir, EACCES },
        { "%slice/cgroup.procs", "write", try_write, EACCES },
        { "%slice/cgroup.freeze", "write", try_write, EACCES },
        { "%slice/cgroup.kill", "write", try_write, EACCES },
        { "%slice/architect-main-x.scope", "mkdir", try_mkdir, EACCES },
        { "%node-cgroup/cgroup.procs", "write", try_write, EACCES },
        { "%node-cgroup/cgroup.freeze", "write", try_write, EACCES },
        { "%keeper-cgroup/cgroup.procs", "write", try_write, EACCES },
        { "%keeper-cgroup/cgroup.kill", "write", try_write, EACCES },
        /* what root configures */
        { "/etc/architect-node/main.conf", "create", try_create, EACCES },
        { "/etc/architect-node/x", "mkdir", try_mkdir, EACCES },
        { "/etc/systemd/system/architect-node.service", "create", try_create, EACCES },
        { "/run/systemd/system/architect-node.service.d", "mkdir", try_mkdir, EACCES },
        { "/etc/polkit-1/rules.d/x.rules", "create", try_create, EACCES },
        { "/usr/share/polkit-1/actions/org.architect.node.policy", "write", try_write, EACCES },
        { "/usr/share/dbus-1/system.d/org.architect.Node.conf", "write", try_write, EACCES },
        { "/run/systemd/transient/x.scope", "create", try_create, EACCES },
        { "/run/systemd/private", "connect", try_connect, EACCES },
};

/* -- the bus -- */

/* Returns the reply, or NULL if there was an error. None of the errors is expected that has a reply. */
static GVariant *call(Attacker *a, const char *name, const char *path, const char *interface,
        const char *method, GVariant *args, char **ret_error) {
        g_autoptr(GError) error = NULL;
        GVariant *reply = g_dbus_connection_call_sync(
                a->bus, name, path, interface, method, args, NULL, 0, 30000, NULL, &error);

        *ret_error = error ? g_dbus_error_get_remote_error(error) ?: g_strdup(error->message) : NULL;
        return reply;
}

/* Each of the expected errors is one word. */
static void try_call(Attacker *a, const char *name, const char *path, const char *interface,
        const char *method, const char *args, const char *expected) {
        g_autofree char *got = NULL;
        g_autoptr(GVariant) reply = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) errors = g_strsplit(expected, " ", -1);
        GVariant *parsed = g_variant_parse(NULL, args, NULL, NULL, &error);

        if (!parsed) {
                tried(a, false, error->message, "the arguments %s", args);
                return;
        }
        reply = call(a, name, path, interface, method, parsed, &got);
        tried(a, got && g_strv_contains((const char *const *) errors, got), got ?: "it succeeds",
                "%s.%s%s on %s, expected %s", interface, method, args, path, expected);
}

/* R is the role. The second form is for its object. */
static const struct {
        const char *method;
        const char *on_node;
        const char *on_role; /* NULL if it has no such method */
} on_role[] = {
        { "Start", "(R, ['/bin/true'], @a{sv} {})", NULL },
        { "Stop", "(R,)", "()" },
        { "Kill", "(R,)", "()" },
        { "Signal", "(R, 'main', 9)", "('main', 9)" },
        { "Signal", "(R, 'all', 19)", "('all', 19)" },
        { "Freeze", "(R,)", "()" },
        { "Thaw", "(R,)", "()" },
        { "SendInput", "(R, 'x')", "('x',)" },
        { "WriteInput", "(R, [byte 0x78])", "([byte 0x78],)" },
        { "CloseInput", "(R,)", "()" },
        { "OpenTerminal", "(R, @a{sv} {})", "(@a{sv} {},)" },
        { "OpenTerminalSocket", "(R, @a{sv} {})", "(@a{sv} {},)" },
        { "ResizeTerminal", "(R, uint16 24, uint16 80)", "(uint16 24, uint16 80)" },
        { "Purge", "([R],)", "()" },
        { "SignalWithOptions", "(R, 'main', 9, {'force': <true>})", NULL },
        { "FreezeWithOptions", "(R, {'force': <true>})", NULL },
        { "ThawWithOptions", "(R, {'lease': <'x'>})", NULL },
        { "WriteInputWithOptions", "(R, [byte 0x78], {'force': <true>})", NULL },
        { "CloseInputWithOptions", "(R, {'force': <true>})", NULL },
        { "ResizeTerminalWithOptions", "(R, uint16 24, uint16 80, {'force': <true>})", NULL },
        { "PurgeWithOptions", "([R], {'force': <true>})", NULL },
};

static const struct {
        const char *name; /* NULL for the node */
        const char *path;
        const char *interface;
        const char *method;
        const char *args; /* with the values of the file of the test */
        const char *expected;
} on_bus[] = {
        /* the node; that she may start nothing stays so until polkit permits it */
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', ['/bin/true'], @a{sv} {})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', ['/bin/true'], {'user': <'root'>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', ['/bin/true'], {'user': <'bob'>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'user': <'0'>, 'group': <'0'>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', ['/bin/true'], {'group': <'root'>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'tcp-ports': <[uint16 %tcp]>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'release-ports': <[uint16 %tcp, uint16 %udp]>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'output': <'file:/etc/passwd'>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', ['/bin/true'], {'nice': <-20>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'environment-file': <['/etc/shadow']>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('hostile-user.x', @as [], @a{sv} {})",
                "org.architect.Node.Error.NoSuchDefinition" },
        /* what root has defined: neither as it is, nor changed, nor another command under its name */
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('" DEFINED "', @as [], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('" DEFINED "', @as [], {'user': <'alice'>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start", "('" DEFINED "', ['/bin/true'], @a{sv} {})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'requires': <['" DEFINED "']>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "StartMany", "(['" DEFINED "'], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "StartMany", "(['@night'], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "StopMany", "(@as [], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "StopMany", "(['hostile-user.root'], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "KillMany", "(@as [], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "KillMany", "(['hostile-user.root'], @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Purge", "(@as [],)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "GetEnv", "('" SECRET_NAME "',)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ListEnv", "()", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "SetEnv", "('LD_PRELOAD', '/tmp/x.so')", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "UnsetEnv", "('" SECRET_NAME "',)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BindTCP", "(uint32 1,)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BindUDP", "(uint32 1,)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BindPorts", "('tcp', @a{sv} {})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BindPorts", "('tcp', {'ports': <[uint16 %tcp]>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BindPorts", "('udp', {'range': <(uint16 1, uint16 1023)>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ReleaseTCP", "([uint16 %tcp],)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ReleaseTCP", "([uint16 %tcp-lent],)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ReleaseUDP", "([uint16 %udp],)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ReleaseUDP", "([uint16 %udp-lent],)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Beat", "()", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "SetMonitorTimeout", "(uint64 1,)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "AcquireLease",
                "('hostile', uint64 18446744073709551615, uint64 1)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "BeatLease", "('hostile', uint64 1, uint64 1)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "ReleaseLease", "('hostile', uint64 1)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Start",
                "('hostile-user.x', ['/bin/true'], {'lease': <'hostile'>, 'fencing-token': <uint64 1>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "StopMany", "(['hostile-user.root'], {'force': <true>})",
                ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "KillMany",
                "(@as [], {'lease': <'hostile'>, 'fencing-token': <uint64 1>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "PurgeWithOptions", "(@as [], {'force': <true>})", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "SetLogLevel", "('debug',)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "SetLogToSve", "(true,)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Shutdown", "('because I can',)", ACCESS_DENIED },
        { NULL, NODE_PATH, NODE_INTERFACE, "Reload", "()", ACCESS_DENIED },
        { NULL, "/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Set",
                "('org.freedesktop.LogControl1', 'LogLevel', <'debug'>)", ACCESS_DENIED },
        { NULL, NODE_PATH, "org.freedesktop.DBus.Properties", "Set",
                "('org.architect.Node', 'LogLevel', <'debug'>)", ACCESS_DENIED },
        /* names, and the messages of others */
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('" NODE_NAME "', uint32 7)", ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('" NODE_NAME ".x', uint32 7)", ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('" NODE_NAME "Instances', uint32 7)",
                ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('" SYSTEMD_NAME "', uint32 7)", ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('org.freedesktop.login1', uint32 7)",
                ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, BUS_NAME, "RequestName", "('org.freedesktop.PolicyKit1', uint32 7)",
                ACCESS_DENIED },
        { BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Monitoring", "BecomeMonitor", "(@as [], uint32 0)",
                ACCESS_DENIED },
        /* systemd, for the units of the node */
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", "('" NODE_UNIT "', 'replace')", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "RestartUnit", "('" KEEPER_UNIT "', 'replace')",
                REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "ReloadUnit", "('" KEEPER_UNIT "', 'replace')",
                REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "KillUnit", "('" NODE_UNIT "', 'all', 9)", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", "('%scope-unit', 'replace')", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "KillUnit", "('%scope-unit', 'all', 9)", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "FreezeUnit", "('%scope-unit',)", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "SetUnitProperties",
                "('%scope-unit', true, [('Description', <'x'>)])", REFUSED },
        /* "Process migration not available on non-delegated units" */
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "AttachProcessesToUnit",
                "('%scope-unit', '', [uint32 %self])", INVALID_ARGS },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit",
                "('architect-main-hostile-user.x.scope', 'fail', [('PIDs', <[uint32 %self]>), ('Slice', <'" NODE_SLICE
                "'>)], @a(sa(sv)) [])",
                REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", "('" NODE_SLICE "', 'replace')", REFUSED },
        { SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "SetEnvironment", "(['LD_PRELOAD=/tmp/x.so'],)",
                REFUSED },
        { SYSTEMD_NAME, "%scope-path", "org.freedesktop.systemd1.Scope", "Abandon", "()", REFUSED },
};

/* Whatever she may read. */
static const struct {
        const char *path;
        const char *interface;
        const char *method;
        const char *args;
} readable[] = {
        { NODE_PATH, "org.freedesktop.DBus.Properties", "GetAll", "('" NODE_INTERFACE "',)" },
        { NODE_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "()" },
        { NODE_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", "()" },
        { "%object", "org.freedesktop.DBus.Properties", "GetAll", "('" ROLE_INTERFACE "',)" },
        { "%object", "org.freedesktop.DBus.Introspectable", "Introspect", "()" },
        { NODE_PATH, NODE_INTERFACE, "EventsSince", "('', uint64 0, uint32 0)" },
        { NODE_PATH, NODE_INTERFACE, "Poll", "(@as [],)" },
        { NODE_PATH, NODE_INTERFACE, "ListRoles", "()" },
        { NODE_PATH, NODE_INTERFACE, "ListPorts", "()" },
        { NODE_PATH, NODE_INTERFACE, "ListLeases", "()" },
        { NODE_PATH, NODE_INTERFACE, "ListManaged", "()" },
        { NODE_PATH, NODE_INTERFACE, "GetPermissions", "('', @a{sv} {})" },
        { NODE_PATH, NODE_INTERFACE, "GetPgrp", "()" },
};

/* Replaces each "%key" by its value. */
static char *fill_in(const Attacker *a, const char *text) {
        g_autoptr(GString) s = g_string_new(NULL);

        while (*text) {
                if (*text != '%') {
                        g_string_append_c(s, *text++);
                        continue;
                }
                size_t n = strspn(++text, "abcdefghijklmnopqrstuvwxyz-");
                g_autofree char *key = g_strndup(text, n), *value = known(a, key);

                g_string_append(s, value ?: "(unknown)");
                text += n;
        }
        return g_string_free(g_steal_pointer(&s), false);
}

static void attack_processes(Attacker *a) {
        g_autofree char *list = known(a, "targets");
        g_auto(GStrv) names = g_strsplit(list, " ", -1);

        for (char **name = names; *name; name++) {
                Target t = { .name = *name, .pid = known_int(a, *name) };
                bool own = g_str_equal(*name, "own-terminal");

                t.pidfd = (int) syscall(SYS_pidfd_open, t.pid, 0);
                if (t.pid <= 0 || t.pidfd < 0) {
                        tried(a, false, "there is no such process", "%s", *name);
                        continue;
                }
                for (size_t i = 0; i < G_N_ELEMENTS(on_process); i++)
                        if (!own || on_process[i].own)
                                tried_errno(a, on_process[i].try(&t), on_process[i].expected,
                                        on_process[i].what, *name);
                for (size_t i = 0; i < G_N_ELEMENTS(of_process); i++) {
                        g_autofree char *path =
                                g_strdup_printf("/proc/%d/%s", (int) t.pid, of_process[i].file);

                        tried_errno(a, of_process[i].try(path), EACCES, of_process[i].what, path);
                }
                (void) close(t.pidfd);
        }
}

static void attack_files(Attacker *a) {
        for (size_t i = 0; i < G_N_ELEMENTS(on_file); i++) {
                g_autofree char *path = fill_in(a, on_file[i].path);

                tried_errno(a, on_file[i].try(path), on_file[i].expected, on_file[i].what, path);
        }
}

static void attack_roles(Attacker *a) {
        g_autofree char *list = known(a, "roles");
        g_auto(GStrv) roles = g_strsplit(list, " ", -1);

        for (char **role = roles; *role; role++) {
                g_autofree char *object = role_path(*role), *quoted = g_strdup_printf("'%s'", *role);

                for (size_t i = 0; i < G_N_ELEMENTS(on_role); i++) {
                        g_auto(GStrv) parts = g_strsplit(on_role[i].on_node, "R", -1);
                        g_autofree char *args = g_strjoinv(quoted, parts);

                        try_call(a, NODE_NAME, NODE_PATH, NODE_INTERFACE, on_role[i].method, args,
                                ACCESS_DENIED);
                        if (on_role[i].on_role)
                                try_call(a, NODE_NAME, object, ROLE_INTERFACE, on_role[i].method,
                                        on_role[i].on_role, ACCESS_DENIED);
                }
        }
}

static void attack_bus(Attacker *a) {
        for (size_t i = 0; i < G_N_ELEMENTS(on_bus); i++) {
                g_autofree char *args = fill_in(a, on_bus[i].args), *path = fill_in(a, on_bus[i].path);

                try_call(a, on_bus[i].name ?: NODE_NAME, path, on_bus[i].interface, on_bus[i].method, args,
                        on_bus[i].expected);
        }
}

/* After all the calls before, the node may have no time left for this user, which comes again. */
static GVariant *call_readable(Attacker *a, size_t i, const char *path, char **ret_error) {
        GVariant *reply;

        for (gint64 end = g_get_monotonic_time() + patience_usec();; g_usleep(50000)) {
                *ret_error = NULL;
                reply = call(a, NODE_NAME, path, readable[i].interface, readable[i].method,
                        g_variant_new_parsed(readable[i].args), ret_error);
                if (reply || !g_str_has_suffix(*ret_error, ".LimitReached") || g_get_monotonic_time() > end)
                        return reply;
                g_free(*ret_error);
        }
}

static void attack_secret(Attacker *a) {
        for (size_t i = 0; i < G_N_ELEMENTS(readable); i++) {
                g_autofree char *path = fill_in(a, readable[i].path), *error = NULL, *text = NULL;
                g_autoptr(GVariant) reply = call_readable(a, i, path, &error);

                text = reply ? g_variant_print(reply, false) : NULL;
                tried(a, text && !strstr(text, SECRET), text ? "it has the secret" : error,
                        "%s on %s, expected no secret", readable[i].method, path);
        }
}

static void attack_ports(Attacker *a) {
        static const struct {
                const char *key;
                int type;
        } ports[] = { { "tcp", SOCK_STREAM }, { "tcp-lent", SOCK_STREAM }, { "tcp-had", SOCK_STREAM },
                { "udp", SOCK_DGRAM }, { "udp-lent", SOCK_DGRAM } };

        for (size_t i = 0; i < G_N_ELEMENTS(ports); i++)
                for (size_t place = 0; place < N_PLACES; place++)
                        for (unsigned options = 0; options < 4; options++)
                                tried(a,
                                        !steal(ports[i].type, (uint16_t) known_int(a, ports[i].key), place,
                                                options),
                                        "she has it", "bind to %s, place %zu, options %u", ports[i].key,
                                        place, options);
}

/* These have no reply. Whoever believed one of them would show it: the test looks. */
static void attack_signals(Attacker *a) {
        g_autofree char *node = known(a, "node-name"), *scope = known(a, "scope-unit"),
                        *scope_path = known(a, "scope-path");
        const char *to[] = { NODE_NAME, node, NULL };
        const struct {
                const char *path, *interface, *member;
                GVariant *args;
        } signals[] = {
                { SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
                        g_variant_new("(uoss)", 1, SYSTEMD_PATH "/job/1", scope, "done") },
                { SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitRemoved", g_variant_new("(so)", scope, scope_path) },
                { SYSTEMD_PATH, SYSTEMD_MANAGER, "Reloading", g_variant_new("(b)", true) },
                { scope_path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                        g_variant_new_parsed(
                                "('org.freedesktop.systemd1.Scope', {'Result': <'oom-kill'>}, @as [])") },
                { scope_path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                        g_variant_new_parsed(
                                "('org.freedesktop.systemd1.Unit', {'ActiveState': <'failed'>}, @as [])") },
                { scope_path, "org.freedesktop.systemd1.Scope", "RequestStop", NULL },
                { BUS_PATH, BUS_NAME, "NameOwnerChanged",
                        g_variant_new("(sss)", "org.freedesktop.PolicyKit1", "",
                                g_dbus_connection_get_unique_name(a->bus)) },
                { BUS_PATH, BUS_NAME, "NameOwnerChanged", g_variant_new("(sss)", NODE_NAME, node, "") },
                { BUS_PATH, BUS_NAME, "NameLost", g_variant_new("(s)", NODE_NAME) },
                { "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForShutdown",
                        g_variant_new("(b)", true) },
                { "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "Changed",
                        NULL },
                { "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                g_autoptr(GVariant) args = signals[i].args ? g_variant_ref_sink(signals[i].args) : NULL;

                /* The bus ends a connection that pretends this one. */
                if (strstr(signals[i].path, "Local"))
                        continue;
                for (size_t j = 0; j < G_N_ELEMENTS(to); j++)
                        (void) g_dbus_connection_emit_signal(a->bus, to[j], signals[i].path,
                                signals[i].interface, signals[i].member, args, NULL);
        }
        (void) g_dbus_connection_flush_sync(a->bus, NULL, NULL);
}

/* Everybody may write to the socket of PID 1, which finds out whose message it is. */
static void attack_notify(Attacker *a) {
        static const char *const messages[] = {
                "STATUS=hostile",
                "READY=1\nSTATUS=hostile",
                "MAINPID=1\nSTATUS=hostile",
                "STOPPING=1\nSTATUS=hostile",
                "RELOADING=1\nSTATUS=hostile",
                "WATCHDOG=trigger",
                "WATCHDOG_USEC=1",
                "BUSERROR=x\nERRNO=5",
                "FDSTOREREMOVE=1\nFDNAME=state",
                "BARRIER=1",
        };
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/notify" };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
                (void) sendto(
                        fd, messages[i], strlen(messages[i]), 0, (const void *) &address, sizeof(address));
        a->n_tries += G_N_ELEMENTS(messages);
        (void) close(fd);
}

static int raise_limit(void) {
        struct rlimit limit;

        (void) getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_max++;
        return negative(setrlimit(RLIMIT_NOFILE, &limit));
}

/* A user namespace of her own, if the machine has them, changes nothing about the cgroups of others. */
static int leave_by_namespace(const char *procs) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (unshare(CLONE_NEWUSER) >= 0)
                        (void) unshare(CLONE_NEWCGROUP | CLONE_NEWNS);
                _exit(open(procs, O_WRONLY | O_CLOEXEC) < 0 ? errno : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                return -ECHILD;
        return -WEXITSTATUS(status);
}

/* What she has is no more than what her login gives. */
static void attack_rights(Attacker *a) {
        g_autofree char *slice = fill_in(a, "%slice/cgroup.procs"), *self = NULL, *own = NULL;
        const gid_t root = 0;
        g_autofree char *init = g_strdup("/proc/1/ns/mnt");

        tried_errno(a, negative(setresuid(0, 0, 0)), EPERM, "setresuid(0)", "itself");
        tried_errno(a, negative(setresgid(0, 0, 0)), EPERM, "setresgid(0)", "itself");
        tried_errno(a, negative(setgroups(1, &root)), EPERM, "setgroups(root)", "itself");
        tried_errno(a, negative(setpriority(PRIO_PROCESS, 0, -20)), EACCES, "setpriority(-20)", "itself");
        tried_errno(a, raise_limit(), EPERM, "a higher limit", "itself");
        tried_errno(a, negative(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 })), EPERM,
                "SCHED_FIFO", "itself");
        tried_errno(a,
                negative(syscall(
                        SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0))),
                EPERM, "IOPRIO_CLASS_RT", "itself");
        tried_errno(a, negative(chroot("/")), EPERM, "chroot", "itself");
        tried_errno(a, negative(mount("none", "/tmp", "tmpfs", 0, NULL)), EPERM, "mount", "/tmp");
        tried_errno(a, negative(unshare(CLONE_NEWNS)), EPERM, "unshare(CLONE_NEWNS)", "itself");
        tried_errno(a, try_read(init), EACCES, "the namespace", "PID 1");
        tried_errno(a, leave_by_namespace(slice), EACCES, "cgroup.procs", "its slice, in a user namespace");
        if (!a->inside)
                return;

        /* The cgroup of the role. */
        self = process_cgroup(getpid());
        for (size_t i = 0; i < 4; i++) {
                static const char *const files[] = { "cgroup.procs", "cgroup.freeze", "cgroup.kill",
                        "cgroup.subtree_control" };
                g_autofree char *path = cgroup_file(self, files[i]);

                tried_errno(a, try_write(path), EACCES, "write", path);
        }
        own = cgroup_file(self, "below");
        tried_errno(a, try_mkdir(own), EACCES, "mkdir", own);
}

/* A role gets its input, its output, and nothing else. */
static void attack_descriptors(Attacker *a) {
        for (int fd = 3; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0) {
                        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd),
                                        *target = g_file_read_link(path, NULL);

                        tried(a, false, target, "descriptor %d of the role", fd);
                }
        a->n_tries++;
}

static int attack(const char *file, const char *where) {
        Attacker a = { .known = g_key_file_new(), .inside = g_str_equal(where, "inside") };
        g_autofree char *self = g_strdup_printf("%d", (int) getpid());
        g_autoptr(GError) error = NULL;

        if (a.inside)
                attack_descriptors(&a);
        if (!g_key_file_load_from_file(a.known, file, 0, &error) ||
                !(a.bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error))) {
                g_print("%s\n", error->message);
                return EXIT_FAILURE;
        }
        if (getuid() == 0) {
                g_print("root may do everything\n");
                return EXIT_FAILURE;
        }
        g_key_file_set_string(a.known, "known", "self", self);
        attack_processes(&a);
        attack_files(&a);
        attack_roles(&a);
        attack_bus(&a);
        attack_secret(&a);
        attack_ports(&a);
        attack_rights(&a);
        attack_signals(&a);
        attack_notify(&a);
        g_print("%u tries, %u possible\n", a.n_tries, a.n_possible);
        return a.n_possible > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* -- what must not change -- */

typedef struct Victims {
        const char *roots, *bobs, *bobs_terminal, *serves, *ended;
        const char *known_file;
        uint16_t tcp[3], udp[2]; /* reserved, lent, and one that a role has had */
        pid_t node, keeper, roots_pid, bobs_pid, bobs_terminal_pid, serves_pid;
        char *environment, *ports;
        char *since; /* for journal() */
        GKeyFile *known;
} Victims;

static char *show(const char *unit, const char *property) {
        g_autofree char *option = g_strconcat("--property=", property, NULL);

        return g_strstrip(run_ok("systemctl", "show", "--value", option, unit, NULL));
}

static char *environment_of(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListEnv", NULL);

        return g_variant_print(reply, false);
}

static void tell_int(Victims *v, const char *key, int value) {
        g_key_file_set_integer(v->known, "known", key, value);
}

static void tell(Victims *v, const char *key, const char *value) {
        g_key_file_set_string(v->known, "known", key, value);
}

/* A role has had the third port, and a process of it has listened there. */
static void have_port(Bus *bus, uint16_t port) {
        g_autoptr(Fifo) fifo = fifo_new("had");
        const char *role = role_name("had");

        start(bus, role, port_option("tcp-ports", port), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        stop(bus, role);
        purge(bus, role);
}

static pid_t last_terminal(Bus *bus) {
        g_autoptr(GArray) pids = terminal_pids(bus);

        assert_int_not_equal(pids->len, 0);
        return g_array_index(pids, pid_t, pids->len - 1);
}

static char *tty_of(pid_t pid) {
        g_autofree char *link = g_strdup_printf("/proc/%d/fd/0", (int) pid);
        char *path = g_file_read_link(link, NULL);

        assert_non_null(path);
        assert_true(g_str_has_prefix(path, "/dev/pts/"));
        return path;
}

static void tell_paths(Victims *v, Bus *bus) {
        g_autofree char *cgroup = role_cgroup(bus, v->roots), *slice = g_path_get_dirname(cgroup),
                        *scope_file = cgroup_file(cgroup, "x"), *slice_file = cgroup_file(slice, "x"),
                        *scope_path = NULL, *slice_path = NULL, *unit = role_scope(v->roots),
                        *unit_path = bus_path_encode(SYSTEMD_PATH "/unit", unit),
                        *object = role_path(v->roots), *tty = tty_of(v->roots_pid),
                        *tty_of_bob = tty_of(v->bobs_terminal_pid);
        g_autoptr(GVariant) opened =
                node_call(bus, "OpenTerminalSocket", g_variant_new("(sa{sv})", v->roots, NULL));
        g_autoptr(GDir) saved = g_dir_open("/run/architect-node/main", 0, NULL);
        const struct {
                const char *key;
                pid_t pid;
        } services[] = { { "node-cgroup", v->node }, { "keeper-cgroup", v->keeper } };
        const char *socket, *name = g_dir_read_name(saved);

        scope_path = g_path_get_dirname(scope_file);
        slice_path = g_path_get_dirname(slice_file);
        tell(v, "scope", scope_path);
        tell(v, "slice", slice_path);
        for (size_t i = 0; i < G_N_ELEMENTS(services); i++) {
                g_autofree char *its = process_cgroup(services[i].pid), *file = cgroup_file(its, "x"),
                                *directory = g_path_get_dirname(file);

                tell(v, services[i].key, directory);
        }
        tell(v, "scope-unit", unit);
        tell(v, "scope-path", unit_path);
        tell(v, "object", object);
        tell(v, "tty", tty);
        tell(v, "tty-of-bob", tty_of_bob);
        g_variant_get(opened, "(&s)", &socket);
        tell(v, "socket", socket);
        assert_non_null(name);
        tell(v, "saved", name);
}

static void victims_start(Victims *v, Bus *bus) {
        g_autoptr(Fifo) fifo = fifo_new("serves");
        g_autoptr(GVariant) owner = NULL;
        pid_t terminal, terminal_of_bob;
        const char *name;

        *v = (Victims){ .roots = role_name("root"),
                .bobs = role_name("bob"),
                .bobs_terminal = role_name("bobs-terminal"),
                .serves = role_name("serves"),
                .ended = role_name("ended"),
                .known_file = scratch("known"),
                .since = journal_from_now(),
                .known = g_key_file_new() };
        assert_string_equal(role_name("defined"), DEFINED);
        define(DEFINED, "RoleGroups=night\n");
        reload_definitions(bus);
        g_variant_unref(node_call(bus, "SetEnv", g_variant_new("(ss)", SECRET_NAME, SECRET)));
        bind_ports(bus, "TCP", 3, v->tcp);
        bind_ports(bus, "UDP", 2, v->udp);
        have_port(bus, v->tcp[2]);

        start(bus, v->ended, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, v->ended, "exited", 0, "self");
        start(bus, v->roots, OPTIONS("{'stdin': <'pty'>, 'notify-access': <'main'>}"), actor(), "pause",
                NULL);
        terminal = last_terminal(bus);
        start(bus, v->bobs, OPTIONS("{'user': <'bob'>}"), actor(), "pause", NULL);
        start(bus, v->bobs_terminal, OPTIONS("{'user': <'bob'>, 'stdin': <'pty'>}"), actor(), "pause", NULL);
        terminal_of_bob = last_terminal(bus);
        start(bus, v->serves, OPTIONS("{'tcp-ports': <[%q]>, 'udp-ports': <[%q]>}", v->tcp[1], v->udp[1]),
                actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");

        v->node = node_pid(bus);
        v->keeper = keeper_pid(bus);
        v->roots_pid = role_pid(bus, v->roots);
        v->bobs_pid = role_pid(bus, v->bobs);
        v->bobs_terminal_pid = role_pid(bus, v->bobs_terminal);
        v->serves_pid = role_pid(bus, v->serves);
        v->environment = environment_of(bus);
        v->ports = list_ports(bus);

        tell_int(v, "init", 1);
        tell_int(v, "node", v->node);
        tell_int(v, "keeper", v->keeper);
        tell_int(v, "role-of-root", v->roots_pid);
        tell_int(v, "terminal-of-root", terminal);
        tell_int(v, "role-of-bob", v->bobs_pid);
        tell_int(v, "terminal-of-bob", terminal_of_bob);
        tell(v, "targets", "init node keeper role-of-root terminal-of-root role-of-bob");
        if (!process_is_sanitized(terminal_of_bob))
                tell(v, "targets",
                        "init node keeper role-of-root terminal-of-root role-of-bob terminal-of-bob");
        {
                g_autofree char *roles =
                        g_strjoin(" ", v->roots, v->bobs, v->bobs_terminal, v->serves, v->ended, NULL);
                tell(v, "roles", roles);
        }
        tell_int(v, "tcp", v->tcp[0]);
        tell_int(v, "tcp-lent", v->tcp[1]);
        tell_int(v, "tcp-had", v->tcp[2]);
        tell_int(v, "udp", v->udp[0]);
        tell_int(v, "udp-lent", v->udp[1]);
        owner = bus_call(bus, BUS_NAME, BUS_PATH, BUS_NAME, "GetNameOwner", g_variant_new("(s)", NODE_NAME));
        g_variant_get(owner, "(&s)", &name);
        tell(v, "node-name", name);
        tell_paths(v, bus);
        assert_true(g_key_file_save_to_file(v->known, v->known_file, NULL));
        assert_int_equal(chmod(v->known_file, 0644), 0);
}

static void victims_check(const Victims *v, Bus *bus) {
        const char *const units[] = { NODE_UNIT, KEEPER_UNIT };
        g_autofree char *environment = NULL, *ports = NULL, *said = NULL;

        node_sync(bus);
        assert_int_equal(node_pid(bus), v->node);
        assert_int_equal(keeper_pid(bus), v->keeper);
        assert_poll(bus, v->roots, "running");
        assert_poll(bus, v->bobs, "running");
        assert_poll(bus, v->bobs_terminal, "running");
        assert_poll(bus, v->serves, "running");
        assert_poll(bus, v->ended, "exit 0");
        assert_int_equal(role_pid(bus, v->roots), v->roots_pid);
        assert_int_equal(role_pid(bus, v->bobs), v->bobs_pid);
        assert_int_equal(role_pid(bus, v->bobs_terminal), v->bobs_terminal_pid);
        assert_int_equal(ask_tcp(v->tcp[1]), v->serves_pid);
        assert_int_equal(ask_udp(v->udp[1], 20000), v->serves_pid);
        environment = environment_of(bus);
        assert_string_equal(environment, v->environment);
        ports = list_ports(bus);
        assert_string_equal(ports, v->ports);
        /* systemd has believed none of the messages. */
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
                g_autofree char *status = show(units[i], "StatusText"), *state = show(units[i], "SubState");

                assert_contains_not(status, "hostile");
                assert_string_equal(state, "running");
        }

        said = journal(v->since, NULL);
        assert_contains_not(said, SECRET);
        assert_contains_not(said, "CRITICAL");
        assert_contains_not(said, "Assertion");
        assert_contains_not(said, "assertion");
        assert_contains_not(said, "Backtrace");
        assert_contains_not(said, "dumped core");
        assert_contains_not(said, "code=killed, status=11");
}

static void victims_free(Victims *v, Bus *bus) {
        const char *roles[] = { v->roots, v->bobs, v->bobs_terminal, v->serves };

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
                stop(bus, roles[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(v->tcp); i++)
                release_port(bus, "TCP", v->tcp[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(v->udp); i++)
                release_port(bus, "UDP", v->udp[i]);
        g_variant_unref(node_call(bus, "UnsetEnv", g_variant_new("(s)", SECRET_NAME)));
        g_free(v->environment);
        g_free(v->ports);
        g_free(v->since);
        g_key_file_free(v->known);
}

/* A copy of this program that every user can execute. */
static const char *attacker(void) {
        const char *path = scratch("attacker");
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

        g_free(run_ok("cp", "--", self, path, NULL));
        return path;
}

/* A directory of alice. */
static const char *hers(void) {
        const char *path = scratch("hers");

        g_free(run_ok("install", "-d", "-o", "alice", path, NULL));
        return path;
}

static void test_outside(void **state) {
        Bus *bus = *state;
        g_autofree char *out = NULL;
        Victims v;
        int r;

        victims_start(&v, bus);
        r = run_as("alice", &out, NULL, attacker(), "attack", v.known_file, "outside", NULL);
        print_message("%s", out);
        assert_int_equal(r, 0);
        victims_check(&v, bus);
        victims_free(&v, bus);
}

/* The same as a role, whose input is a null device, a pipe or a terminal. */
static void test_inside(void **state) {
        Bus *bus = *state;
        const char *inputs[] = { "null", "pipe", "pty" };
        const char *program = attacker();
        g_autofree char *path = g_build_filename(hers(), "out", NULL),
                        *output = g_strconcat("file:", path, NULL);
        Victims v;

        victims_start(&v, bus);
        for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
                const char *role = role_name_n("attacks", (guint) i);
                g_autofree char *out = NULL;
                Exited exited;

                start(bus, role,
                        OPTIONS("{'user': <'alice'>, 'stdin': <%s>, 'output': <%s>}", inputs[i], output),
                        program, "attack", v.known_file, "inside", NULL);
                exited = wait_exited(bus, role);
                WAIT_UNTIL(g_file_test(path, G_FILE_TEST_EXISTS));
                stop(bus, role);
                out = read_file(path);
                print_message("%s: %s\n", inputs[i], out);
                assert_string_equal(exited.code, "exited");
                assert_int_equal(exited.status, 0);
                assert_string_equal(exited.cause, "self");
        }
        victims_check(&v, bus);
        victims_free(&v, bus);
}

/* -- games of a role -- */

/* A role stops itself, kills itself, and leaves processes that ignore everything. It can do nothing against
 * its stop, and it can pretend no other cause. */
static void test_games(void **state) {
        Bus *bus = *state;
        const char *role = role_name("plays");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(GPtrArray) command = g_ptr_array_new();
        g_autofree char *cgroup = NULL;
        GVariant *args;

        start(bus, role, OPTIONS("{'user': <'alice'>}"), actor(), "say", fifo_path(fifo), "stops", "raise",
                "STOP", "pause", NULL);
        fifo_expect_pid(fifo, "stops");
        WAIT_UNTIL(process_state(role_pid(bus, role)) == 'T');
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        start(bus, role, OPTIONS("{'user': <'alice'>}"), actor(), "touch", "64", "raise", "KILL", NULL);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        stop(bus, role);

        /* 100 processes with a session of their own, half of them stopped. */
        g_ptr_array_add(command, (void *) actor());
        g_ptr_array_add(command, (void *) "ignore");
        g_ptr_array_add(command, (void *) "TERM");
        for (guint i = 0; i < 100; i++) {
                const char *const words[] = { "daemon{", "raise", i % 2 ? "STOP" : "CONT", "pause", "}" };

                for (size_t j = 0; j < G_N_ELEMENTS(words); j++)
                        g_ptr_array_add(command, (void *) words[j]);
        }
        g_ptr_array_add(command, (void *) "say");
        g_ptr_array_add(command, (void *) fifo_path(fifo));
        g_ptr_array_add(command, (void *) "many");
        g_ptr_array_add(command, (void *) "pause");
        g_ptr_array_add(command, NULL);
        args = start_args_v(role, OPTIONS("{'user': <'alice'>, 'stop-timeout-usec': <uint64 200000>}"),
                (const char *const *) command->pdata);
        g_variant_unref(node_call(bus, "Start", args));
        fifo_expect_pid(fifo, "many");
        cgroup = role_cgroup(bus, role);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGKILL, "stop");
        cgroup_wait_empty(cgroup);
}

/* Her own architect-terminal is a process of hers, which she may stop and kill. It ends with the role all the
 * same, even if she stops it again and again. */
static void test_terminal_games(void **state) {
        Bus *bus = *state;
        const char *role = role_name("screen");

        for (int round = 0; round < 2; round++) {
                g_autofree char *number = NULL, *script = NULL;
                pid_t terminal, stopper = 0;
                int pidfd, status;

                start(bus, role, OPTIONS("{'user': <'alice'>, 'stdin': <'pty'>}"), actor(), "pause", NULL);
                terminal = last_terminal(bus);
                pidfd = process_open(terminal);
                number = g_strdup_printf("%d", (int) terminal);
                assert_int_equal(run_as("alice", NULL, NULL, "kill", "-STOP", number, NULL), 0);
                WAIT_UNTIL(process_state(terminal) == 'T');
                if (round == 1) {
                        script = g_strdup_printf("while kill -STOP %s 2>/dev/null; do :; done", number);
                        stopper = spawn("runuser", "-u", "alice", "--", "sh", "-c", script, NULL);
                }
                stop(bus, role);
                expect_exited(bus, role, "killed", SIGTERM, "stop");
                process_wait_dead(pidfd);
                (void) close(pidfd);
                if (stopper > 0)
                        assert_int_equal(waitpid(stopper, &status, 0), stopper);
        }
}

/* What she puts into the place of a file into which root's roles write. */
static void test_output(void **state) {
        Bus *bus = *state;
        const char *directory = hers(), *role = role_name("writes"), *private = scratch("private");
        static const struct {
                const char *what;
                const char *command; /* P is root's file */
                const char *reason;
        } traps[] = {
                { "link", "ln -s P link", "symbolic link" },
                { "dangling", "ln -s P.new dangling", "symbolic link" },
                { "loop", "ln -s loop loop", "symbolic link" },
                { "proc", "ln -s /proc/self/oom_score_adj proc", "symbolic link" },
                { "fifo", "mkfifo fifo", "FIFO without a reader" },
                { "socket", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'",
                        "No such device" },
                { "directory", "mkdir directory", "directory" },
        };
        g_autofree char *after = NULL, *new = g_strconcat(private, ".new", NULL);

        assert_true(g_file_set_contents(private, "private\n", -1, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(traps); i++) {
                g_auto(GStrv) parts = g_strsplit(traps[i].command, "P", -1);
                g_autofree char *command = g_strjoinv(private, parts),
                                *script = g_strdup_printf("cd '%s' && %s", directory, command),
                                *path = g_build_filename(directory, traps[i].what, NULL);

                assert_int_equal(run_as("alice", NULL, NULL, "sh", "-c", script, NULL), 0);
                for (int append = 0; append < 2; append++) {
                        g_autofree char *output = g_strconcat(append ? "append:" : "file:", path, NULL);

                        start_fails(bus,
                                start_args(role, OPTIONS("{'output': <%s>}", output), actor(), "print", "x",
                                        NULL),
                                "SetupFailed", path, traps[i].reason, NULL);
                }
        }
        after = read_file(private);
        assert_string_equal(after, "private");
        assert_false(g_file_test(new, G_FILE_TEST_EXISTS));
}

/* -- races between the question and the answer -- */

static guint32 send_verb(Bus *bus, size_t verb, const char *role) {
        g_autofree char *quoted = g_strdup_printf("'%s'", role);
        g_auto(GStrv) parts = g_strsplit(on_role[verb].on_node, "R", -1);
        g_autofree char *args = g_strjoinv(quoted, parts);

        return node_send(bus, on_role[verb].method, g_variant_parse(NULL, args, NULL, NULL, NULL));
}

/* Start asks for nothing that is about the role of that name. */
static bool verb_asks(size_t verb) {
        return !g_str_equal(on_role[verb].method, "Start");
}

static pid_t start_racer(Bus *bus, const char *role, const char *user) {
        start(bus, role, OPTIONS("{'user': <%s>, 'stdin': <'pty'>}", user), actor(), "pause", NULL);
        return role_pid(bus, role);
}

/* Each verb on a role that ends while polkit is asked. Another user's role begins under its name, and polkit
 * is asked again. The permission for the first one is none for the second one. */
static void test_replaced(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("race");

        for (size_t i = 0; i < G_N_ELEMENTS(on_role); i++) {
                guint32 serial;
                pid_t pid;
                int fd;

                if (!verb_asks(i))
                        continue;
                (void) start_racer(bus, role, "alice");
                answer("hold");
                serial = send_verb(alice, i, role);
                fd = held();
                kill_role(bus, role);
                pid = start_racer(bus, role, "bob");
                release(fd, "yes");
                fd = held();
                assert_false(bus_has_reply(alice, serial));
                answer("");
                release(fd, "no");
                bus_failure(alice, serial, ACCESS_DENIED, NULL);
                assert_poll(bus, role, "running");
                assert_int_equal(role_pid(bus, role), pid);
                WAIT_UNTIL(process_state(pid) == 'S'); /* it may just have begun, but it is not stopped */
                kill_role(bus, role);
        }
}

/* polkit dies while it is asked. */
static void test_polkit_killed(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("race");
        pid_t pid = start_racer(bus, role, "bob");

        for (size_t i = 0; i < G_N_ELEMENTS(on_role); i++) {
                guint32 serial;
                int fd;

                if (!verb_asks(i))
                        continue;
                answer("hold");
                serial = send_verb(alice, i, role);
                fd = held();
                polkit_kill();
                bus_failure(alice, serial, ACCESS_DENIED, "polkit has not answered", NULL);
                (void) close(fd);
                assert_poll(bus, role, "running");
                assert_int_equal(role_pid(bus, role), pid);
        }
        g_free(run_ok("systemctl", "reset-failed", NULL));
}

/* The caller leaves the bus while polkit is asked; nobody has called then. */
static void test_caller_gone(void **state) {
        Bus *bus = *state;
        const char *role = role_name("race");
        pid_t pid = start_racer(bus, role, "bob");

        for (size_t i = 0; i < G_N_ELEMENTS(on_role); i++) {
                g_autoptr(Bus) alice = bus_new_as("alice");
                int fd;

                if (!verb_asks(i))
                        continue;
                answer("hold");
                (void) send_verb(alice, i, role);
                fd = held();
                g_clear_pointer(&alice, bus_free);
                node_sync(bus);
                release(fd, "yes");
                answer("no");
                /* polkit answers in this order. */
                alice = bus_new_as("alice");
                bus_failure(alice, send_verb(alice, i, role), ACCESS_DENIED, NULL);
                assert_poll(bus, role, "running");
                assert_int_equal(role_pid(bus, role), pid);
                assert_int_equal(process_state(pid), 'S');
        }
}

/* The node ends while polkit is asked. Its successor has not asked. */
static void test_node_replaced(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("race");
        pid_t pid = start_racer(bus, role, "bob");

        for (int crash = 0; crash < 2; crash++) {
                Event *reply;
                guint32 serial;
                int fd;

                answer("hold");
                serial = node_send(alice, "Kill", g_variant_new("(s)", role));
                fd = held();
                if (crash)
                        node_crash(bus);
                else
                        node_restart(bus);
                reply = bus_wait_reply(alice, serial);
                assert_int_equal(reply->type, G_DBUS_MESSAGE_TYPE_ERROR);
                release(fd, "yes");
                answer("no");
                node_call_fails(alice, "Kill", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
                assert_poll(bus, role, "running");
                assert_int_equal(role_pid(bus, role), pid);
        }
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                TEST(test_outside),
                TEST(test_inside),
                TEST(test_games),
                TEST(test_terminal_games),
                TEST(test_output),
        };
        const struct CMUnitTest races[] = {
                POLKIT_TEST(test_replaced),
                POLKIT_TEST(test_polkit_killed),
                POLKIT_TEST(test_caller_gone),
                POLKIT_TEST(test_node_replaced),
        };
        int failed;

        if (argc == 4 && g_str_equal(argv[1], "attack"))
                return attack(argv[2], argv[3]);
        case_begin("hostile-user");
        (void) g_mkdir_with_parents("/etc/architect-node", 0755);
        failed = cmocka_run_group_tests_name("hostile-user", tests, NULL, NULL);
        (void) run(NULL, NULL, "rm", "-rf", DEFINITIONS, NULL);
        return cmocka_run_group_tests_name(
                       "hostile-user races", races, polkit_group_setup, polkit_group_teardown) +
               failed;
}

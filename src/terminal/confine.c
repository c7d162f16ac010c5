/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/stderr-log.h"
#include "terminal/confine.h"

/* -- capabilities -- */

typedef struct Capabilities {
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
} Capabilities;

static int capabilities_get(Capabilities *ret) {
        *ret = (Capabilities){ .header.version = _LINUX_CAPABILITY_VERSION_3 };
        return syscall(SYS_capget, &ret->header, ret->data) < 0 ? -errno : 0;
}

/* Gives all away but this one, or all if it is negative or not there. */
static int capabilities_keep(int capability) {
        Capabilities c;
        uint32_t kept = 0;
        int r;

        r = capabilities_get(&c);
        if (r < 0)
                return r;
        for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                kept = capability >= 0 && CAP_TO_INDEX(capability) == i
                               ? c.data[i].permitted & CAP_TO_MASK(capability)
                               : 0;
                c.data[i] = (struct __user_cap_data_struct){ .effective = kept, .permitted = kept };
        }
        return syscall(SYS_capset, &c.header, c.data) < 0 ? -errno : 0;
}

/* -- the user -- */

static int terminal_take_user(uid_t uid, gid_t gid) {
        /* For the calls below these mean "no change", so the process would remain root. */
        if (uid == (uid_t) -1 || gid == (gid_t) -1)
                return -EINVAL;
        if (geteuid() != 0)
                return 0;
        /* Without this a change from root to another user gives all capabilities away. */
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
                setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        return 0;
}

/* -- system calls -- */

#if defined(__x86_64__) && !defined(__ILP32__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__i386__)
#define FILTER_ARCH AUDIT_ARCH_I386
#elif defined(__arm__) && defined(__ARMEL__)
#define FILTER_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define FILTER_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define FILTER_ARCH AUDIT_ARCH_S390X
#elif defined(__loongarch64)
#define FILTER_ARCH AUDIT_ARCH_LOONGARCH64
#endif

/* The sanitizers make system calls of their own, and trace the process at its end. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#ifdef FILTER_ARCH

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
/* The lower half of an argument, of which the kernel reads no more for an int. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARGUMENT(n) FIELD(args[n])
#else
#define ARGUMENT(n) \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + sizeof(uint32_t))
#endif
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
/* These expect the number of the system call, and what follows finds it again. */
#define CALL(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), ALLOW
#define CALL_WITH(nr, n, value) \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 4), ARGUMENT(n), \
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), ALLOW, DENY
#define CALL_WITHOUT(nr, n, bit) \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 4), ARGUMENT(n), \
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bit), 1, 0), ALLOW, DENY

/* No path is opened, no process signalled or made, and no memory executed that is not executable already. A
 * call that is not listed fails, so that a C library which makes one that is not needed does not end the
 * terminal. */
static struct sock_filter filter[] = {
        FIELD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        FIELD(nr),
        CALL(__NR_read),
        CALL(__NR_write),
        CALL(__NR_writev),
        CALL(__NR_close),
#ifdef __NR_epoll_wait
        CALL(__NR_epoll_wait),
#endif
        CALL(__NR_epoll_pwait),
        CALL(__NR_epoll_ctl),
        CALL(__NR_recvmsg),
        CALL(__NR_sendmsg),
#ifdef __NR_recv
        CALL(__NR_recv),
#endif
#ifdef __NR_send
        CALL(__NR_send),
#endif
        CALL(__NR_recvfrom),
        CALL(__NR_sendto),
        CALL_WITH(__NR_setsockopt, 2, SO_SNDBUF),
        CALL_WITH(__NR_ioctl, 1, (uint32_t) TIOCSWINSZ),
        CALL(__NR_brk),
#ifdef __NR_mmap
        CALL_WITHOUT(__NR_mmap, 2, PROT_EXEC),
#endif
#ifdef __NR_mmap2
        CALL_WITHOUT(__NR_mmap2, 2, PROT_EXEC),
#endif
        CALL_WITHOUT(__NR_mprotect, 2, PROT_EXEC),
        CALL(__NR_munmap),
        CALL(__NR_mremap),
        CALL(__NR_madvise),
        CALL(__NR_getrandom),
        CALL(__NR_futex),
        CALL(__NR_clock_gettime),
#ifdef __NR_clock_gettime64
        CALL(__NR_clock_gettime64),
#endif
        CALL(__NR_restart_syscall),
        CALL(__NR_rt_sigreturn),
#ifdef __NR_sigreturn
        CALL(__NR_sigreturn),
#endif
        CALL(__NR_exit),
        CALL(__NR_exit_group),
        DENY,
};

static int filter_install(void) {
        const struct sock_fprog program = { .len = ELEMENTSOF(filter), .filter = filter };

        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

#else

static int filter_install(void) {
        return -EOPNOTSUPP;
}

#endif

int terminal_confine(uid_t uid, gid_t gid, bool send_as) {
        int r;

        r = terminal_take_user(uid, gid);
        if (r >= 0)
                r = capabilities_keep(send_as ? CAP_SYS_ADMIN : -1);
        /* Set again by a change of the user. Without it whoever may signal the process may read its memory.
         */
        if (r >= 0 && prctl(PR_SET_DUMPABLE, IS_SANITIZED, 0, 0, 0) < 0)
                r = -errno;
        if (r < 0 || IS_SANITIZED)
                return r;

        r = filter_install();
        if (r >= 0)
                return 0;
        log_warning("Cannot filter the system calls of the terminal%s: %s",
                send_as ? ", so the journal does not attribute its output to the role" : "", strerror(-r));
        return capabilities_keep(-1);
}

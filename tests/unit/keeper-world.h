/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A real keeper with a socket of its own, in its own world: a mount namespace with its own /run, users and
 * groups. The test is its node. All functions fail the test if a result is not as expected, and none waits
 * for ever. */

#include <sys/types.h>

#include "unit-test.h"

#include "base/macro.h"
#include "proto/keeper-protocol.h"
#include "proto/launch-request.h"
#include "proto/product-record.h"

#define ALICE_UID 4711
#define ALICE_GID 4712
#define SCOPE_GID 4714 /* alice is a member, too */
#define NOBODY 65534

typedef struct World {
        char *dir; /* readable for all users; removed at the end */
        char *run; /* the directory of the socket */
        char *socket;
        char *log;            /* stderr of the keeper */
        const char *terminal; /* a program in place of architect-terminal */
        pid_t keeper;
        int n_fds;  /* of the idle keeper */
        bool noisy; /* this test makes the keeper log messages */
        int node;   /* the connection of the test */
        uid_t uid;  /* of the keeper, and of the peer that it must accept */
        uint64_t last_id;

        /* Exits that were received while waiting for another message. */
        struct keeper_exited exits[2048];
        size_t n_exits;
} World;

/* How this keeper is started. */
struct start {
        void (*before_exec)(World *w); /* runs in the process of the keeper */
        uid_t uid;                     /* 0 for root */
        gid_t gid;
        bool inherit; /* the socket is passed by LISTEN_FDS instead of --socket= */
        /* The program is a copy named "architect-keeper" in the directory of the test, which may be
         * replaced. */
        bool copy;
};

const char *keeper_program(void); /* $ARCHITECT_KEEPER */

/* The group set-up, and one world for each test; *state of cmocka is the World. */
int world_group_setup(void **state);
int world_setup(void **state);
int world_setup_connected(void **state); /* with a keeper of root and a node */
int world_teardown(void **state);

/* For a test that starts its own keeper. */
void world_start(World *w, const struct start *start);
void world_check(World *w); /* fails if children, descriptors or output remain */
void world_stop(World *w);
char *world_path(World *w, const char *name); /* in dir; never freed, because a test is short */
void world_write(World *w, const char *name, const void *data, size_t size, mode_t mode);
char *world_read(World *w, const char *name); /* the contents, which the caller frees */

#define WORLD_FDS_MAX 5 /* the maximum of one packet */

typedef union Packet {
        struct keeper_header header;
        struct keeper_welcome welcome;
        struct keeper_child child;
        struct keeper_forked forked;
        struct keeper_exited exited;
        struct keeper_done done;
        struct keeper_terminal_socket_made socket_made;
        struct keeper_looked_up looked_up;
        struct keeper_notified notified;
        char raw[KEEPER_PACKET_MAX];
} Packet;

/* -- connections -- */
int node_connect(const World *w);
void node_send(int fd, const void *data, size_t size);
size_t node_receive(int fd, Packet *ret, int fds[static WORLD_FDS_MAX], size_t *ret_n_fds); /* 0 if closed */
void node_hello(int fd, uint32_t version_min, uint32_t version_max, Packet *ret);
uint32_t world_connect(World *w); /* connects and sends HELLO; returns the number of children that follow */
void world_disconnect(World *w);
size_t world_receive(World *w, uint32_t type, uint64_t id, Packet *ret, int fds[static WORLD_FDS_MAX]);

/* Sends a request that is only a header, receives its KEEPER_DONE, and returns the error in it. */
int world_request(World *w, uint32_t type, uint64_t id);
int world_signal(World *w, uint64_t id, int signo);

typedef struct Role {
        uint64_t id;
        pid_t pid;
        uint64_t start_time;
        int pidfd, gate, stdin_fd;
        int terminal, master; /* with KEEPER_FORK_TERMINAL */
        struct gate_report reports[4];
        size_t n_reports;
        int record; /* with LaunchRequest.record: the last one, a memfd; negative if there was none */
        int stream; /* that it has offered; negative if it has not */
        uid_t stream_uid;
        struct gate_times times; /* that it has sent; without a magic number if it has not */
} Role;

#define COMMAND(...) ((char *[]){ __VA_ARGS__, NULL })
#define SHELL(script) COMMAND("/bin/sh", "-c", script)
#define ENVIRONMENT(...) ((char *[]){ __VA_ARGS__, NULL })
#define REQUEST(...) (&(LaunchRequest){ .role = "cam", .instance = "main", __VA_ARGS__ })
#define QUIET(...) REQUEST(.output = LAUNCH_OUTPUT_NULL, __VA_ARGS__)

/* Returns the error of the keeper. */
int try_fork(World *w, uint64_t id, const char *role, uint32_t flags, Role *ret);
Role role_fork(World *w, uint32_t flags);
void role_wait_at_gate(Role *role); /* after the clone has its name, and so has reached the gate */
void role_open(Role *role, const LaunchRequest *q);
void role_open_with(Role *role, const LaunchRequest *q, int stream); /* another descriptor comes with it */
void role_listen(Role *role); /* collects reports until the gate closes, and replies to a record */
void role_await_record(Role *role);
void role_reply_recorded(Role *role);
void role_close(Role *role);

/* Forks, opens the gate and reads it until it closes, whatever the result is. */
Role role_start(World *w, uint32_t flags, const LaunchRequest *q);
/* The same, but the child must become the role without a report. */
Role role_run(World *w, uint32_t flags, const LaunchRequest *q);

struct keeper_exited role_ended(World *w, Role *role); /* its record; it is not reaped */
struct keeper_exited role_end(World *w, Role *role);   /* its record; it is reaped and closed */

/* Runs the role to its end, which must have this wait status. */
void assert_run(World *w, const LaunchRequest *q, int wait_status);
/* Runs the role, which must fail with a report. Returns the text of the report. */
char *assert_fails(World *w, const LaunchRequest *q, LaunchStage stage, int error);

/* -- notifications -- */

/* A role that sends what the lines of its standard input say: "m" and a message is sent by the main process,
 * "c" by a child, where "|" is a newline; "r N" sends READY=1 so many times; "b" sends BARRIER=1, waits until
 * that is closed, and sends STATUS=barrier; "w" only waits; "f" sends STATUS=quick with a descriptor, "k"
 * sends STATUS=slow with a descriptor whose last reference takes 2 s to be closed, unless who listens on this
 * port reads; "s" stops; "x N" exits. main() of a test that runs it calls sender_main() first. */
void sender_main(int argc, char *argv[]);
Role sender_run(World *w, uint32_t flags); /* KEEPER_FORK_NOTIFY and others */
void sender_do(const Role *role, const char *line);
void sender_wait(Role *role); /* until it has done all of them */
/* Receives the next message of the keeper, which must be this. text is that of a status, or NULL. Returns its
 * number. */
uint64_t expect_notified(World *w, const Role *role, NotifyKind kind, const char *text, uint64_t value);
/* Everything up to this number is saved. Returns the error of the keeper, before whose reply nothing else may
 * come. */
int take_notified(World *w, uint64_t id, uint64_t number);

/* -- observation from outside -- */
int count_process_fds(pid_t pid);
void assert_at_rest(pid_t pid); /* it does not run at all for a while */
bool wait_for(bool (*condition)(void *), void *userdata);

/* Returns whether the keeper of this World has as many descriptors as its n_fds says, for wait_for(). */
bool keeper_has_n_fds(void *userdata);
bool pidfd_is_dead(void *pidfd);

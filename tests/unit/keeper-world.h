/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A real keeper on a socket of its own, in a world made for it: a mount namespace with its own /run, users and groups. We
 * are its node. Everything in here fails the test when something is not as it has to be; nothing waits for ever. */

#include <sys/types.h>

#include "unit-test.h"

#include "base/macro.h"
#include "proto/keeper-protocol.h"
#include "proto/launch-request.h"

#define ALICE_UID 4711
#define ALICE_GID 4712
#define SCOPE_GID 4714 /* alice is in it too */
#define BARE_UID 4713  /* has neither home nor shell */
#define NOBODY 65534

typedef struct World {
        char *dir; /* everybody may look into it; removed at the end */
        char *socket;
        char *log;            /* the keeper's stderr */
        const char *terminal; /* another program than architect-terminal */
        pid_t keeper;
        int n_fds;  /* of the keeper at rest */
        bool noisy; /* this test makes it say something */
        int node;   /* our connection */
        uid_t uid;  /* whom the keeper runs as, and whom it has to take us for */
        uint64_t last_id;

        /* Exits that came while something else was waited for. */
        struct keeper_exited exits[2048];
        size_t n_exits;
} World;

/* How this keeper is started. */
struct start {
        void (*before_exec)(World *w); /* in its process */
        uid_t uid;                     /* 0: as root */
        gid_t gid;
        bool inherit; /* the socket by LISTEN_FDS, not by --socket= */
        bool copy;    /* the program is a copy in our directory, "architect-keeper", which may be replaced */
};

const char *keeper_program(void); /* $ARCHITECT_KEEPER */

/* Group set-up, and one world a test: cmocka's *state is the World. */
int world_group_setup(void **state);
int world_setup(void **state);
int world_teardown(void **state);

/* For a test that starts its own: */
void world_start(World *w, const struct start *start);
void world_check(World *w); /* nothing left: children, descriptors, output */
void world_stop(World *w);
char *world_path(World *w,
        const char *name); /* in dir; lives as long as the world does not matter: leaked on purpose */
void world_write(World *w, const char *name, const void *data, size_t size, mode_t mode);
char *world_read(World *w, const char *name); /* the contents; the caller frees */

#define WORLD_FDS_MAX 5 /* the most that come with a packet */

typedef union Packet {
        struct keeper_header header;
        struct keeper_welcome welcome;
        struct keeper_child child;
        struct keeper_forked forked;
        struct keeper_exited exited;
        struct keeper_done done;
        char raw[KEEPER_PACKET_MAX];
} Packet;

/* Connections */
int node_connect(const World *w);
void node_send(int fd, const void *data, size_t size);
size_t node_receive(int fd, Packet *ret, int fds[static WORLD_FDS_MAX], size_t *ret_n_fds); /* 0: closed */
void node_hello(int fd, uint32_t version_min, uint32_t version_max, Packet *ret);
uint32_t world_connect(World *w); /* connects, says hello; returns the number of children that follow */
void world_disconnect(World *w);
size_t world_receive(World *w, uint32_t type, uint64_t id, Packet *ret, int fds[static WORLD_FDS_MAX]);

/* One request with only a header, its KEEPER_DONE, and its error. */
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
} Role;

#define COMMAND(...) ((char *[]){ __VA_ARGS__, NULL })
#define SHELL(script) COMMAND("/bin/sh", "-c", script)
#define ENVIRONMENT(...) ((char *[]){ __VA_ARGS__, NULL })
#define REQUEST(...) (&(LaunchRequest){ .role = "cam", .instance = "main", __VA_ARGS__ })
#define QUIET(...) REQUEST(.output = LAUNCH_OUTPUT_NULL, __VA_ARGS__)

int try_fork(World *w, uint64_t id, const char *role, uint32_t flags, Role *ret); /* the keeper's error */
Role role_fork(World *w, uint32_t flags);
void role_wait_at_gate(Role *role); /* a fresh clone has its name, and so its place before the gate */
void role_open(Role *role, const LaunchRequest *q);
void role_listen(Role *role); /* reports until the gate closes */
void role_close(Role *role);

/* Forks, opens, hears out the gate; whatever came of it. */
Role role_start(World *w, uint32_t flags, const LaunchRequest *q);
/* The same, and it has to have become the role without a word. */
Role role_run(World *w, uint32_t flags, const LaunchRequest *q);

struct keeper_exited role_ended(World *w, Role *role); /* its record; it is not reaped */
struct keeper_exited role_end(World *w, Role *role);   /* its record; reaped and closed */

/* Runs it to its end, which has to be this wait status. */
void assert_run(World *w, const LaunchRequest *q, int wait_status);
/* Has to fail, and to say so; returns the text. */
char *assert_fails(World *w, const LaunchRequest *q, LaunchStage stage, int error);

/* Looking from outside */
int count_process_fds(pid_t pid);
unsigned long long process_switches(pid_t pid); /* how often it has run */
void assert_at_rest(pid_t pid);                 /* does not run at all for a while */
bool wait_for(bool (*condition)(void *), void *userdata);
bool pidfd_is_dead(void *pidfd);

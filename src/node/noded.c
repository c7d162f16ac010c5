/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This is the main program of architect-node, with options, signals and the loop. */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/cgroup-util.h"
#include "base/unit-name.h"
#include "config.h"
#include "node/service.h"
#include "proto/node-names.h"
#include "util/log.h"

static const char *noded_instance = NODE_DEFAULT_INSTANCE;
static bool noded_user = false;

static void noded_help(void) {
        printf("architect-node [OPTIONS...]\n\n"
               "Starts, stops and tracks the roles of this machine, over D-Bus.\n\n"
               "  -h --help           Show this help\n"
               "     --version        Show the version\n"
               "     --instance=NAME  Name of this instance (default: %s)\n"
               "     --user           Serve the calling user, on the session bus, with that user's systemd\n"
               "     --debug          Log debug messages\n\n"
               "See architect-node(8).\n",
                NODE_DEFAULT_INSTANCE);
}

/* Returns 1 to continue and 0 if nothing remains to be done. */
static int noded_parse_options(int argc, char **argv) {
        enum { OPTION_VERSION = 0x100, OPTION_INSTANCE, OPTION_USER, OPTION_DEBUG };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "instance", required_argument, NULL, OPTION_INSTANCE },
                { "user", no_argument, NULL, OPTION_USER },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        noded_help();
                        return 0;
                case OPTION_VERSION:
                        puts("architect-node " PROJECT_VERSION);
                        return 0;
                case OPTION_INSTANCE:
                        if (!instance_name_is_valid(optarg)) {
                                log_error(
                                        "\"%s\" is not a valid instance name, it must be a letter or '_', then up to 31 of A-Za-z0-9_",
                                        optarg);
                                return -EINVAL;
                        }
                        noded_instance = optarg;
                        break;
                case OPTION_USER:
                        noded_user = true;
                        break;
                case OPTION_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                log_error("Unknown argument: %s", argv[optind]);
                return -EINVAL;
        }
        return 1;
}

/* cgroup.kill was added in this version; waiting for a child by its pidfd is older. */
static int noded_check_kernel(void) {
        struct utsname name;
        unsigned major, minor;

        if (uname(&name) < 0)
                return log_error_errno(errno, "Cannot get the version of the kernel: %m");
        if (sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major < 5 || (major == 5 && minor < 14))) {
                log_error("Linux %s is too old, architect-node needs 5.14 or newer", name.release);
                return -EOPNOTSUPP;
        }
        return 0;
}

static int noded_run(LogTarget target) {
        const char *cgroup;
        sigset_t signals;

        int r = noded_check_kernel();
        if (r < 0)
                return r;
        r = cgroup_root(&cgroup);
        if (r < 0)
                return log_error_errno(r,
                        "This machine has no cgroup v2 hierarchy, architect-node needs Linux 5.14 with "
                        "cgroup v2, alone or beside v1");

        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGINT);
        (void) sigaddset(&signals, SIGHUP);
        (void) sigaddset(&signals, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return log_error_errno(errno, "Cannot set up signals: %m");

        return service_run(noded_instance, noded_user, target);
}

int main(int argc, char **argv) {
        log_setup();
        LogTarget target = log_get_target();
        /* For a process that ends at once the journal cannot determine the unit. Output through the stream of
         * the unit always belongs to the unit. */
        log_set_target(LOG_TARGET_CONSOLE);

        int r = noded_parse_options(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_BAD_USAGE : EXIT_SUCCESS;
        r = noded_run(target);
        if (r >= 0)
                return r; /* the status with which the loop was left */
        return r == -EBUSY ? EXIT_BAD_USAGE : EXIT_FAILURE;
}

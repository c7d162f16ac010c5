/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This is the main program of architect-cluster, with its options. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/unit-name.h"
#include "cluster/beat.h"
#include "cluster/fence.h"
#include "cluster/quorum.h"
#include "config.h"
#include "proto/node-names.h"
#include "util/log.h"

#define DEFAULT_TIMEOUT_USEC (30 * USEC_PER_SEC)

static void cluster_help(void) {
        printf("architect-cluster [OPTIONS...]\n\n"
               "Keeps the roles of this host that belong to a cluster as long as it has quorum.\n\n"
               "  -h --help           Show this help\n"
               "     --version        Show the version\n"
               "     --instance=NAME  Instance of architect-node (default: %s)\n"
               "     --lease=NAME     Lease of the roles (default: cluster)\n"
               "     --timeout=TIME   Time of the lease, 4s or longer (default: 30s)\n"
               "     --debug          Log debug messages\n\n"
               "For fence_architect:\n"
               "     --fence=HOST     Have that host end its roles, and wait until they have ended\n"
               "     --wait=TIME      How long that takes if the host does not answer\n"
               "     --hosts          List the hosts that have a lease, with its time in microseconds\n\n"
               "See architect-cluster(8).\n",
                NODE_DEFAULT_INSTANCE);
}

int main(int argc, char **argv) {
        enum {
                ARG_VERSION = 0x100,
                ARG_INSTANCE,
                ARG_LEASE,
                ARG_TIMEOUT,
                ARG_DEBUG,
                ARG_FENCE,
                ARG_WAIT,
                ARG_HOSTS
        };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "instance", required_argument, NULL, ARG_INSTANCE },
                { "lease", required_argument, NULL, ARG_LEASE },
                { "timeout", required_argument, NULL, ARG_TIMEOUT },
                { "debug", no_argument, NULL, ARG_DEBUG },
                { "fence", required_argument, NULL, ARG_FENCE },
                { "wait", required_argument, NULL, ARG_WAIT },
                { "hosts", no_argument, NULL, ARG_HOSTS },
                {},
        };
        QuorumSettings settings = { NODE_DEFAULT_INSTANCE, "cluster", DEFAULT_TIMEOUT_USEC };
        const char *host = NULL;
        uint64_t wait_usec = 0;
        bool hosts = false;

        log_setup();
        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        cluster_help();
                        return EXIT_SUCCESS;
                case ARG_VERSION:
                        puts("architect-cluster " PROJECT_VERSION);
                        return EXIT_SUCCESS;
                case ARG_INSTANCE:
                        if (!instance_name_is_valid(optarg)) {
                                log_error("\"%s\" is not the name of an instance", optarg);
                                return EXIT_BAD_USAGE;
                        }
                        settings.instance = optarg;
                        break;
                case ARG_LEASE:
                        if (!role_name_is_valid(optarg)) {
                                log_error("\"%s\" is not the name of a lease", optarg);
                                return EXIT_BAD_USAGE;
                        }
                        settings.lease = optarg;
                        break;
                case ARG_TIMEOUT:
                        if (parse_time(optarg, USEC_PER_SEC, &settings.timeout_usec) < 0 ||
                                settings.timeout_usec < BEAT_TIMEOUT_MIN_USEC ||
                                settings.timeout_usec == USEC_INFINITY) {
                                log_error("--timeout=%s is not a time of 4s or longer", optarg);
                                return EXIT_BAD_USAGE;
                        }
                        break;
                case ARG_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                case ARG_FENCE:
                        host = optarg;
                        break;
                case ARG_WAIT:
                        if (parse_time(optarg, USEC_PER_SEC, &wait_usec) < 0 || wait_usec == USEC_INFINITY) {
                                log_error("--wait=%s is not a time", optarg);
                                return EXIT_BAD_USAGE;
                        }
                        break;
                case ARG_HOSTS:
                        hosts = true;
                        break;
                default:
                        return EXIT_BAD_USAGE;
                }
        if (optind < argc || (host && wait_usec == 0)) {
                log_error("%s", optind < argc ? "There are no arguments, see architect-cluster --help"
                                              : "--fence= needs --wait=");
                return EXIT_BAD_USAGE;
        }
        int r = hosts ? fence_print_hosts() : host ? fence_host(host, wait_usec) : quorum_run(&settings);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

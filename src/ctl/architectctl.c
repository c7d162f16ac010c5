/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* architectctl, the command line tool of architect-node. This file has the common options and the table of
 * verbs. */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/unit-name.h"
#include "config.h"
#include "ctl/ctl-private.h"
#include "proto/node-names.h"

typedef struct CtlVerb {
        const char *name;
        int (*run)(const Ctl *ctl, int argc, char *argv[]);
        const char *help;
} CtlVerb;

static const CtlVerb ctl_verbs[] = {
        { "attach", verb_attach, "attach ROLE            Show a role's terminal and type into it" },
};

void ctl_error(const char *fmt, ...) {
        va_list ap;

        (void) fputs("architectctl: ", stderr);
        va_start(ap, fmt);
        (void) vfprintf(stderr, fmt, ap);
        va_end(ap);
        (void) fputc('\n', stderr);
}

char *ctl_bus_name(const Ctl *ctl) {
        char *name;

        if (strcmp(ctl->instance, NODE_DEFAULT_INSTANCE) == 0)
                return strdup(NODE_BUS_NAME);
        return asprintf(&name, "%s.%s", NODE_BUS_NAME, ctl->instance) < 0 ? NULL : name;
}

int ctl_open_bus(const Ctl *ctl, sd_bus **ret) {
        int r = ctl->user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);

        if (r < 0) {
                ctl_error("cannot connect to the %s bus: %s", ctl->user ? "session" : "system", strerror(-r));
                return r;
        }
        (void) sd_bus_set_allow_interactive_authorization(*ret, true);
        return 0;
}

static void ctl_help(void) {
        (void) printf("architectctl [OPTIONS...] VERB [ARGUMENTS...]\n\n"
                      "Controls architect-node.\n\n"
                      "Verbs:\n");
        for (size_t i = 0; i < ELEMENTSOF(ctl_verbs); i++)
                (void) printf("  %s\n", ctl_verbs[i].help);
        (void) printf(
                "\nOptions:\n"
                "  -h --help              Show this help; after a verb, the verb's\n"
                "     --version           Show the version\n"
                "     --instance=NAME     The instance of the service (default: " NODE_DEFAULT_INSTANCE ")\n"
                "     --user              The service on the session bus\n");
}

int main(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_INSTANCE, ARG_USER };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "instance", required_argument, NULL, ARG_INSTANCE },
                { "user", no_argument, NULL, ARG_USER },
                { 0 },
        };
        Ctl ctl = { .instance = NODE_DEFAULT_INSTANCE };
        int c;

        /* '+': the arguments after the verb belong to the verb. */
        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        ctl_help();
                        return EXIT_SUCCESS;
                case ARG_VERSION:
                        (void) printf("architectctl %s\n", PROJECT_VERSION);
                        return EXIT_SUCCESS;
                case ARG_INSTANCE:
                        if (!instance_name_is_valid(optarg)) {
                                ctl_error("\"%s\" is not a valid instance name", optarg);
                                return EXIT_FAILURE;
                        }
                        ctl.instance = optarg;
                        break;
                case ARG_USER:
                        ctl.user = true;
                        break;
                default:
                        return EXIT_FAILURE;
                }

        if (optind >= argc) {
                ctl_error("a verb is missing, see architectctl --help");
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < ELEMENTSOF(ctl_verbs); i++)
                if (strcmp(ctl_verbs[i].name, argv[optind]) == 0) {
                        int first = optind;

                        optind = 0; /* getopt() starts again */
                        return ctl_verbs[i].run(&ctl, argc - first, argv + first);
                }

        ctl_error("unknown verb %s, see architectctl --help", argv[optind]);
        return EXIT_FAILURE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "config.h"
#include "ctl/hosts.h"
#include "ctl/verb.h"
#include "ctl/words.h"

enum {
        OPTION_VERSION = 0x100,
        OPTION_INSTANCE,
        OPTION_USER,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_NO_PAGER,
        OPTION_NO_ASK_PASSWORD,
        OPTION_TIMEOUT,
        OPTION_YES,
};

static const struct option shared_options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "instance", required_argument, NULL, OPTION_INSTANCE },
        { "user", no_argument, NULL, OPTION_USER },
        { "machine", required_argument, NULL, 'M' },
        { "host", required_argument, NULL, 'H' },
        { "json", required_argument, NULL, OPTION_JSON },
        { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
        { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
        { "quiet", no_argument, NULL, 'q' },
        { "no-ask-password", no_argument, NULL, OPTION_NO_ASK_PASSWORD },
        { "timeout", required_argument, NULL, OPTION_TIMEOUT },
        { "yes", no_argument, NULL, OPTION_YES },
};

#define SHARED_SHORT_OPTIONS "hM:H:jq"
#define OPTIONS_MAX 64

static const char shared_help[] =
        "  -h --help              Show this help; after a verb, the one of the verb\n"
        "     --version           Show the version\n"
        "     --instance=NAME     The instance of the service (default: main)\n"
        "     --user              The service on the session bus, not that of the system\n"
        "  -M --machine=NAME      The service in a local container\n"
        "  -H --host=[USER@]HOST,...|@GROUP\n"
        "                         The service on other hosts, by ssh\n"
        "     --json=MODE         Write JSON: pretty, short or off\n"
        "  -j                     The same as --json=pretty on a terminal, otherwise =short\n"
        "     --no-legend         Show no headings and no summary\n"
        "     --no-pager          Do not pipe the output into a pager\n"
        "  -q --quiet             Show no messages but errors\n"
        "     --no-ask-password   Do not ask for a password, but fail\n"
        "     --timeout=TIME      Wait at most so long for each reply of the service\n"
        "     --yes               Do not ask before something is done\n";

/* -- help -- */

static void print_help(void) {
        (void) printf("architectctl [OPTIONS...] [VERB [ARGUMENTS...]]\n\n"
                      "Controls the roles of architect-node. Without a verb it lists them.\n");
        for (size_t i = 0; i < n_ctl_verbs; i++) {
                const CtlVerb *verb = &ctl_verbs[i];
                g_autofree char *synopsis =
                        g_strconcat(verb->name, verb->arguments[0] ? " " : "", verb->arguments, NULL);

                if (verb->heading)
                        (void) printf("\n%s:\n", verb->heading);
                if (strlen(synopsis) > 30)
                        (void) printf("  %s\n  %-30s %s\n", synopsis, "", verb->summary);
                else
                        (void) printf("  %-30s %s\n", synopsis, verb->summary);
        }
        (void) printf("\nOptions:\n%s\nSee architectctl(1).\n", shared_help);
}

static void print_verb_help(const CtlVerb *verb) {
        (void) printf("architectctl [OPTIONS...] %s%s%s\n\n%s.\n", verb->name, verb->arguments[0] ? " " : "",
                verb->arguments, verb->summary);
        if (verb->options)
                (void) printf("\n%s", verb->options);
        (void) printf("\nOptions of all verbs:\n%s", shared_help);
}

/* -- values -- */

static CtlExit parse_json(Ctl *ctl, const char *text) {
        if (strcmp(text, "off") == 0)
                ctl->json = CTL_JSON_OFF;
        else if (strcmp(text, "short") == 0)
                ctl->json = CTL_JSON_SHORT;
        else if (strcmp(text, "pretty") == 0)
                ctl->json = CTL_JSON_PRETTY;
        else
                return ctl_usage(NULL, "--json=%s: there are pretty, short and off", text);
        return CTL_EXIT_OK;
}

/* The threads of several hosts find those that are known already. */
static CtlExit add_host(Ctl *ctl, const char *word) {
        if (!ctl->host_words)
                ctl->host_words = g_ptr_array_new();
        if (!g_ptr_array_find_with_equal_func(ctl->host_words, word, g_str_equal, NULL)) {
                if (ctl->many)
                        return ctl_usage(NULL,
                                "--host=%s comes after the hosts were known; give all of them first", word);
                g_ptr_array_add(ctl->host_words, (char *) word);
        }
        return CTL_EXIT_OK;
}

static CtlExit find_hosts(Ctl *ctl, char *const *words) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free),
                             hosts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(HostGroups) groups = host_groups_new();

        if (host_words_have_group(words))
                host_groups_load(groups, errors);
        for (guint i = 0; i < errors->len; i++)
                ctl_error("%s", (char *) g_ptr_array_index(errors, i));
        /* A host that is missing in a group would be missed later. */
        if (errors->len > 0)
                return CTL_EXIT_FAILED;
        g_autofree char *reason = host_groups_expand(groups, words, hosts);
        if (reason)
                return ctl_usage(NULL, "--host=: %s", reason);
        g_clear_pointer(&ctl->hosts, g_ptr_array_unref);
        ctl->hosts = g_steal_pointer(&hosts);
        return CTL_EXIT_OK;
}

/* For a verb that holds all hosts itself. Returns true if it does not go on. */
static bool take_all_hosts(Ctl *ctl, CtlExit *ret) {
        if (!ctl->host_words) {
                ctl->host_words = g_ptr_array_new();
                g_ptr_array_add(ctl->host_words, (char *) "@all");
        }
        g_autofree char **words = g_new0(char *, (gsize) ctl->host_words->len + 1);
        memcpy(words, ctl->host_words->pdata, ctl->host_words->len * sizeof(words[0]));
        *ret = find_hosts(ctl, words);
        return *ret != CTL_EXIT_OK;
}

/* Returns true if the verb does not go on: it is run for several hosts, or *ret is an error. A group is
 * several also if it has one host, since a script wants to find the column and the member. */
static bool take_hosts(Ctl *ctl, const CtlVerb *verb, const char *first_word, CtlExit *ret) {
        if (verb->many == CTL_MANY_HOLD)
                return take_all_hosts(ctl, ret);
        if (!ctl->host_words || ctl->many)
                return false;
        g_autofree char **words = g_new0(char *, (gsize) ctl->host_words->len + 1);
        memcpy(words, ctl->host_words->pdata, ctl->host_words->len * sizeof(words[0]));
        ctl->first_word = first_word;
        ctl->host = words[0];
        if (words[1] || words[0][0] == '@' || strchr(words[0], ',')) {
                *ret = find_hosts(ctl, words);
                return true;
        }
        if (host_is_valid(ctl->host))
                return false;
        *ret = ctl_usage(NULL, "--host=: \"%s\" is not a host, as in [USER@]HOST[:PORT]", ctl->host);
        return true;
}

static CtlExit handle_shared(Ctl *ctl, int c, const CtlVerb *verb, bool *done) {
        switch (c) {
        case 'h':
                if (verb)
                        print_verb_help(verb);
                else
                        print_help();
                *done = true;
                return CTL_EXIT_OK;
        case OPTION_VERSION:
                (void) printf("architectctl %s\n", PROJECT_VERSION);
                *done = true;
                return CTL_EXIT_OK;
        case OPTION_INSTANCE:
                if (!instance_name_is_valid(optarg))
                        return ctl_usage(NULL, "\"%s\" is not a valid instance name", optarg);
                ctl->instance = optarg;
                return CTL_EXIT_OK;
        case OPTION_USER:
                ctl->user = true;
                return CTL_EXIT_OK;
        case 'M':
                ctl->machine = optarg;
                return CTL_EXIT_OK;
        case 'H':
                return add_host(ctl, optarg);
        case OPTION_YES:
                ctl->yes = true;
                return CTL_EXIT_OK;
        case 'j':
                ctl->json = ctl_stdout_is_terminal() ? CTL_JSON_PRETTY : CTL_JSON_SHORT;
                return CTL_EXIT_OK;
        case OPTION_JSON:
                return parse_json(ctl, optarg);
        case OPTION_NO_LEGEND:
                ctl->legend = false;
                return CTL_EXIT_OK;
        case OPTION_NO_PAGER:
                ctl->pager = false;
                return CTL_EXIT_OK;
        case 'q':
                ctl->quiet = true;
                return CTL_EXIT_OK;
        case OPTION_NO_ASK_PASSWORD:
                ctl->ask_password = false;
                return CTL_EXIT_OK;
        default:
                if (parse_time(optarg, USEC_PER_SEC, &ctl->timeout_usec) < 0 || ctl->timeout_usec == 0)
                        return ctl_usage(NULL, "--timeout=%s is not a time such as 5s or 1min", optarg);
                return CTL_EXIT_OK;
        }
}

/* -- the walk -- */

/* What getopt_long() says begins with argv[0], which is the verb. It has returned c: ':' if the value is
 * missing, '?' if there is one that is not taken, or if the option is not known. Then optopt is 0, or the
 * letter. */
static CtlExit report_bad_option(const char *verb, int c, const char *shorts, char *argv[]) {
        const char *argument = argv[optind - 1];
        const bool is_letter = optopt > 0 && optopt < 0x100;

        if (c == ':' && is_letter && !g_str_has_prefix(argument, "--"))
                return ctl_usage(verb, "the option -%c needs a value", optopt);
        if (c == ':')
                return ctl_usage(verb, "the option %s needs a value", argument);
        if (is_letter && !strchr(shorts, optopt))
                return ctl_usage(verb, "the option -%c is not known", optopt);
        return ctl_usage(verb, "the option %s %s", argument, optopt > 0 ? "takes no value" : "is not known");
}

int ctl_getopt(Ctl *ctl, int argc, char *argv[], const char *short_options, const struct option *options,
        CtlExit *ret) {
        const CtlVerb *verb = ctl_verb_find(argv[0]);
        const char *name = verb ? verb->name : NULL;
        struct option all[OPTIONS_MAX] = {};
        size_t n = ELEMENTSOF(shared_options);
        bool done = false;

        memcpy(all, shared_options, sizeof(shared_options));
        for (; options && options->name; options++) {
                g_assert(n < OPTIONS_MAX - 1);
                all[n++] = *options;
        }
        short_options = short_options ?: "";
        const bool ordered = short_options[0] == '+';
        g_autofree char *shorts = g_strconcat(
                ordered ? "+:" : ":", SHARED_SHORT_OPTIONS, short_options + (ordered ? 1 : 0), NULL);

        for (;;) {
                int c = getopt_long(argc, argv, shorts, all, NULL);
                if (c == -1)
                        return verb && take_hosts(ctl, verb, optind < argc ? argv[optind] : NULL, ret)
                                       ? CTL_OPTION_EXIT
                                       : -1;
                if (c == '?' || c == ':')
                        *ret = report_bad_option(name, c, shorts, argv);
                else if (c >= CTL_OPTION_OWN || (c < 0x100 && strchr(short_options + (ordered ? 1 : 0), c)))
                        return c;
                else
                        *ret = handle_shared(ctl, c, verb, &done);
                if (done || *ret != CTL_EXIT_OK)
                        return CTL_OPTION_EXIT;
        }
}

CtlExit ctl_refuse_place(const Ctl *ctl, const char *name) {
        const CtlVerb *verb = ctl_verb_find(name);

        g_assert(verb && verb->here);
        ctl_error("%s is not for %s: %s", name,
                ctl->hosts  ? "several hosts"
                : ctl->host ? "other hosts"
                            : "containers",
                verb->here);
        if (verb->instead)
                ctl_explain("%s", verb->instead);
        else if (ctl->hosts)
                ctl_explain("Run it on each of them: ssh -t HOST architectctl %s %s", name, verb->arguments);
        else if (ctl->host)
                ctl_explain("Run it there: ssh -t %s architectctl %s %s", ctl->host, name, verb->arguments);
        else
                ctl_explain("Run it there: machinectl shell %s /usr/bin/architectctl %s %s", ctl->machine,
                        name, verb->arguments);
        return CTL_EXIT_USAGE;
}

CtlExit ctl_check_arguments(int argc, char *argv[], int min, int max) {
        const CtlVerb *verb = ctl_verb_find(argv[0]);
        const int n = argc - optind;

        g_assert(verb);
        if (n < min)
                return ctl_usage(verb->name, "%s needs %s", verb->name, verb->arguments);
        if (n > max)
                return ctl_usage(verb->name, "%s takes %s: \"%s\" is one too many", verb->name,
                        max == 0 ? "no argument" : verb->arguments, argv[optind + max]);
        return CTL_EXIT_OK;
}

bool ctl_begin(Ctl *ctl, int argc, char *argv[], int min, int max, CtlExit *ret) {
        *ret = CTL_EXIT_OK;
        if (ctl_getopt(ctl, argc, argv, NULL, NULL, ret) == CTL_OPTION_EXIT)
                return false;
        *ret = ctl_check_arguments(argc, argv, min, max);
        return *ret == CTL_EXIT_OK;
}

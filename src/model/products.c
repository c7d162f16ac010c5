/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/products.h"

#include <string.h>

#include "config.h"
#include "model/settings.h"

#define SETUP_SCRIPT PKGLIBEXECDIR "/setup-products.bash"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* The characters that a provider accepts in a name and in a version. All others are refused: eups_setup takes
 * NAME=VALUE for a variable, all providers take "-x" for an option, and ":" separates the loaded modules. */
typedef struct Spelling {
        const char *first, *all, *words;
} Spelling;

/* Name and version of a module are parts of one name, and components of a path. */
#define MODULE \
        { \
                LETTERS DIGITS "_", LETTERS DIGITS "_.+/-", \
                        "letters, digits and _.+/-, beginning with a letter, a digit or _" \
        }

static const struct {
        Spelling name, version;
} product_syntax[_PRODUCT_PROVIDER_MAX] = {
        [PRODUCT_PROVIDER_EUPS] = {
                .name = { LETTERS "_", LETTERS DIGITS "_-",
                        "letters, digits, _ and -, beginning with a letter or _" },
                .version = { LETTERS DIGITS "_.", LETTERS DIGITS "_.+:/-",
                        "letters, digits and _.+:/-, beginning with a letter, a digit, _ or ." },
        },
        [PRODUCT_PROVIDER_MODULES] = { MODULE, MODULE },
        [PRODUCT_PROVIDER_LMOD] = { MODULE, MODULE },
};

bool products_wanted(const RoleSpec *spec) {
        return spec->product || spec->eups_list;
}

static int product_check_spelling(const RoleSpec *spec, const char *option, const char *what,
        const char *text, const Spelling *spelling, Fault *fault) {
        if (text[0] && strchr(spelling->first, text[0]) && text[strspn(text, spelling->all)] == '\0')
                return 0;

        g_autofree char *shown = g_strescape(text, NULL);
        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                "Option \"%s\": \"%s\" is not a valid %s for the provider %s, it must be %s", option, shown,
                what, product_provider_to_string(spec->provider), spelling->words);
}

static int product_check(
        const RoleSpec *spec, bool in_list, const char *name, const char *version, Fault *fault) {
        int r = product_check_spelling(spec, in_list ? "eups-list" : "product", "product", name,
                &product_syntax[spec->provider].name, fault);
        if (r >= 0 && version && version[0])
                r = product_check_spelling(spec, in_list ? "eups-list" : "version", "version", version,
                        &product_syntax[spec->provider].version, fault);
        return r;
}

int products_check(const RoleSpec *spec, Fault *fault) {
        if (!spec->product && (spec->version || spec->setup_args))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" is given without \"product\"",
                        spec->version ? "version" : "setup-args");
        if (!products_wanted(spec))
                return spec->provider_set
                               ? fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                         "Option \"provider\" is given without \"product\" or \"eups-list\"")
                               : 0;
        if (spec->setup_args && spec->provider != PRODUCT_PROVIDER_EUPS)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"setup-args\": the provider %s takes none, only eups does",
                        product_provider_to_string(spec->provider));

        int r = spec->product ? product_check(spec, false, spec->product, spec->version, fault) : 0;
        for (char **p = spec->eups_list; r >= 0 && p && *p; p += 2)
                r = product_check(spec, true, p[0], p[1], fault);
        return r;
}

size_t products_size(const RoleSpec *spec) {
        size_t size = 0;

        if (spec->product)
                size += strlen(spec->product) + 1;
        if (spec->version)
                size += strlen(spec->version) + 1;
        for (char **a = spec->setup_args; a && *a; a++)
                size += strlen(*a) + 1;
        for (char **p = spec->eups_list; p && *p; p++)
                size += strlen(*p) + 1;
        return size;
}

static void product_add(
        const RoleSpec *spec, const char *name, const char *version, char **arguments, GPtrArray *setup) {
        size_t n_arguments = arguments ? g_strv_length(arguments) : 0;

        if (version && !version[0])
                version = NULL;
        if (spec->provider != PRODUCT_PROVIDER_EUPS) {
                g_ptr_array_add(setup, g_strdup("1"));
                g_ptr_array_add(setup, g_strjoin("/", name, version, NULL));
                return;
        }
        g_ptr_array_add(setup, g_strdup_printf("%zu", 1 + (version ? 1 : 0) + n_arguments));
        g_ptr_array_add(setup, g_strdup(name));
        if (version)
                g_ptr_array_add(setup, g_strdup(version));
        for (size_t i = 0; i < n_arguments; i++)
                g_ptr_array_add(setup, g_strdup(arguments[i]));
}

bool products_resolved(char *const *products, char ***ret) {
        GPtrArray *resolved = g_ptr_array_new();
        size_t size = 0, n = 0;

        for (char *const *p = products; *p && n < PRODUCTS_RESOLVED_MAX; p += 2, n++) {
                char *name = text_make_valid(p[0]), *version = text_make_valid(p[1]);

                size += strlen(name) + strlen(version);
                if (size > PRODUCTS_RESOLVED_SIZE_MAX) {
                        g_free(name);
                        g_free(version);
                        break;
                }
                g_ptr_array_add(resolved, name);
                g_ptr_array_add(resolved, version);
        }
        bool all = !products[2 * n];
        g_ptr_array_add(resolved, NULL);
        *ret = (char **) g_ptr_array_free(resolved, false);
        return all;
}

/* The child has left out what a shell changes by itself. */
static bool change_differs_each_time(const char *change) {
        /* The first ones are set for each start, the last one is a table of Lmod, in which the time that it
         * has taken may be; the modules and their files are in other variables. */
        static const char *const prefixes[] = { "ARCHITECT_", "LISTEN_", "INVOCATION_ID", "JOURNAL_STREAM",
                "NOTIFY_SOCKET", "EUPS_LOCK_PID", "_ModuleTable" };

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                if (g_str_has_prefix(change, prefixes[i]))
                        return true;
        return false;
}

char *products_environment_hash(const RoleSpec *spec, char *const *changes) {
        g_autoptr(GHashTable) own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);

        for (char **e = spec->environment; e && *e; e++)
                (void) g_hash_table_add(own, g_strndup(*e, strcspn(*e, "=")));
        for (char *const *c = changes; *c; c++) {
                g_autofree char *name = g_strndup(*c, strcspn(*c, "="));

                if (!g_hash_table_contains(own, name) && !change_differs_each_time(*c))
                        g_checksum_update(checksum, (const unsigned char *) *c, (gssize) strlen(*c) + 1);
        }
        char *hash = g_strdup(g_checksum_get_string(checksum));
        g_checksum_free(checksum);
        return hash;
}

char **products_setup(const RoleSpec *spec, const Settings *settings) {
        if (!products_wanted(spec))
                return NULL;

        GPtrArray *setup = g_ptr_array_new();
        g_ptr_array_add(setup, g_strdup(SETUP_SCRIPT));
        g_ptr_array_add(setup, g_strdup(product_provider_to_string(spec->provider)));
        g_ptr_array_add(setup, g_strdup(spec->provider == PRODUCT_PROVIDER_MODULES ? settings->modules_command
                                        : spec->provider == PRODUCT_PROVIDER_LMOD  ? settings->lmod_command
                                                                                   : ""));
        if (spec->product)
                product_add(spec, spec->product, spec->version, spec->setup_args, setup);
        for (char **p = spec->eups_list; p && *p; p += 2)
                product_add(spec, p[0], p[1], NULL, setup);
        g_ptr_array_add(setup, NULL);
        return (char **) g_ptr_array_free(setup, false);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Prints the options of a role, from the table by which they are read, as the section of a man page: of
 * org.architect.Node(5), or, with the argument "keys", of architect-node.role(5). With "names" it prints the keys
 * of role files, one in each line. */

#include <stdio.h>

#include "model/role-options.h"

/* The settings of systemd that have the meaning of this option. */
static char *settings_of_systemd(const RoleOption *option) {
        GString *settings = g_string_new(NULL);

        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];

                if (o->systemd && (o == option || g_strcmp0(o->part_of, option->key) == 0))
                        g_string_append_printf(settings, "%s<varname>%s=</varname>",
                                settings->len > 0 ? ", " : "", o->file_key);
        }
        return g_string_free(settings, false);
}

static void print_options(void) {
        puts("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<refsect1>\n"
             "<title>Options of Start and settings of systemd</title>\n"
             "<para>The following options of Start have the meaning of settings of systemd, which\n"
             "<citerefentry><refentrytitle>systemd.directives</refentrytitle><manvolnum>7</manvolnum></citerefentry>\n"
             "lists. Their defaults and the spelling of their values are those that are described with\n"
             "Start.</para>\n"
             "<variablelist>");
        for (size_t i = 0; i < n_role_options; i++) {
                const RoleOption *o = &role_options[i];
                g_autofree char *settings = o->key ? settings_of_systemd(o) : g_strdup("");

                if (settings[0])
                        printf("<varlistentry><term><literal>%s (%s)</literal></term>\n"
                               "<listitem><para>%s</para></listitem></varlistentry>\n",
                                o->key, o->signature, settings);
        }
        puts("</variablelist>\n</refsect1>");
}

/* -- the keys of a role file -- */

static const char *number_spelling(RoleNumber number) {
        switch (number) {
        case ROLE_NUMBER_SIGNAL:
                return "A signal by name, such as <literal>SIGINT</literal> or <literal>INT</literal>, or number.";
        case ROLE_NUMBER_TIME:
        case ROLE_NUMBER_CPU_TIME:
                return "A time, in seconds if it has no unit.";
        case ROLE_NUMBER_RT_TIME:
                return "A time, in microseconds if it has no unit.";
        case ROLE_NUMBER_SIZE:
                return "A size in bytes, or with one of the suffixes.";
        case ROLE_NUMBER_PERCENT:
                return "A percentage, such as <literal>150%</literal>.";
        case ROLE_NUMBER_NICE:
                return "From 1 to 40, or a nice level with its sign, such as <literal>-5</literal>.";
        default:
                return "A number.";
        }
}

static const char *spelling(const RoleOption *o) {
        switch (o->kind) {
        case ROLE_OPTION_STRING:
                return "A text, without quotes.";
        case ROLE_OPTION_STRINGS:
                return o->last_wins ? "Words."
                                    : "Words. The key may be repeated, which adds words to the list.";
        case ROLE_OPTION_PAIRS:
                return "Words <replaceable>NAME</replaceable>=<replaceable>VERSION</replaceable> or "
                       "<replaceable>NAME</replaceable>. The key may be repeated, which adds to the list.";
        case ROLE_OPTION_STRING_ENTRIES:
                return "Words <replaceable>NAME</replaceable>=<replaceable>VALUE</replaceable>, with the quotes "
                       "and escapes of systemd. The key may be repeated; the last value of a name counts.";
        case ROLE_OPTION_FLAG:
                return "A boolean.";
        case ROLE_OPTION_PORTS:
                return "Numbers. The key may be repeated, which adds to the list.";
        default:
                return number_spelling(o->number);
        }
}

static void print_key(const RoleOption *o) {
        printf("<varlistentry><term><varname>%s=</varname></term>\n<listitem><para>", o->file_key);
        if (o->part_of)
                printf("One of the option <literal>%s</literal> of Start. %s", o->part_of, spelling(o));
        else if (o->key)
                printf("The option <literal>%s</literal> of Start. %s", o->key, spelling(o));
        else
                printf("The program and its arguments. No shell is run. %s", spelling(o));
        printf("%s</para></listitem></varlistentry>\n", o->systemd ? " As for systemd." : "");
}

static void print_keys(void) {
        puts("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<refsect1>\n"
             "<title>Keys that are options of Start</title>\n"
             "<para>What an option does, and its default, is described with Start in\n"
             "<citerefentry><refentrytitle>org.architect.Node</refentrytitle><manvolnum>5</manvolnum></citerefentry>.\n"
             "<quote>As for systemd</quote> means that a setting of this name in a unit file has the same\n"
             "meaning.</para>\n"
             "<variablelist>");
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key && !role_options[i].of_call)
                        print_key(&role_options[i]);
        puts("</variablelist>\n</refsect1>");
}

/* For the completions: the keys alone. */
static void print_names(void) {
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key)
                        puts(role_options[i].file_key);
}

int main(int argc, char **argv) {
        if (argc == 2 && g_str_equal(argv[1], "names"))
                print_names();
        else if (argc == 2 && g_str_equal(argv[1], "keys"))
                print_keys();
        else
                print_options();
        return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "ctl/start-args.h"
#include "ctl/verb.h"

#define ABOUT_FILES "it reads or writes role files of the machine on which it runs"
#define ITS_HOSTS \
        "its hosts are those of the file", .instead = "Name them there, each in a section [Host NAME]."

/* In the order of the help. */
const CtlVerb ctl_verbs[] = {
        { "list", verb_list, "[PATTERN...|@GROUP...]", "List roles, by default all", .many = CTL_MANY_LOOK,
                .looks = true, .heading = "Roles",
                .options = "     --defined           List the definitions in role files\n" },
        { "status", verb_status, "[ROLE...|@GROUP...]",
                "Show the state and the last output of roles, or the node", .many = CTL_MANY_LOOK,
                .looks = true,
                .options = "  -n --lines=N           Show N lines of the output (default: 10)\n" },
        { "show", verb_show, "[ROLE...|@GROUP...]", "Show all properties of roles, or of the node",
                .many = CTL_MANY_LOOK, .looks = true,
                .options = "  -p --property=NAME,... Show only these properties\n"
                           "     --value             Show the values only\n" },
        { "cat", verb_cat, "ROLE...|@GROUP...", "Show role files with their drop-ins",
                .many = CTL_MANY_LOOK },
        { "poll", verb_poll, "[ROLE...]", "Show running, or the exit status, of roles", .many = CTL_MANY_LOOK,
                .looks = true },
        { "tree", verb_tree, "[ROLE...|@GROUP...]", "Show what roles and definitions depend on, as a tree",
                .many = CTL_MANY_LOOK, .looks = true,
                .options = "     --reverse           Show what depends on them\n" },
        { "blame", verb_blame, "[ROLE...|@GROUP...]",
                "Show how long starts took, and where, the longest first", .many = CTL_MANY_LOOK,
                .looks = true },
        { "top", verb_top, "", "Show CPU, memory and tasks of roles, live", .looks = true,
                .here = "it reads the control groups of the machine on which it runs",
                .options = "  -n --iterations=N      Show it N times\n"
                           "  -d --delay=TIME        The time between (default: 1s)\n"
                           "     --order=ORDER       cpu, memory or tasks; with the keys c, m and t, too\n"
                           "     --batch             Write one table after the other\n" },
        { "purge", verb_purge, "ROLE...|@GROUP...|--all", "Forget roles that have ended",
                .many = CTL_MANY_CHANGE,
                .options = "     --all               All of them\n"
                           "     --force             Also if a manager or a lease has them\n" },
        { "start", verb_start, "ROLE...|@GROUP...|NAME [OPTIONS] [--] COMMAND...",
                "Start roles that are defined, or a command as a role", .many = CTL_MANY_CHANGE,
                .heading = "Start and stop", .options = START_OPTIONS_HELP },
        { "run", verb_run, "[NAME] [OPTIONS] -- COMMAND...",
                "Run a command, and wait for it if it is asked to",
                .here = "it has one standard input and output, and one exit status, unlike start",
                .options = "     --wait                   Run it as if it were local, and return its status\n"
                           "  -P --pipe                   The same, with pipes\n"
                           "  -t --pty                    The same, on a terminal\n" START_OPTIONS_HELP },
        { "wait", verb_wait, "ROLE...", "Wait for the end of roles, and return their status",
                .many = CTL_MANY_STREAM,
                .options =
                        "     --until=STATE       Wait until they are ended (the default), ready or running\n" },
        { "stop", verb_stop, "ROLE...|@GROUP...|--all", "Stop roles, and wait until they are gone",
                .many = CTL_MANY_CHANGE,
                .options = "     --all               Stop all roles\n"
                           "     --force             Also if a manager or a lease has them\n" },
        { "kill", verb_kill, "ROLE...|@GROUP...|--all", "Kill all processes of roles",
                .many = CTL_MANY_CHANGE,
                .options = "     --all               Kill all roles\n"
                           "     --force             Also if a manager or a lease has them\n" },
        { "restart", verb_restart, "ROLE...|@GROUP...|--all",
                "Stop roles and start them from their definitions", .many = CTL_MANY_CHANGE,
                .options = "     --all               Restart all roles that run\n"
                           "     --force             Also if a manager or a lease has them\n" },
        { "signal", verb_signal, "ROLE SIGNAL", "Send a signal to a role", .many = CTL_MANY_CHANGE,
                .options = "     --to=WHOM           To its process main (the default), or to all\n"
                           "     --force             Also if a manager or a lease has the role\n" },
        { "send", verb_send, "ROLE [TEXT...]", "Send a line, or standard input, to the input of a role",
                .many = CTL_MANY_CHANGE,
                .options = "     --close             Close its input afterwards\n"
                           "     --force             Also if a lease has the role\n" },
        { "freeze", verb_freeze, "ROLE...|@GROUP...", "Keep the processes of roles from running",
                .many = CTL_MANY_CHANGE,
                .options = "     --force             Also if a manager or a lease has them\n" },
        { "thaw", verb_thaw, "ROLE...|@GROUP...", "Let frozen roles run on", .many = CTL_MANY_CHANGE,
                .options = "     --force             Also if a manager or a lease has them\n" },
        { "attach", verb_attach, "ROLE", "Show the terminal of a role and type into it",
                .here = "no terminal is passed by the connection to a bus of another host",
                .options =
                        "     --escape=KEY        The key that detaches (default: ^], \"none\" disables it)\n"
                        "     --no-replay         Show new output only\n"
                        "     --fd=N              Show the terminal of an inherited socket of OpenTerminal,\n"
                        "                         instead of that of a role\n"
                        "     --size-fd=N         The socket for the size that OpenTerminal returned with it\n"
                        "     --force             Also if a lease has the role\n" },

        { "up", verb_up, "FILE", "Start what a file says, on all its hosts", .heading = "Observatories",
                .here = ITS_HOSTS,
                .options = "     --force             Replace what runs and was started by others\n"
                           "     --token=N           The fencing token (default: one more than the last)\n" },
        { "diff", verb_diff, "FILE", "Show what up would do", .here = ITS_HOSTS },
        { "down", verb_down, "FILE", "Stop what up has started", .here = ITS_HOSTS,
                .options = "     --force             Also what has another lease\n"
                           "     --token=N           The fencing token (default: one more than the last)\n" },

        { "monitor", verb_monitor, "[PATTERN...]", "Show events as they happen", .many = CTL_MANY_STREAM,
                .heading = "Events, logs and monitoring",
                .options = "     --since=SEQ         Begin with those after this number\n"
                           "     --epoch=EPOCH       The epoch of that number\n"
                           "     --format=supervisor  Talk to an event listener of supervisord\n"
                           "  -n --count=COUNT       End after so many events\n" },
        { "logs", verb_logs, "[ROLE...]", "Show what roles have written, with journalctl",
                .many = CTL_MANY_STREAM,
                .options = "  -f --follow            Go on with what is written from now on\n"
                           "  -n --lines=LINES       Only the last lines\n"
                           "     --since=TIME        Only what is not older\n"
                           "  -o --output=MODE       The form of journalctl: short, cat, json...\n" },
        { "desk", verb_desk, "", "Hold the connections to hosts, for programs on the bus of the user",
                .many = CTL_MANY_HOLD },

        { "check", verb_check, "[ROLE...|@GROUP...]", "Check roles and the node, as a monitoring plug-in",
                .many = CTL_MANY_CHECK, .looks = true },
        { "metrics", verb_metrics, "", "Write OpenMetrics", .many = CTL_MANY_LOOK, .looks = true,
                .options = "     --output=FILE       Replace this file, for a textfile collector\n" },
        { "verify", verb_verify, "FILE...", "Check role files before they are used", .heading = "Role files",
                .here = ABOUT_FILES },
        { "edit", verb_edit, "ROLE", "Edit a drop-in of a definition, or the whole file", .here = ABOUT_FILES,
                .options = "     --full              Edit the role file itself, or a copy of it\n" },
        { "enable", verb_enable, "ROLE...", "Start roles with the service (AutoStart=yes)",
                .here = ABOUT_FILES, .options = "     --now               Start them now, too\n" },
        { "disable", verb_disable, "ROLE...", "Do not start roles with the service", .here = ABOUT_FILES,
                .options = "     --now               Stop them now, too\n" },
        { "reload", verb_reload, "", "Read the configuration and the role files again",
                .many = CTL_MANY_CHANGE },
        { "import", verb_import, "supervisord|procserv|systemd FILE...",
                "Write role files from what others have", .here = ABOUT_FILES,
                .options =
                        "     --output=DIR        Write the files there, not all to standard output\n"
                        "     --install           Write them where the service reads them, and reload it\n"
                        "     --force             Replace files that exist\n"
                        "     --setenv=NAME[=VALUE]\n"
                        "                         A variable that the supervisor has in its environment\n" },
        { "env", verb_env, "[get|set|unset|list] ...", "The environment of roles that are started later",
                .many = CTL_MANY_SET, .heading = "Environment and ports" },
        { "bind-tcp", verb_bind_tcp, "[COUNT]", "Reserve TCP ports", .many = CTL_MANY_CHANGE,
                .options = "     --ports=PORT,...    These ports\n"
                           "     --range=FIRST-LAST  The lowest ones of this range that are free\n"
                           "     --address=ADDRESS   At this address of the machine only\n" },
        { "bind-udp", verb_bind_udp, "[COUNT]", "Reserve UDP ports", .many = CTL_MANY_CHANGE,
                .options = "     --ports=PORT,...    These ports\n"
                           "     --range=FIRST-LAST  The lowest ones of this range that are free\n"
                           "     --address=ADDRESS   At this address of the machine only\n" },
        { "ports", verb_ports, "", "List the reserved ports", .many = CTL_MANY_LOOK, .looks = true },
        { "release", verb_release, "PORT...|--all", "Free reserved ports", .many = CTL_MANY_CHANGE,
                .options = "     --all               All that you have reserved and that no role has\n"
                           "     --tcp               Only TCP ports\n"
                           "     --udp               Only UDP ports\n" },

        { "beat", verb_beat, "", "Report that the manager is alive", .many = CTL_MANY_CHANGE,
                .heading = "Service",
                .options = "     --every=TIME        Go on with that, so often\n"
                           "     --lease=NAME        For this lease, which is acquired if nobody has it\n"
                           "     --token=N           Its fencing token (default: 0)\n"
                           "     --within=TIME       The next beat is due within TIME (default: 30s)\n" },
        { "monitor-timeout", verb_monitor_timeout, "[TIME]", "Show or set the longest time from beat to beat",
                .many = CTL_MANY_SET },
        { "leases", verb_leases, "", "List the leases of managers", .many = CTL_MANY_LOOK, .looks = true },
        { "lease", verb_lease, "acquire|release NAME", "Acquire or release a lease", .many = CTL_MANY_CHANGE,
                .options = "     --token=N           Its fencing token (default: 0)\n"
                           "     --within=TIME       The next beat is due within TIME (default: 30s)\n" },
        { "log-level", verb_log_level, "[LEVEL]", "Show or set the log level of the service",
                .many = CTL_MANY_SET },
        { "log-to-sve", verb_log_to_sve, "BOOL", "Turn the signal LogMessage on or off",
                .many = CTL_MANY_CHANGE },
        { "shutdown", verb_shutdown, "[REASON]", "Stop all roles and end the service",
                .many = CTL_MANY_CHANGE,
                .options = "     --no-block          Do not wait until all have ended\n" },
};

const size_t n_ctl_verbs = ELEMENTSOF(ctl_verbs);

const CtlVerb *ctl_verb_find(const char *name) {
        for (size_t i = 0; i < n_ctl_verbs; i++)
                if (strcmp(ctl_verbs[i].name, name) == 0)
                        return &ctl_verbs[i];
        return NULL;
}

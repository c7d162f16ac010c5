/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A value of each option of Start, for tests that compare the ways to say it. */

#include "model/role-options.h"

/* Each option of the table, with the same value on D-Bus and as text of a role file; without is what the
 * other options must be for it. */
static const struct {
        const char *key, *without, *with, *text;
} samples[] = {
        { "env", "@a{sv} {}", "{'env': <{'A': '1', 'B': 'two words'}>}", "Environment=A=1 \"B=two words\"" },
        { "working-directory", "@a{sv} {}", "{'working-directory': <'/a b'>}", "WorkingDirectory=/a b" },
        { "user", "@a{sv} {}", "{'user': <'daemon'>}", "User=daemon" },
        { "group", "@a{sv} {}", "{'group': <'adm'>}", "Group=adm" },
        { "stdin", "@a{sv} {}", "{'stdin': <'null'>}", "StandardInput=null" },
        { "xterm", "{'stdin': <'pty'>}", "{'stdin': <'pty'>, 'xterm': <true>}",
                "StandardInput=pty\nXTerm=yes" },
        { "xterm-args", "{'xterm': <true>}", "{'xterm': <true>, 'xterm-args': <['-T', 'a b']>}",
                "XTerm=yes\nXTermArguments=-T 'a b'" },
        { "output", "@a{sv} {}", "{'output': <'append:/var/log/a b'>}",
                "StandardOutput=append:/var/log/a b" },
        { "output-timestamps", "{'output': <'file:/log'>}",
                "{'output': <'file:/log'>, 'output-timestamps': <true>}",
                "StandardOutput=file:/log\nOutputTimestamps=yes" },
        { "ignore-sigpipe", "@a{sv} {}", "{'ignore-sigpipe': <false>}", "IgnoreSIGPIPE=no" },
        { "exit-type", "@a{sv} {}", "{'exit-type': <'cgroup'>}", "ExitType=cgroup" },
        { "type", "@a{sv} {}", "{'type': <'oneshot'>}", "Type=oneshot" },
        { "timeout-start-usec", "{'type': <'oneshot'>}",
                "{'type': <'oneshot'>, 'timeout-start-usec': <uint64 90000000>}",
                "Type=oneshot\nTimeoutStartSec=1min 30s" },
        { "notify-access", "@a{sv} {}", "{'notify-access': <'all'>}", "NotifyAccess=all" },
        { "watchdog-usec", "@a{sv} {}", "{'watchdog-usec': <uint64 1500000>}", "WatchdogSec=1.5" },
        { "watchdog-signal", "{'watchdog-usec': <uint64 1500000>}",
                "{'watchdog-usec': <uint64 1500000>, 'watchdog-signal': <9>}",
                "WatchdogSec=1.5\nWatchdogSignal=KILL" },
        { "stop-signal", "@a{sv} {}", "{'stop-signal': <2>}", "KillSignal=SIGINT" },
        { "stop-to", "@a{sv} {}", "{'stop-to': <'main'>}", "StopTo=main" },
        { "stop-timeout-usec", "@a{sv} {}", "{'stop-timeout-usec': <90000000>}", "TimeoutStopSec=1min 30s" },
        { "stop-timeout-usec", "@a{sv} {}", "{'stop-timeout-usec': <uint64 18446744073709551615>}",
                "TimeoutStopSec=infinity" },
        { "on-monitor-loss", "@a{sv} {}", "{'on-monitor-loss': <'kill'>}", "OnMonitorLoss=kill" },
        { "restart", "@a{sv} {}", "{'restart': <'on-failure'>}", "Restart=on-failure" },
        { "restart-usec", "@a{sv} {}", "{'restart-usec': <uint64 1500000>}", "RestartSec=1.5s" },
        { "restart-steps", "@a{sv} {}", "{'restart-steps': <uint32 7>}", "RestartSteps=7" },
        { "restart-max-delay-usec", "@a{sv} {}", "{'restart-max-delay-usec': <uint64 60000000>}",
                "RestartMaxDelaySec=1min" },
        { "success-exit-status", "@a{sv} {}", "{'success-exit-status': <['1', 'TEMPFAIL', 'SIGKILL']>}",
                "SuccessExitStatus=1 TEMPFAIL\nSuccessExitStatus=SIGKILL" },
        { "restart-prevent-exit-status", "@a{sv} {}", "{'restart-prevent-exit-status': <['255']>}",
                "RestartPreventExitStatus=255" },
        { "start-limit-interval-usec", "@a{sv} {}", "{'start-limit-interval-usec': <uint64 0>}",
                "StartLimitIntervalSec=0" },
        { "start-limit-burst", "@a{sv} {}", "{'start-limit-burst': <uint32 0>}", "StartLimitBurst=0" },
        { "nice", "@a{sv} {}", "{'nice': <0>}", "Nice=0" },
        { "nice", "@a{sv} {}", "{'nice': <-20>}", "Nice=-20" },
        { "limits", "@a{sv} {}",
                "{'limits': <{'as': uint64 1024, 'core': 18446744073709551615, 'cpu': 60, 'data': 1, 'fsize': 2, 'locks': 3, 'memlock': 4, 'msgqueue': 5}>}",
                "LimitAS=1K\nLimitCORE=infinity\nLimitCPU=1min\nLimitDATA=1\nLimitFSIZE=2\nLimitLOCKS=3\nLimitMEMLOCK=4\nLimitMSGQUEUE=5" },
        { "limits", "@a{sv} {}",
                "{'limits': <{'nice': uint64 15, 'nofile': 64, 'nproc': 6, 'rss': 7, 'rtprio': 8, 'rttime': 9000, 'sigpending': 10, 'stack': 11}>}",
                "LimitNICE=+5\nLimitNOFILE=64\nLimitNPROC=6\nLimitRSS=7\nLimitRTPRIO=8\nLimitRTTIME=9000\nLimitSIGPENDING=10\nLimitSTACK=11" },
        { "remove", "@a{sv} {}", "{'remove': <true>}", "Remove=true" },
        { "memory-max", "@a{sv} {}", "{'memory-max': <uint64 1610612736>}", "MemoryMax=1.5G" },
        { "tasks-max", "@a{sv} {}", "{'tasks-max': <100>}", "TasksMax=100" },
        { "cpu-quota", "@a{sv} {}", "{'cpu-quota': <150>}", "CPUQuota=150%" },
        { "product", "@a{sv} {}", "{'product': <'p'>}", "Product=p" },
        { "version", "{'product': <'p'>}", "{'product': <'p'>, 'version': <'1'>}",
                "Product=p\nProductVersion=1" },
        { "setup-args", "{'product': <'p'>}", "{'product': <'p'>, 'setup-args': <['-t', '']>}",
                "Product=p\nSetupArguments=-t \"\"" },
        { "eups-list", "@a{sv} {}", "{'eups-list': <[('p', '1'), ('q', '')]>}", "EupsList=p=1 q" },
        { "provider", "{'product': <'p'>}", "{'product': <'p'>, 'provider': <'lmod'>}",
                "Product=p\nProductProvider=lmod" },
        { "tcp-ports", "@a{sv} {}", "{'tcp-ports': <[uint16 2, 1]>}", "TCPPorts=2 1" },
        { "udp-ports", "@a{sv} {}", "{'udp-ports': <[uint16 65535]>}", "UDPPorts=65535" },
        { "release-ports", "@a{sv} {}", "{'release-ports': <[uint16 3]>}", "ReleasePorts=3" },
        { "environment-file", "@a{sv} {}", "{'environment-file': <['/a', '-/b c']>}",
                "EnvironmentFile=/a '-/b c'" },
        { "role-groups", "@a{sv} {}", "{'role-groups': <['night', 'day']>}", "RoleGroups=night day" },
        { "after", "@a{sv} {}", "{'after': <['a', 'b']>}", "After=a\nAfter=b a" },
        { "wants", "@a{sv} {}", "{'wants': <['a']>}", "Wants=a" },
        { "requires", "@a{sv} {}", "{'requires': <['a', 'b']>}", "Requires=a b" },
        { "binds-to", "@a{sv} {}", "{'binds-to': <['a']>}", "BindsTo=a" },
        { "part-of", "@a{sv} {}", "{'part-of': <['a']>}", "PartOf=a" },
        { "cpu-affinity", "@a{sv} {}", "{'cpu-affinity': <'0-3 5'>}", "CPUAffinity=0,1,2 5\nCPUAffinity=3" },
        { "oom-score-adjust", "@a{sv} {}", "{'oom-score-adjust': <0>}", "OOMScoreAdjust=0" },
        { "oom-score-adjust", "@a{sv} {}", "{'oom-score-adjust': <-1000>}", "OOMScoreAdjust=-1000" },
        { "cpu-weight", "@a{sv} {}", "{'cpu-weight': <200>}", "CPUWeight=200" },
        { "io-weight", "@a{sv} {}", "{'io-weight': <10000>}", "IOWeight=10000" },
        { "memory-high", "@a{sv} {}", "{'memory-high': <uint64 1073741824>}", "MemoryHigh=1G" },
        { "delegate", "@a{sv} {}", "{'delegate': <true>}", "Delegate=yes" },
        { "exec-start-pre", "@a{sv} {}", "{'exec-start-pre': <[['-/x', 'a b'], ['y']]>}",
                "ExecStartPre=-/x 'a b'\nExecStartPre=y" },
        { "exec-stop", "@a{sv} {}", "{'exec-stop': <[['/x', 'a b']]>}", "ExecStop=/x 'a b'" },
        { "exec-stop-post", "@a{sv} {}", "{'exec-stop-post': <[['-x']]>}", "ExecStopPost=-x" },
        { "lease", "@a{sv} {}", "{'lease': <'cluster'>}", "Lease=cluster" },
        { "fencing-token", "{'lease': <'cluster'>}",
                "{'lease': <'cluster'>, 'fencing-token': <uint64 18446744073709551615>}",
                "Lease=cluster\nFencingToken=18446744073709551615" },
        { "managed-by", "@a{sv} {}", "{'managed-by': <'pacemaker:guider'>}", "ManagedBy=pacemaker:guider" },
        { "exec-start-pre", "@a{sv} {}", "{'exec-start-pre': <[<['-/x', 'a b']>, <<[<'y'>]>>]>}",
                "ExecStartPre=/z\nExecStartPre=\nExecStartPre=-/x 'a b'\nExecStartPre=y" },
};

static bool has_sample(const char *key) {
        for (size_t i = 0; i < ELEMENTSOF(samples); i++)
                if (g_str_equal(samples[i].key, key))
                        return true;
        return false;
}

/* Fails if an option of the table has none. */
static void assert_all_sampled(void) {
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].key && !has_sample(role_options[i].key))
                        fail_msg("Option \"%s\" has no sample", role_options[i].key);
}

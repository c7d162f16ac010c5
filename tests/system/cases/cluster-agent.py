#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""The agents of Pacemaker without a cluster: ocf:architect:role by its exit statuses, also under ocf-tester of
the package resource-agents, and fence_architect where it refuses. tests/system/cluster.py has a real cluster."""

import os
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree as ElementTree

from systemcase import CALL, NodeCase, busctl, main, path_of, pid_of, run, wait_until, write

AGENT = "/usr/lib/ocf/resource.d/architect/role"
TESTER = "/opt/resource-agents"
ROLE_FILES = "/etc/architect-node/main.roles.d"

SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, PERM, INSTALLED, CONFIGURED, NOT_RUNNING = range(8)


def unit_property(unit, name):
    return run("systemctl", "show", "-P", name, unit).stdout.strip()


def node_pid():
    return int(unit_property("architect-node.service", "MainPID"))


def property_of(role, name):
    return busctl("get-property", CALL[2], path_of(role), CALL[4] + ".Role", name)


class Agent(NodeCase):
    def setUp(self):
        super().setUp()
        self.beat(600)
        self.addCleanup(self.release)
        self.resource = self.role("r")

    def end_roles(self):
        """The roles of the lease too, which only its manager or root by force may change."""
        run("systemctl", "start", "architect-node.service")
        force = ["1", "force", "b", "true"]
        run(*CALL, "KillMany", "asa{sv}", "0", *force)
        run(*CALL, "PurgeWithOptions", "asa{sv}", "0", *force)

    def beat(self, seconds):
        run(*CALL, "BeatLease", "stt", "cluster", "0", str(int(seconds * 1e6)))

    def release(self):
        run(*CALL, "ReleaseLease", "st", "cluster", "0", check=False)

    def agent(self, action, interval=10000, timeout=60000, resource=None, level=None, **parameters):
        """Run the agent; return its exit status and its reason."""
        environment = {
            "PATH": os.environ["PATH"],
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RESOURCE_INSTANCE": resource or self.resource,
            "OCF_RESKEY_CRM_meta_timeout": str(timeout),
            "OCF_RESKEY_CRM_meta_interval": str(interval),
        }
        environment.update({f"OCF_RESKEY_{name}": value for name, value in parameters.items()})
        if level is not None:
            environment["OCF_CHECK_LEVEL"] = level
        done = subprocess.run(
            [AGENT, action], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ocf-exit-reason:")]
        self.assertEqual([line for line in done.stderr.splitlines() if line not in reasons], [])
        self.assertLessEqual(len(reasons), 1)
        self.assertEqual(done.stdout, "")
        return done.returncode, reasons[0].partition(":")[2] if reasons else ""

    def probe(self, **parameters):
        return self.agent("monitor", interval=0, **parameters)[0]

    def start_actor(self, command, **parameters):
        self.assertEqual(self.agent("start", command=command, **parameters), (SUCCESS, ""))

    def wait_ended(self):
        self.node_wait(lambda: property_of(self.resource, "State") == "ended")

    def node_wait(self, condition):
        wait_until(condition, "what the test waits for")

    # The life of a resource

    def test_life(self):
        self.assertEqual(self.agent("monitor")[0], NOT_RUNNING)
        self.assertEqual(self.probe(), NOT_RUNNING)
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))
        for _ in range(2):
            self.start_actor(
                "/bin/sh -c 'exec sleep \"$N\"' 'two words'",
                env='N=1000 "TWO=a b"',
                user="nobody",
                directory="/var/tmp",
                stop_timeout="7s",
                options="KillSignal=SIGINT 'LimitNOFILE=512'",
            )
            self.assertEqual(self.agent("monitor"), (SUCCESS, ""))
            self.assertEqual(self.probe(), SUCCESS)
        for name, value in (
            ("Command", ["/bin/sh", "-c", 'exec sleep "$N"', "two words"]),
            ("User", "nobody"),
            ("WorkingDirectory", "/var/tmp"),
            ("StopTimeoutUSec", 7000000),
            ("OnMonitorLoss", "kill"),
            ("Restart", "no"),
            ("StopSignal", 2),
            ("Lease", "cluster"),
            ("ManagedBy", f"pacemaker:{self.resource}"),
        ):
            self.assertEqual(property_of(self.resource, name), value)
        with open(f"/proc/{pid_of(self.resource)}/environ") as file:
            environment = file.read().split("\0")
        self.assertIn("TWO=a b", environment)
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))
        self.assertEqual(self.agent("monitor"), (NOT_RUNNING, ""))
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))

    def test_clone(self):
        """The instances of a clone have one role on each host."""
        self.start_actor("sleep infinity", resource=f"{self.resource}:2")
        self.assertEqual(property_of(self.resource, "ManagedBy"), f"pacemaker:{self.resource}")

    def test_other_names(self):
        self.assertEqual(
            self.agent("start", resource="x", role=self.role("named"), command="sleep infinity", lease="cluster"),
            (SUCCESS, ""),
        )
        self.assertEqual(property_of(self.role("named"), "ManagedBy"), "pacemaker:x")
        self.assertEqual(self.agent("monitor", resource="x", role=self.role("named")), (SUCCESS, ""))

    def test_definition(self):
        path = f"{ROLE_FILES}/{self.resource}.role"
        self.addCleanup(run, *CALL, "Reload")
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        status, reason = self.agent("start")
        self.assertEqual(status, INSTALLED)
        self.assertIn("no definition", reason)
        write(path, "[Role]\nCommand=sleep infinity\nRestart=always\nNice=3\n")
        run(*CALL, "Reload")
        self.assertEqual(self.agent("validate-all"), (SUCCESS, ""))
        self.assertEqual(self.agent("start"), (SUCCESS, ""))
        self.assertEqual(property_of(self.resource, "Definition"), path)
        # The cluster alone starts it again.
        self.assertEqual(property_of(self.resource, "Restart"), "no")
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))
        # Each host would start it.
        write(path, "[Role]\nCommand=sleep infinity\nAutoStart=yes\n")
        run(*CALL, "Reload")
        for action in ("validate-all", "start"):
            status, reason = self.agent(action)
            self.assertEqual(status, INSTALLED)
            self.assertIn("AutoStart=yes", reason)
        write(path, "[Role]\nKommand=sleep infinity\n")
        run(*CALL, "Reload")
        status, reason = self.agent("start")
        self.assertEqual(status, INSTALLED)
        self.assertIn("Kommand", reason)

    # The table of the exit statuses

    def test_how_it_has_ended(self):
        """After each end: the status of a monitor, its reason, and that of a probe, which is never a failure."""
        for script, action, status, reason in (
            ("exit 0", None, NOT_RUNNING, ""),
            ("exit 3", None, GENERIC, f"role {self.resource} exited with status 3"),
            ("kill -KILL $$", None, GENERIC, f"role {self.resource} killed by signal 9, cause external"),
            ("kill -TERM $$", None, GENERIC, f"role {self.resource} killed by signal 15, cause external"),
            ("exec sleep infinity", ("StopMany", 15), NOT_RUNNING, ""),
            ("exec sleep infinity", ("KillMany", 9), NOT_RUNNING, ""),
        ):
            with self.subTest(script=script, action=action):
                self.start_actor(f"/bin/sh -c '{script}'")
                if action:
                    run(*CALL, action[0], "asa{sv}", "1", self.resource, "1", "force", "b", "true")
                self.wait_ended()
                self.assertEqual(self.agent("monitor"), (status, reason))
                self.assertEqual(self.probe(), NOT_RUNNING)
                self.assertEqual(self.agent("stop"), (SUCCESS, ""))
                # What has ended is not forgotten by that, and has not failed.
                self.assertEqual(self.probe(), NOT_RUNNING)

    def test_starting_and_stopping(self):
        fifo = self.fifo()
        script = f"trap \"echo term >{fifo.path}; read x <{self.directory}/go; exit\" TERM; echo up >{fifo.path}; "
        script += "while :; do sleep 0.05; done"
        os.mkfifo(f"{self.directory}/go")
        write(f"{self.directory}/script", script)
        self.start_actor(f"sh {self.directory}/script", stop_timeout="600s")
        self.assertEqual(fifo.line(), "up")
        stop = threading.Thread(target=lambda: self.results.append(self.agent("stop", timeout=600000)))
        self.results = []
        stop.start()
        self.assertEqual(fifo.line(), "term")
        self.assertEqual(property_of(self.resource, "State"), "stopping")
        self.assertEqual(self.agent("monitor"), (SUCCESS, ""))
        self.assertEqual(self.probe(), SUCCESS)
        with open(f"{self.directory}/go", "w") as file:
            file.write("\n")
        stop.join()
        self.assertEqual(self.results, [(SUCCESS, "")])

    def test_oneshot(self):
        self.start_actor("true", options="Type=oneshot")
        self.assertEqual(self.agent("monitor"), (SUCCESS, ""))
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))
        self.assertEqual(self.agent("monitor")[0], NOT_RUNNING)
        status, reason = self.agent("start", command="false", options="Type=oneshot")
        self.assertEqual(status, GENERIC)
        self.assertIn("exit 1", reason)

    def test_refused(self):
        for status, words, parameters in (
            (INSTALLED, "/there/is/nothing", {"command": "/there/is/nothing"}),
            (INSTALLED, "nobody-there", {"command": "true", "user": "nobody-there"}),
            (CONFIGURED, "command: ", {"command": "sh -c 'x"}),
            (CONFIGURED, "stop_timeout: ", {"command": "true", "stop_timeout": "soon"}),
            (CONFIGURED, "on_monitor_loss: ", {"command": "true", "on_monitor_loss": "explode"}),
            (CONFIGURED, "options: ", {"command": "true", "options": "TasksMax"}),
            (CONFIGURED, "no option Tasks=", {"command": "true", "options": "Tasks=5"}),
            (CONFIGURED, "options: ", {"command": "true", "options": "TasksMax=many"}),
            (CONFIGURED, "options: Restart=", {"command": "true", "options": "Restart=always"}),
            (CONFIGURED, "role: ", {"command": "true", "role": "a b"}),
            (CONFIGURED, "instance: ", {"command": "true", "instance": "a-b"}),
            (CONFIGURED, "relative", {"command": "true", "directory": "relative"}),
        ):
            with self.subTest(**parameters):
                found, reason = self.agent("start", **parameters)
                self.assertEqual(found, status, reason)
                self.assertIn(words, reason)
                self.assertEqual(self.probe(), NOT_RUNNING)

    def test_usage(self):
        for words in ([], ["promote"], ["start", "now"]):
            self.assertEqual(run(AGENT, *words, check=False).returncode, UNIMPLEMENTED)
        metadata = ElementTree.fromstring(run("setpriv", "--reuid=1001", "--clear-groups", AGENT, "meta-data").stdout)
        self.assertEqual(metadata.get("name"), "role")
        self.assertEqual(
            [action.get("name") for action in metadata.iter("action")],
            ["start", "stop", "monitor", "validate-all", "meta-data"],
        )

    # The deep check

    def test_check(self):
        """A monitor of level 10 runs the command, as the user of the role and in its directory."""
        self.start_actor("sleep infinity", user="nobody", directory="/var/tmp")
        script = 'test "$(id -un) $(id -Gn) $HOME $PWD" = "nobody nogroup /nonexistent /var/tmp" || { id; pwd; false; }'
        for level in ("10", "20", "30"):
            self.assertEqual(self.agent("monitor", level=level, check=f"sh -c '{script}'"), (SUCCESS, ""))
        prefix = f"role {self.resource} runs, but its check "
        for check, reason in (
            ("sh -c 'echo one; echo two >&2; exit 3'", "exited with status 3: two"),
            ("sh -c 'echo; echo; exit 1'", "exited with status 1"),
            ("sh -c 'printf \"bad \\377 byte\"; exit 1'", "exited with status 1: bad \N{REPLACEMENT CHARACTER} byte"),
            ("sh -c 'kill -9 $$'", "killed by signal 9"),
            ("false", "exited with status 1"),
            ("/there/is/nothing", "exited with status 127: cannot execute /there/is/nothing: No such file or directory"),
        ):
            with self.subTest(check=check):
                self.assertEqual(self.agent("monitor", level="10", check=check), (GENERIC, prefix + reason))
                # Nobody has asked for it, or the role is looked for.
                for level in (None, "", "0", "9"):
                    self.assertEqual(self.agent("monitor", level=level, check=check), (SUCCESS, ""))
                self.assertEqual(self.agent("monitor", interval=0, level="10", check=check), (SUCCESS, ""))
        # More than a pipe holds.
        status, reason = self.agent("monitor", level="10", check="sh -c 'seq 99999; exit 1'")
        self.assertEqual((status, reason), (GENERIC, prefix + "exited with status 1: 99999"))
        self.assertEqual(self.agent("monitor", level="10"), (SUCCESS, ""))
        # The check does not excuse a role that has ended.
        self.assertEqual(self.agent("stop", check="true"), (SUCCESS, ""))
        self.assertEqual(self.agent("monitor", level="10", check="true")[0], NOT_RUNNING)

    def test_check_of_root(self):
        """A role without a user, and a check that starts something, of which nothing is left."""
        self.start_actor("sleep infinity")
        pids = f"{self.directory}/pids"
        script = f"sleep 1000 & echo $! >{pids}; test $(id -u) = 0 && test $PWD = /"
        self.assertEqual(self.agent("monitor", level="10", check=f"sh -c '{script}'"), (SUCCESS, ""))
        with open(pids) as file:
            pid = int(file.read())
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the process of the check ends")

    def test_check_that_takes_too_long(self):
        """It fails before Pacemaker loses its patience with the agent, and with it the reason."""
        self.start_actor("sleep infinity")
        pids = f"{self.directory}/pids"
        script = f"trap \"\" TERM; echo $$ >{pids}; echo asking; sleep 1000; :"
        begin = time.monotonic()
        self.assertEqual(
            self.agent("monitor", timeout=3000, level="10", check=f"sh -c '{script}'"),
            (GENERIC, f"role {self.resource} runs, but its check did not end in time: asking"),
        )
        self.assertGreater(time.monotonic() - begin, 2.6)
        with open(pids) as file:
            pid = int(file.read())
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the check ends")

    def test_check_ends_with_the_agent(self):
        fifo = self.fifo()
        self.start_actor("sleep infinity", user="nobody")
        environment = {
            "PATH": os.environ["PATH"],
            "OCF_RESOURCE_INSTANCE": self.resource,
            "OCF_RESKEY_CRM_meta_interval": "10000",
            "OCF_RESKEY_CRM_meta_timeout": "600000",
            "OCF_CHECK_LEVEL": "10",
            "OCF_RESKEY_check": f"sh -c 'echo $$ >{fifo.path}; exec sleep 1000'",
        }
        with subprocess.Popen([AGENT, "monitor"], env=environment, stdin=subprocess.DEVNULL) as agent:
            pid = int(fifo.line())
            agent.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the check ends")

    def test_check_refused(self):
        for level, check, words in (("10", "sh -c 'x", "check: "), ("10", " ", "check: "), ("deep", "true", "OCF_CHECK_LEVEL")):
            for action in ("start", "validate-all"):
                status, reason = self.agent(action, level=level, check=check, command="sleep infinity")
                self.assertEqual(status, CONFIGURED)
                self.assertIn(words, reason)

    # The lease

    def test_lease(self):
        self.release()
        begin = time.monotonic()
        status, reason = self.agent("start", command="sleep infinity", timeout=2000)
        self.assertEqual(status, GENERIC)
        self.assertIn("architect-cluster.service", reason)
        self.assertGreater(time.monotonic() - begin, 1)
        # It comes while the agent waits.
        timer = threading.Timer(1, self.beat, (600,))
        timer.start()
        self.start_actor("sleep infinity")
        timer.join()
        # The quorum is lost: the role ends, which is no failure, and can be stopped.
        self.beat(0.1)
        self.wait_ended()
        self.assertEqual(property_of(self.resource, "Cause"), "monitor")
        self.assertEqual(self.agent("monitor"), (NOT_RUNNING, ""))
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))

    def test_start_that_nobody_wants_any_more(self):
        """It waits for the lease when Pacemaker dies, as on a host that was fenced, and the lease comes back."""
        self.release()
        environment = {
            "PATH": os.environ["PATH"],
            "OCF_RESOURCE_INSTANCE": self.resource,
            "OCF_RESKEY_CRM_meta_timeout": "600000",
            "OCF_RESKEY_command": "sleep infinity",
        }
        # A shell in the place of pacemaker-execd.
        command = ["sh", "-c", f"{AGENT} start & echo $!; wait"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as pacemaker:
            pid = int(pacemaker.stdout.readline())
            # It talks to the node.
            wait_until(
                lambda: "socket:" in run("ls", "-l", f"/proc/{pid}/fd", check=False).stdout, "the agent has a connection"
            )
            pacemaker.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the agent ends")
        self.beat(600)
        self.assertEqual(self.probe(), NOT_RUNNING)

    def test_stop_without_lease(self):
        self.start_actor("sleep infinity", on_monitor_loss="keep")
        self.beat(0.1)
        wait_until(lambda: not any(lease[0] == "cluster" and lease[4] for lease in busctl(*CALL[1:], "ListLeases")[0]),
                   "the lease ends")
        self.assertEqual(self.agent("monitor"), (SUCCESS, ""))
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))

    def test_of_somebody_else(self):
        """What somebody has started by hand runs, but the switch would not end it."""
        self.node.start(self.resource, ["sleep", "infinity"])
        self.assertEqual(self.probe(), SUCCESS)
        status, reason = self.agent("monitor")
        self.assertEqual(status, GENERIC)
        self.assertIn("without the lease", reason)
        status, reason = self.agent("start", command="sleep infinity")
        self.assertEqual(status, GENERIC)
        self.assertIn("runs already", reason)
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))
        self.start_actor("sleep infinity")
        self.assertEqual(self.agent("monitor"), (SUCCESS, ""))

    # Without the node

    def test_restarts(self):
        """A restart, and a death, of the node are no failures of its roles."""
        self.start_actor("sleep infinity")
        pid = pid_of(self.resource)
        results, over = [], threading.Event()

        def watch():
            while not over.is_set():
                results.append(self.agent("monitor"))

        watchers = [threading.Thread(target=watch) for _ in range(2)]
        for watcher in watchers:
            watcher.start()
        for i in range(9):
            if i % 3 == 2:
                before = node_pid()
                os.kill(before, signal.SIGKILL)
                wait_until(lambda: node_pid() not in (0, before), "the next node")  # noqa: B023
            else:
                run("systemctl", "restart", "architect-node.service")
        wait_until(lambda: run(*CALL, "GetPgrp", check=False).returncode == 0, "the node is back")
        over.set()
        for watcher in watchers:
            watcher.join()
        self.assertEqual(set(results), {(SUCCESS, "")})
        self.assertGreater(len(results), 18)
        self.assertEqual(pid_of(self.resource), pid)

    def test_frozen_node(self):
        self.start_actor("sleep infinity")
        scope = f"architect-main-{self.resource}.scope"
        node = node_pid()
        self.addCleanup(os.kill, node, signal.SIGCONT)
        os.kill(node, signal.SIGSTOP)
        self.assertEqual(self.agent("monitor", timeout=3000), (SUCCESS, ""))
        self.assertEqual(self.agent("monitor", interval=0, timeout=3000), (SUCCESS, ""))
        self.assertEqual(self.agent("stop", timeout=4000), (SUCCESS, ""))
        self.assertNotEqual(unit_property(scope, "ActiveState"), "active")
        status, reason = self.agent("monitor", timeout=3000)
        self.assertEqual(status, GENERIC)
        self.assertIn("architect-node does not answer", reason)
        self.assertEqual(self.agent("monitor", interval=0, timeout=3000), (NOT_RUNNING, ""))

    def test_stopped_service(self):
        """Who only looks does not start it."""
        self.start_actor("sleep infinity")
        run("systemctl", "stop", "architect-node.service")
        self.addCleanup(run, "systemctl", "start", "architect-node.service")
        self.assertEqual(self.agent("monitor")[0], GENERIC)
        self.assertEqual(self.probe(), NOT_RUNNING)
        self.assertEqual(unit_property("architect-node.service", "ActiveState"), "inactive")
        self.assertEqual(self.agent("stop"), (SUCCESS, ""))

    def test_stop_that_takes_too_long(self):
        """A host that cannot stop a resource in time is fenced, so the role is killed before."""
        fifo = self.fifo()
        write(f"{self.directory}/script", f"trap '' TERM; echo up >{fifo.path}; while :; do sleep 0.1; done")
        self.start_actor(f"sh {self.directory}/script", stop_timeout="600s")
        self.assertEqual(fifo.line(), "up")
        begin = time.monotonic()
        self.assertEqual(self.agent("stop", timeout=10000), (SUCCESS, ""))
        self.assertGreater(time.monotonic() - begin, 6.9)
        self.assertEqual(property_of(self.resource, "Cause"), "kill")

    # The tools of others

    def test_ocf_tester(self):
        data = "/usr/share/resource-agents"
        os.symlink(f"{TESTER}{data}", data)
        self.addCleanup(os.unlink, data)
        done = run(
            f"{TESTER}/usr/sbin/ocf-tester",
            "-v",
            "-n",
            self.resource,
            "-o",
            "command=sleep infinity",
            AGENT,
            env={"PATH": os.environ["PATH"], "OCF_ROOT": f"{TESTER}/usr/lib/ocf"},
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("passed all tests", done.stdout)

    def fence(self, *lines):
        done = subprocess.run(
            ["fence_architect"], input="".join(f"{line}\n" for line in lines), capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    def test_fence_agent(self):
        status, out, _ = self.fence("action=metadata")
        self.assertEqual(status, 0)
        metadata = ElementTree.fromstring(out)
        self.assertEqual(
            {item.get("name"): item.get("required") for item in metadata.iter("parameter")},
            {"action": "1", "port": "1", "lease_timeout": "1", "margin": "1"},
        )
        self.assertEqual(run("fence_architect", "-o", "metadata").stdout, out)
        self.assertEqual(self.fence("# a comment", "option=on", "nodename=h1")[0], 0)
        self.assertEqual(self.fence("action=status", "port=h1")[0], 0)
        self.assertEqual(self.fence("action=validate-all", "lease_timeout=30", "margin=10")[0], 0)

    def test_fence_agent_refuses(self):
        """It says that a host is off only if it knows."""
        for lines, words in (
            ([], "lease_timeout"),
            (["margin=10"], "lease_timeout"),
            (["lease_timeout=30"], "margin"),
            (["lease_timeout=30", "margin=9"], "margin"),
            (["lease_timeout=3", "margin=10"], "lease_timeout"),
            (["lease_timeout=30s", "margin=10"], "lease_timeout"),
            (["lease_timeout=30", "margin=-10"], "margin"),
            (["lease_timeout=99999", "margin=10"], "lease_timeout"),
            (["lease_timeout=30", "margin=10", "port="], "port"),
            # Without a corosync that delivers it nobody is told.
            (["lease_timeout=30", "margin=10"], "corosync"),
        ):
            for action in ("off", "reboot"):
                with self.subTest(action=action, lines=lines):
                    begin = time.monotonic()
                    status, out, error = self.fence(f"action={action}", "port=h1", *lines)
                    self.assertEqual((status, out), (1, ""))
                    self.assertIn(words, error)
                    self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(self.fence("action=monitor", "lease_timeout=30", "margin=10")[0], 1)
        self.assertEqual(self.fence("action=explode")[0], 1)
        self.assertEqual(run("fence_architect", "--explode", check=False).returncode, 1)

    def test_cluster_options(self):
        program = "/usr/libexec/architect-node/architect-cluster"
        for words in (
            ["--timeout=3s"],
            ["--timeout=infinity"],
            ["--timeout=x"],
            ["--lease=a b"],
            ["--instance=a-b"],
            ["--fence=h1"],
            ["--fence=h1", "--wait=infinity"],
            ["word"],
            ["--explode"],
        ):
            self.assertEqual(run(program, *words, check=False).returncode, 2, words)
        self.assertIn("--timeout", run(program, "--help").stdout)
        self.assertTrue(run(program, "--version").stdout.startswith("architect-cluster "))


if __name__ == "__main__":
    main()

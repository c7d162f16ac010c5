#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""The Python class and roles: the names, defaults and behaviour of the original, with the service."""

import fcntl
import inspect
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import unittest
import unittest.mock

from systemcase import CALL, EXAMPLES, PATIENCE, NodeCase, eups, main, pid_of, run, wait_until

import architectnode
from architectnode import ArchitectNode


class Names(unittest.TestCase):
    """Tests that need no service."""

    def test_signatures(self):
        signatures = {
            "start": "(role, command_as_list=None, product=None, version=None, setup_args=None, "
            "env_vars=None, xterm=False, xterm_args=[], eups_list=None, *, command=None)",
            "send_input": "(command=None, event=None, *, role=None, input=None)",
            "poll": "(role_list=None)",
            "stop": "(role, event=None)",
            "kill": "(role)",
            "purge": "(role=None)",
            "get_env": "(var)",
            "set_env": "(var, value)",
            "get_pgrp": "()",
            "bind_tcp": "(num_ports=1, as_string=True)",
            "bind_udp": "(num_ports=1, as_string=True)",
            "release_tcp": "(ports)",
            "release_udp": "(ports)",
            "set_log_level": "(level)",
            "log_to_sve": "()",
            "beat": "()",
            "shutdown": "(reason=None)",
            "handle_pipes": "(signum=None, frame=None)",
            "pyro_run_loop": "()",
        }
        for name, signature in signatures.items():
            method = inspect.signature(getattr(ArchitectNode, name))
            ours = method.replace(parameters=list(method.parameters.values())[1:])
            self.assertEqual(str(ours), signature, name)
            self.assertTrue(getattr(ArchitectNode, name).__doc__, name)
        self.assertEqual(
            list(inspect.signature(ArchitectNode).parameters)[:5],
            ["instance_name", "pyro_name", "logger", "monitor_timeout", "max_threadpool_size"],
        )

    def test_levels(self):
        for level, ours in (
            (0, "debug"),
            (10, "debug"),
            (11, "info"),
            (20, "info"),
            (25, "notice"),
            (26, "warning"),
            (30, "warning"),
            (40, "err"),
            (50, "crit"),
            (60, "alert"),
            ("DEBUG", "debug"),
            ("info", "info"),
            ("Warning", "warning"),
            ("WARN", "warning"),
            ("ERROR", "err"),
            ("CRITICAL", "crit"),
            ("FATAL", "crit"),
            ("NOTSET", "debug"),
            ("40", "err"),
            ("notice", "notice"),
            ("emerg", "emerg"),
        ):
            self.assertEqual(architectnode._log_level(level), ours, level)
        for level in ("loud", "", -1):
            self.assertRaises(ValueError, architectnode._log_level, level)
        for level in (None, True, 1.5):
            self.assertRaises(TypeError, architectnode._log_level, level)

    def test_arguments(self):
        self.assertEqual(architectnode._ports("7001 7002,7003"), [7001, 7002, 7003])
        self.assertEqual(architectnode._ports(7001), [7001])
        self.assertEqual(architectnode._ports(["7001", 7002]), [7001, 7002])
        self.assertEqual(architectnode._ports(None), [])
        self.assertRaises(ValueError, architectnode._ports, "seven")
        self.assertEqual(
            architectnode._products([("a", "1"), "b", "c 2", ("d", None), ["e"]]),
            [("a", "1"), ("b", ""), ("c", "2"), ("d", ""), ("e", "")],
        )
        self.assertEqual(architectnode._products("a 1"), [("a", "1")])
        for wrong in ([""], [("a", "1", "2")], ["a b c"], [()]):
            self.assertRaises(ValueError, architectnode._products, wrong)
        self.assertEqual(
            architectnode._variables({"A": 1, "B": "x", "C": 1.5}), {"A": "1", "B": "x", "C": "1.5"}
        )
        for wrong in (None, True, ["x"], b"x"):
            self.assertRaises(TypeError, architectnode._variables, {"A": wrong})

    def test_monitor_timeout(self):
        for seconds, usec in ((0, 0), (30, 30000000), (0.25, 250000), (1e-6, 1), (1e12, 10**18)):
            self.assertEqual(architectnode._timeout_usec(seconds), usec)
        for wrong in ("30", True, [30], b"30"):
            with self.assertRaises(TypeError) as caught:
                ArchitectNode(monitor_timeout=wrong)
            self.assertIn(f"must be a number of seconds, not {wrong!r}", str(caught.exception))
        for wrong in (-1, float("nan"), float("inf"), 2**64, 1e-7):
            with self.assertRaises(ValueError) as caught:
                ArchitectNode(monitor_timeout=wrong)
            self.assertIn(f"not {wrong!r}", str(caught.exception))

    def test_handle_pipes(self):
        """A manager whose output nobody reads any more continues; what is read is not redirected."""
        script = """if True:
            import os, signal, sys, architectnode
            signal.signal(signal.SIGPIPE, architectnode.handle_pipes)
            signal.signal(signal.SIGHUP, architectnode.handle_pipes)
            sys.stdin.readline()
            try:
                os.write(1, b"lost")
            except BrokenPipeError:
                print("nobody reads", file=sys.stderr)  # Python calls the handler after a call
            print(os.readlink("/proc/self/fd/1"), file=sys.stderr)
            print("lost as well", flush=True)
            os.kill(os.getpid(), signal.SIGHUP)
            print("continues", file=sys.stderr)
        """
        manager = subprocess.Popen(
            ["/usr/bin/python3", "-B", "-c", script],
            env={**os.environ, "PYTHONPATH": EXAMPLES},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        manager.stdout.close()
        _, said = manager.communicate("go\n", timeout=PATIENCE)
        self.assertEqual((manager.returncode, said), (0, "nobody reads\n/dev/null\ncontinues\n"))

    def test_instances(self):
        for wrong in ("a-b", "1a", "a.b", "a" * 33, "ä"):
            self.assertRaises(ValueError, ArchitectNode, wrong)
        with self.assertRaises(architectnode.ServiceUnknown) as caught:
            ArchitectNode("nobody_there")
        self.assertIn("org.architect.Node.nobody_there", str(caught.exception))
        self.assertRaises(ValueError, ArchitectNode, host="a", address="unix:path=/x")


class Start(NodeCase):
    def test_words_and_variables(self):
        output = os.path.join(self.directory, "output")
        role = self.start_shell(
            "a",
            'printf "<%s>" "$@" "$A" "$B" >"$0"',
            output,
            "a  b",
            "",
            "$x'\"*",
            env_vars={"A": "1 2", "B": 7},
        )
        self.wait_for(role, "exit 0")
        with open(output) as file:
            self.assertEqual(file.read(), "<a  b><><$x'\"*><1 2><7>")

    def test_errors(self):
        for wrong in ("sleep 1", b"sleep", ["sleep", 1]):
            self.assertRaises(TypeError, self.node.start, self.role("a"), wrong)
        with self.assertRaises(architectnode.ExecFailed) as caught:
            self.node.start(self.role("a"), ["/there/is/nothing"])
        self.assertEqual(caught.exception.dbus_name, "org.architect.Node.Error.ExecFailed")
        self.assertRegex(
            str(caught.exception), '^Role ".*" failed to start .*"/there/is/nothing": No such file'
        )
        self.assertIsInstance(caught.exception, RuntimeError)
        self.assertRaises(architectnode.InvalidRoleName, self.node.start, "-x", ["true"])
        self.assertRaises(ValueError, self.node.start, "-x", ["true"])
        self.assertNotIn(self.role("a"), self.node.poll())
        self.node.start(self.role("a"), ["sleep", "infinity"])
        self.assertRaises(architectnode.RoleExists, self.node.start, self.role("a"), ["true"])
        with self.assertRaisesRegex(TypeError, "needs command_as_list or command, and got neither"):
            self.node.start(self.role("b"))
        with self.assertRaisesRegex(TypeError, "got both"):
            self.node.start(self.role("b"), ["true"], command=["true"])

    def test_keyword_names(self):
        role = self.role("a")
        output = os.path.join(self.directory, "output")
        self.node.start(role=role, command=["sh", "-c", 'read line; echo "$line" >"$0"', output])
        self.node.send_input(role=role, input="two  words")
        self.wait_for(role, "exit 0")
        with open(output) as file:
            self.assertEqual(file.read(), "two  words\n")

    def test_every_error_has_a_class(self):
        """The errors that the document of the interface lists."""
        for name in (
            "NoSuchRole NoSuchDefinition BadDefinition RoleExists RoleNotRunning RoleRunning RoleFrozen "
            "InvalidRoleName StartCancelled StartTimedOut StartFailed DependencyFailed StopTimedOut NoInput InputFull "
            "NoSuchLease LeaseTaken LeaseRequired StaleToken "
            "NoTerminal NoSuchVariable NoSuchPort PortsUnavailable SetupFailed "
            "ExecFailed ScopeFailed KeeperUnavailable ShuttingDown LimitReached"
        ).split():
            self.assertEqual(getattr(architectnode, name).dbus_name, "org.architect.Node.Error." + name)
            self.assertIn(name, architectnode.__all__)
        self.assertEqual(architectnode.InputOutputError.dbus_name, "org.freedesktop.DBus.Error.IOError")
        self.assertTrue(issubclass(architectnode.InputOutputError, OSError))

    def test_options(self):
        with ArchitectNode(start_options={"user": "alice", "env": {"A": "1", "B": "2"}}) as node:
            node.start(self.role("a"), ["sleep", "infinity"], env_vars={"B": "3"})
        pid = pid_of(self.role("a"))
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, pwd.getpwnam("alice").pw_uid)
        with open(f"/proc/{pid}/environ") as file:
            variables = file.read().split("\0")
        self.assertIn("A=1", variables)
        self.assertIn("B=3", variables)
        with self.assertRaisesRegex(ValueError, "'users' is not an option"):
            ArchitectNode(start_options={"users": "alice"})

    def test_products(self):
        eups(self, reduction=("2.0", "2.1"), plots=("1.0", "1.1"))
        output = os.path.join(self.directory, "output")
        command = ["sh", "-c", 'echo "$REDUCTION_VERSION $PLOTS_VERSION $A" >"$0"', output]
        for suffix, arguments, expected in (
            ("a", ("reduction", "2.0", "-k -v", {"A": "b"}, False, [], [("plots", "1.0")]), "2.0 1.0 b\n"),
            ("b", ("reduction", None, ["-v"], None, False, [], ["plots"]), "2.1 1.1 \n"),
            ("c", (None, None, "", {}, False, [], "plots 1.0"), " 1.0 \n"),
        ):
            self.node.start(self.role(suffix), command, *arguments)
            self.wait_for(self.role(suffix), "exit 0")
            with open(output) as file:
                self.assertEqual(file.read(), expected)
        with self.assertRaisesRegex(architectnode.SetupFailed, "no such option: --two words"):
            self.node.start(self.role("d"), command, product="reduction", setup_args="-v '--two words'")

    def test_xterm(self):
        """Without a display a role runs without its window."""
        output = os.path.join(self.directory, "output")
        command = ["sh", "-c", 'tty -s; echo "$? $DISPLAY" >"$0"; exec sleep infinity', output]

        def tells(suffix, **arguments):
            self.node.start(self.role(suffix), command, **arguments)
            wait_until(
                lambda: os.path.exists(output) and os.path.getsize(output) > 0, "it has said how it is"
            )
            with open(output) as file:
                text = file.read()
            os.unlink(output)
            return text

        with unittest.mock.patch.dict(os.environ):
            os.environ.pop("DISPLAY", None)
            self.assertRaises(architectnode.InvalidArgs, self.node.start, self.role("a"), command, xterm=True)
            os.environ["DISPLAY"] = ":77"
            self.assertEqual(tells("a", xterm=True, xterm_args=["-geometry", "80x24"]), "0 :77\n")
            self.assertEqual(tells("b", xterm=True, env_vars={"DISPLAY": ":78"}), "0 :78\n")
            self.node.set_env("DISPLAY", ":79")
            self.addCleanup(run, *CALL, "UnsetEnv", "s", "DISPLAY")
            self.assertEqual(tells("c", xterm=True), "0 :79\n")
            with self.assertRaises(architectnode.InvalidArgs):
                self.node.start(self.role("d"), command, xterm=True, xterm_args=["-e", "true"])
            self.assertEqual(tells("d", xterm_args=["-e", "true"]), "1 :79\n")


class Input(NodeCase):
    def test_split_once(self):
        output = os.path.join(self.directory, "output")
        role = self.start_shell("a", 'exec cat >"$0"', output)
        event = threading.Event()
        self.node.send_input(role + " one  two  three ", event)
        self.assertTrue(event.is_set())
        self.node.send_input(f"{role}\tx")
        self.node.send_input(role)
        self.node.send_input(role + " grüße", event=7)
        expected = "one  two  three \nx\n\ngrüße\n"

        def read():
            if not os.path.exists(output):
                return ""  # the shell has not written it yet
            with open(output) as file:
                return file.read()

        wait_until(lambda: len(read()) >= len(expected), "all of it is there")
        self.assertEqual(read(), expected)

    def test_errors(self):
        event = threading.Event()
        self.assertRaises(ValueError, self.node.send_input, "", event)
        self.assertRaises(ValueError, self.node.send_input, "  ", event)
        self.assertRaises(TypeError, self.node.send_input)
        self.assertRaises(TypeError, self.node.send_input, "a", role="a")
        self.assertRaises(TypeError, self.node.send_input, "a text", input="text")
        self.assertRaises(architectnode.NoSuchRole, self.node.send_input, self.role("none") + " x", event)
        role = self.start_shell("a", "exit 0")
        self.wait_for(role, "exit 0")
        self.assertRaises(architectnode.RoleNotRunning, self.node.send_input, role + " x", event)
        self.assertFalse(event.is_set())


class Poll(NodeCase):
    def test_poll(self):
        runs, ended, killed = (
            self.start_shell("a", "sleep infinity"),
            self.start_shell("b", "exit 7"),
            self.start_shell("c", "kill -9 $$"),
        )
        self.wait_for(ended, "exit 7")
        self.wait_for(killed, "exit -9")
        everything = {runs: "running", ended: "exit 7", killed: "exit -9"}
        self.assertEqual(
            {role: state for role, state in self.node.poll().items() if role in everything}, everything
        )
        self.assertEqual(self.node.poll([ended, runs]), {runs: "running", ended: "exit 7"})
        self.assertEqual(self.node.poll(role_list=(killed,)), {killed: "exit -9"})
        self.assertEqual(self.node.poll(ended), {ended: "exit 7"})
        self.assertEqual(self.node.poll([]), {})
        with self.assertRaises(KeyError) as caught:
            self.node.poll([runs, self.role("none")])
        self.assertIsInstance(caught.exception, architectnode.NoSuchRole)
        self.assertEqual(str(caught.exception), f'There is no role "{self.role("none")}"')


# The main process reports SIGTERM, and much later that it still runs. Its child reports which signal it got
# first.
FAMILY = """
import os, signal, sys, time
said = open(sys.argv[1], "w", buffering=1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGRTMIN})
child = os.fork()
if child == 0:
    print("child", int(signal.sigwait({signal.SIGTERM, signal.SIGRTMIN})), file=said)
    os._exit(0)
print("main ready", file=said)
print("main", int(signal.sigwait({signal.SIGTERM})), file=said)
time.sleep(0.5)
print("main alive", file=said)
os.kill(child, signal.SIGRTMIN)
os.waitpid(child, 0)
signal.pause()
"""


class Stop(NodeCase):
    def start_family(self, suffix, **options):
        fifo = self.fifo()
        with ArchitectNode(start_options=options) as node:
            node.start(self.role(suffix), ["/usr/bin/python3", "-c", FAMILY, fifo.path])
        self.assertEqual(fifo.line(), "main ready")
        return self.role(suffix), fifo

    def test_neither_escalates_nor_waits(self):
        role, fifo = self.start_family(
            "a", **{"stop-timeout-usec": 50000, "stop-signal": int(signal.SIGKILL)}
        )
        event = threading.Event()
        self.node.stop(role, event)
        self.assertTrue(event.is_set())
        self.assertEqual(self.node.poll([role]), {role: "running"})
        self.assertEqual(fifo.line(), f"main {int(signal.SIGTERM)}")
        # After ten times the timeout of Stop. Its child has received no signal.
        self.assertEqual(fifo.line(), "main alive")
        self.assertEqual(fifo.line(), f"child {int(signal.SIGRTMIN)}")
        self.assertEqual(self.node.poll([role]), {role: "running"})

    def test_ended_and_unknown(self):
        role = self.start_shell("a", "sleep infinity")
        self.node.stop(role)
        self.wait_for(role, "exit -15")
        event = threading.Event()
        self.node.stop(role, event=event)
        self.assertTrue(event.is_set())
        event.clear()
        self.assertRaises(architectnode.NoSuchRole, self.node.stop, self.role("none"), event)
        self.assertFalse(event.is_set())

    def test_while_it_starts(self):
        """Stop raises an error, as the role would run on. A slow start blocks no other thread."""
        program = os.path.join(self.directory, "sleep")
        shutil.copy("/usr/bin/sleep", program)
        # execve(2) waits for a lease on the file.
        held = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, held)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        role = self.role("a")
        starting = threading.Thread(target=self.node.start, args=(role, [program, "infinity"]))
        starting.start()
        try:
            wait_until(lambda: role in self.node.poll(), "it is being started")
            self.assertRaises(architectnode.RoleNotRunning, self.node.stop, role)
            self.assertTrue(starting.is_alive())
        finally:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            starting.join()
        self.assertEqual(self.node.poll([role]), {role: "running"})
        self.node.stop(role)
        self.wait_for(role, "exit -15")

    def test_kill(self):
        role, fifo = self.start_family("a")
        with open(f"/proc/{pid_of(role)}/cgroup") as file:
            cgroup = next(line.rstrip().split(":", 2)[2] for line in file if line.startswith("0::"))
        root = (
            "/sys/fs/cgroup/unified"
            if not os.path.exists("/sys/fs/cgroup/cgroup.controllers")
            else "/sys/fs/cgroup"
        )
        with open(f"{root}{cgroup}/cgroup.procs") as file:
            pids = file.read().split()
        self.assertEqual(len(pids), 2)
        self.node.kill(role)
        self.assertEqual(self.node.poll([role]), {role: "exit -9"})
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe"))
        self.node.kill(role)
        self.assertRaises(architectnode.NoSuchRole, self.node.kill, self.role("none"))

    def test_purge(self):
        runs, one, two = (
            self.start_shell("a", "sleep infinity"),
            self.start_shell("b", "exit 0"),
            self.start_shell("c", "exit 1"),
        )
        self.wait_for(one, "exit 0")
        self.wait_for(two, "exit 1")
        self.assertEqual(self.node.purge(runs), [])
        self.assertEqual(self.node.poll([runs]), {runs: "running"})
        self.assertEqual(self.node.purge(one), [one])
        self.assertRaises(KeyError, self.node.purge, one)
        self.assertEqual(self.node.purge([runs, two]), [two])
        three = self.start_shell("d", "exit 0")
        self.wait_for(three, "exit 0")
        self.assertIn(three, self.node.purge())
        self.assertEqual([role for role in self.node.poll() if role.startswith(self.role(""))], [runs])


if __name__ == "__main__":
    print(sys.version)
    main()

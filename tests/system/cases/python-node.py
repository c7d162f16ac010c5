#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""The Python class without the roles: the settings, the log and the end of the node, and the connection."""

import json
import logging
import os
import queue
import signal
import subprocess
import threading

from systemcase import (
    EXAMPLES,
    PATIENCE,
    NodeCase,
    get_property,
    list_ports,
    main,
   
    pid_of,
    run,
    wait_until,
)

import architectnode
from architectnode import ArchitectNode


class Node(NodeCase):
    """The node as a whole. The end of the service undoes the changes of a test."""

    def setUp(self):
        super().setUp()
        self.addCleanup(run, "systemctl", "stop", "architect-node.service")

    def test_environment(self):
        self.assertIsNone(self.node.get_env("ARCHITECT_TEST"))
        self.node.set_env("ARCHITECT_TEST", "a = b")
        self.assertEqual(self.node.get_env("ARCHITECT_TEST"), "a = b")
        output = os.path.join(self.directory, "output")
        role = self.start_shell("a", 'echo "$ARCHITECT_TEST" >"$0"', output)
        self.wait_for(role, "exit 0")
        with open(output) as file:
            self.assertEqual(file.read(), "a = b\n")
        self.node.set_env("ARCHITECT_TEST", 5)
        self.assertEqual(self.node.get_env("ARCHITECT_TEST"), "5")
        self.assertRaises(TypeError, self.node.set_env, "ARCHITECT_TEST", None)
        self.assertRaises(ValueError, self.node.set_env, "1x", "y")

    def test_process_group(self):
        pid = int(run("systemctl", "show", "-P", "MainPID", "architect-node.service").stdout)
        self.assertEqual(self.node.get_pgrp(), os.getpgid(pid))

    def test_pipes(self):
        self.assertIsNone(self.node.handle_pipes())
        self.assertIsNone(self.node.handle_pipes(signal.SIGPIPE, None))

    def test_log_level(self):
        for level, ours in (("DEBUG", "debug"), (logging.ERROR, "err"), ("info", "info")):
            self.node.set_log_level(level)
            self.assertEqual(run("systemctl", "service-log-level", "architect-node").stdout.strip(), ours)
        self.assertRaises(ValueError, self.node.set_log_level, "loud")

    def test_log_to_sve(self):
        records = queue.Queue()
        logger = logging.getLogger("observatory")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        handler = logging.Handler()
        handler.handle = records.put
        logger.addHandler(handler)
        with ArchitectNode(logger=logger) as node:
            before = self.start_shell("a", "exit 0")
            self.wait_for(before, "exit 0")
            node.log_to_sve()
            node.set_log_level(logging.DEBUG)
            role = self.start_shell("b", "exit 3")
            seen = []
            while not any("status=3" in record.getMessage() for record in seen):
                seen.append(records.get(timeout=PATIENCE))
            for record in seen:
                self.assertEqual(record.name, "observatory")
                self.assertNotIn(before, record.getMessage())
            record = seen[-1]
            self.assertIn(role, record.getMessage())
            self.assertEqual(record.levelno, logging.INFO)
            self.assertEqual(record.architect_fields.get("PRIORITY", "6"), "6")
            self.assertIn(logging.DEBUG, [record.levelno for record in seen])
            run("journalctl", "--sync")
            journal = run("journalctl", "-q", "-o", "json", "-t", "architect-node", "-n", "200").stdout
            times = [
                int(entry["__REALTIME_TIMESTAMP"]) / 1e6
                for entry in map(json.loads, journal.splitlines())
                if entry["MESSAGE"] == record.getMessage()
            ]
            self.assertTrue(any(abs(time - record.created) < 1 for time in times), (times, record.created))
            # A logger whose level is higher receives nothing.
            logger.setLevel(logging.WARNING)
            other = self.start_shell("c", "exit 4")
            wait_until(lambda: node.poll([other]) == {other: "exit 4"}, "it ends")
            node._get_link().settle()
            while not records.empty():
                self.assertNotIn("status=4", records.get().getMessage())

    def test_log_record(self):
        with self.assertLogs("architectnode") as logs:
            self.node._log(1000000000123456, 4, "50% of it", {"PRIORITY": "4"})
            self.node._log(1, 3, "more", {"ARCHITECT_DROPPED": "7"})
        record = logs.records[0]
        self.assertEqual(
            (record.created, record.msecs, record.levelno), (1000000000.123456, 123, logging.WARNING)
        )
        self.assertEqual((record.getMessage(), record.architect_fields), ("50% of it", {"PRIORITY": "4"}))
        self.assertEqual(logs.records[1].getMessage(), "more (7 messages before this one were not sent)")

    def test_monitor(self):
        self.assertEqual(get_property("MonitorDeadlineUSec"), 0)
        before = get_property("MonitorTimeoutUSec")
        self.node.beat()
        self.assertGreater(get_property("MonitorDeadlineUSec"), 0)
        self.assertEqual(get_property("MonitorTimeoutUSec"), before)
        ArchitectNode(monitor_timeout=0.25e3).close()
        self.assertEqual(get_property("MonitorTimeoutUSec"), 250000000)
        ArchitectNode("main", None, None, 0).close()
        self.assertEqual(get_property("MonitorTimeoutUSec"), 0)
        self.assertEqual(get_property("MonitorDeadlineUSec"), 0)

    def test_what_is_not_applied_is_said(self):
        with self.assertLogs("architectnode", logging.INFO) as logs:
            ArchitectNode("main", "ARCHITECT.NODE", max_threadpool_size=20).close()
        self.assertIn("pyro_name 'ARCHITECT.NODE' has no meaning here", logs.output[0])
        self.assertIn("max_threadpool_size=20 is not applied: it is MaxConcurrentStarts=", logs.output[1])

    def test_ports(self):
        one = self.node.bind_tcp()
        self.assertRegex(one, r"^\d+$")
        three = self.node.bind_udp(3, as_string=False)
        self.assertEqual([type(port) for port in three], [int, int, int])
        both = self.node.bind_tcp(num_ports=2, as_string=True)
        self.assertEqual(len(architectnode._ports(both)), 2)
        reserved = list_ports()
        self.assertEqual(
            sorted((item[0], item[1]) for item in reserved),
            sorted(
                [("tcp", int(one))]
                + [("tcp", port) for port in architectnode._ports(both)]
                + [("udp", port) for port in three]
            ),
        )
        self.node.release_tcp(one)
        self.node.release_tcp(both)
        self.node.release_udp(three[:2])
        self.node.release_udp(three[2])
        self.assertEqual(list_ports(), [])
        self.assertEqual(self.node.bind_tcp(0), "")
        self.assertEqual(self.node.bind_udp(0, as_string=False), [])
        for nothing in ("", [], None, self.node.bind_tcp(0)):
            self.node.release_tcp(nothing)
            self.node.release_udp(nothing)
        self.assertRaises(architectnode.NoSuchPort, self.node.release_tcp, one)


class Shutdown(NodeCase):
    def setUp(self):
        super().setUp()
        self.loops = []

    def loop(self):
        """Run pyro_run_loop() in a thread; return when it waits."""
        node = ArchitectNode()
        self.addCleanup(node.close)
        waits = threading.Event()
        real = node._get_link().wait_for_end

        def wait_for_end(stopping):
            waits.set()
            real(stopping)

        node._get_link().wait_for_end = wait_for_end
        thread = threading.Thread(target=node.pyro_run_loop)
        thread.start()
        self.assertTrue(waits.wait(PATIENCE))
        return thread

    def test_shutdown(self):
        role = self.start_shell("a", "sleep infinity")
        loop = self.loop()
        run("systemctl", "restart", "architect-node.service")
        self.assertEqual(self.node.poll([role]), {role: "running"})
        loop.join(0.2)
        self.assertTrue(loop.is_alive())

        pid = pid_of(role)
        run("systemctl", "enable", "architect-node.service")
        self.addCleanup(run, "systemctl", "disable", "architect-node.service")
        cursor = run("journalctl", "-q", "-n", "0", "--show-cursor").stdout.split(": ", 1)[1].strip()
        self.node.shutdown("the night is over")
        loop.join(PATIENCE)
        self.assertFalse(loop.is_alive())
        self.assertFalse(os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe"))
        # A call now returns at once, and does not start the service again.
        self.node.pyro_run_loop()
        self.assertNotEqual(
            run("systemctl", "is-active", "architect-node.service", check=False).stdout, "active\n"
        )
        self.assertIn(
            "the night is over", run("journalctl", "-q", "-o", "cat", f"--after-cursor={cursor}").stdout
        )
        # Any other call starts it, if the service is enabled.
        run("systemctl", "disable", "architect-node.service")
        with self.assertRaises(architectnode.ServiceUnknown):
            self.node.poll()
        run("systemctl", "enable", "architect-node.service")
        self.assertNotIn(role, self.node.poll())

    def test_no_reason(self):
        loop = self.loop()
        self.node.shutdown()
        loop.join(PATIENCE)
        self.assertFalse(loop.is_alive())

    def test_systemctl(self):
        loop = self.loop()
        run("systemctl", "stop", "architect-node.service")
        loop.join(PATIENCE)
        self.assertFalse(loop.is_alive())

    def test_interrupt(self):
        # The signal is sent when only Python's own code waits. PyGObject (3.42 and 3.50) ends with a
        # segmentation fault if the handler of a signal raises while it makes a Variant.
        script = """if True:
            import architectnode as a
            node = a.ArchitectNode()
            changed = node._get_link()._changed
            wait = changed.wait
            changed.wait = lambda timeout: print("waits", flush=True) or wait(timeout)
            node.pyro_run_loop()
        """
        loop = subprocess.Popen(
            ["/usr/bin/python3", "-B", "-c", script],
            env={**os.environ, "PYTHONPATH": EXAMPLES},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(loop.kill)
        self.assertEqual(loop.stdout.readline(), "waits\n")
        loop.send_signal(signal.SIGINT)
        _, said = loop.communicate(timeout=PATIENCE)
        self.assertEqual((loop.returncode, said.splitlines()[-1:]), (-signal.SIGINT, ["KeyboardInterrupt"]))


class Connections(NodeCase):
    def test_user(self):
        """An ordinary user may read."""
        role = self.start_shell("a", "sleep infinity")
        script = f"""if True:
            import architectnode as a
            node = a.ArchitectNode()
            print(node.poll([{role!r}]))
            try:
                node.start({self.role("b")!r}, ["true"])
            except a.AccessDenied as error:
                print(error.dbus_name)
        """
        said = run(
            "runuser",
            "-u",
            "alice",
            "--",
            "/usr/bin/python3",
            "-B",
            "-c",
            script,
            cwd="/",
            env={**os.environ, "PYTHONPATH": EXAMPLES},
        ).stdout
        self.assertEqual(said, f"{{'{role}': 'running'}}\norg.freedesktop.DBus.Error.AccessDenied\n")

    def test_address(self):
        with ArchitectNode(address="unix:path=/run/dbus/system_bus_socket") as node:
            self.assertGreater(node.get_pgrp(), 0)
        with self.assertRaises(architectnode.ConnectionLost) as caught:
            ArchitectNode(address="unix:path=/there/is/nothing")
        self.assertIn("unix:path=/there/is/nothing", str(caught.exception))

    def test_close_and_again(self):
        threads = threading.active_count()
        role = self.start_shell("a", "sleep infinity")
        for _ in range(3):
            self.node.close()
            self.assertEqual(threading.active_count(), threads - 1)
            self.assertEqual(self.node.poll([role]), {role: "running"})

    def test_lost_and_again(self):
        role = self.start_shell("a", "sleep infinity")
        link = self.node._get_link()
        link.connection.close_sync(None)
        # The thread of GDBus may not have seen it yet. Then a call would fail like one that was pending.
        wait_until(link.is_closed, "it is closed")
        self.assertEqual(self.node.poll([role]), {role: "running"})

    def test_many_threads(self):
        roles = [self.role(str(i)) for i in range(20)]
        threads = [
            threading.Thread(target=self.node.start, args=(role, ["sleep", "infinity"])) for role in roles
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.node.poll(roles), {role: "running" for role in roles})

    def test_exits(self):
        """A program ends at its last line, and the roles that it has started continue to run."""
        role = self.role("a")
        run(
            "/usr/bin/python3",
            "-B",
            "-c",
            f"import architectnode; architectnode.ArchitectNode().start({role!r}, ['sleep', 'infinity'])",
            env={**os.environ, "PYTHONPATH": EXAMPLES},
            timeout=PATIENCE,
        )
        self.assertEqual(self.node.poll([role]), {role: "running"})


if __name__ == "__main__":
    main()

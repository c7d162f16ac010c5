#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""architectctl beside other supervisors: monit runs its check; a unit of systemd runs a role with its exact
status, READY=1, STATUS= and the watchdog; and a listener that is made with supervisor's childutils gets its
events. The packages are monit and supervisor."""

import os
import signal
import subprocess
import threading

from systemcase import CALL, PATIENCE, Case, main, pid_of, run, wait_until, write

from supervisor import childutils

CTL = "/usr/bin/architectctl"


class Monit(Case):
    def test_status(self):
        """monit sees a check go from ok to failed, and back."""
        camera, log, rc = self.role("camera"), f"{self.directory}/log", f"{self.directory}/monitrc"
        run(CTL, "start", camera, "--", "sleep", "infinity")
        write(
            rc,
            f"""set daemon 1
set log {log}
set pidfile {self.directory}/pid
set idfile {self.directory}/id
set statefile {self.directory}/state
check program camera with path "{CTL} check {camera}"
    if status != 0 then exec "/bin/sh -c 'echo failed >>{self.directory}/said'"
        else if succeeded then exec "/bin/sh -c 'echo passed >>{self.directory}/said'"
""",
            mode=0o600,
        )
        monit = subprocess.Popen(["monit", "-I", "-v", "-c", rc], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(monit.wait)
        # monit 5.34 does not always end at a SIGTERM.
        self.addCleanup(monit.kill)

        def said(*lines):
            try:
                with open(f"{self.directory}/said") as file:
                    return file.read().split() == list(lines)
            except FileNotFoundError:
                return not lines

        def logged(text):
            with open(log) as file:
                return text in file.read()

        wait_until(lambda: os.path.exists(log) and logged("'camera' status succeeded (0) -- ARCHITECT OK"), "ok")
        self.assertTrue(said())
        run(CTL, "kill", camera)
        wait_until(lambda: said("failed"), "failed")
        self.assertTrue(logged(f"ARCHITECT CRITICAL - {camera} has ended (SIGKILL, kill)"))
        run(CTL, "start", camera, "--", "sleep", "infinity")
        wait_until(lambda: said("failed", "passed"), "passed")


class Unit(Case):
    """run --wait as ExecStart= of a unit."""

    unit = "integration-case.service"

    def setUp(self):
        super().setUp()
        self.addCleanup(run, "systemctl", "reset-failed", self.unit, check=False)
        self.addCleanup(run, "systemctl", "stop", self.unit, check=False)

    def begin(self, *properties, command, check=True):
        properties = [f"--property={p}" for p in ("StandardOutput=journal", "Type=notify", *properties)]
        return run("systemd-run", f"--unit={self.unit}", "-q", *properties, "--", *command, check=check)

    def show(self, name):
        return run("systemctl", "show", "-P", name, self.unit).stdout.strip()

    def wait_state(self, state):
        wait_until(lambda: self.show("ActiveState") == state, state)

    def run_wait(self, role, *options, script):
        options = ("--service-type=notify", "-p", "NotifyAccess=all", *options)
        return CTL, "run", "--wait", role, *options, "--", "sh", "-c", script

    def test_ready(self):
        """The unit is active when the role is ready, and has its status text; its stop is that of the role."""
        role, fifo = self.role("ready"), self.fifo()
        os.mkfifo(f"{self.directory}/go")
        script = (
            f"systemd-notify STATUS=cooling; echo up >{fifo.path}; read x <{self.directory}/go;"
            f" systemd-notify --ready STATUS=cold; trap 'echo term >{fifo.path}; exit 0' TERM;"
            f" echo ready >{fifo.path}; while :; do sleep 0.1; done"
        )
        with subprocess.Popen(
            ["systemd-run", f"--unit={self.unit}", "-q", "--property=Type=notify", "--"]
            + list(self.run_wait(role, script=script)),
            stdin=subprocess.DEVNULL,
        ) as begin:
            self.assertEqual(fifo.line(), "up")
            wait_until(lambda: self.show("StatusText") == "cooling", "cooling")
            self.assertEqual(self.show("ActiveState"), "activating")
            self.assertIsNone(begin.poll())
            write(f"{self.directory}/go", "\n")
            self.assertEqual(begin.wait(PATIENCE), 0)
        self.assertEqual(self.show("ActiveState"), "active")
        self.assertEqual(fifo.line(), "ready")
        wait_until(lambda: self.show("StatusText") == "cold", "cold")
        run("systemctl", "stop", self.unit)
        self.assertEqual(fifo.line(0), "term")
        self.assertEqual((self.show("Result"), self.show("ExecMainStatus")), ("success", "0"))
        self.assertNotIn(role, run(CTL, "poll").stdout)

    def test_status(self):
        """The status of the unit is that of the role, and 128 and the number of a signal."""
        for script, status in (("exit 42", "42"), ("kill -KILL $$$$", "137"), ("exit 0", "0")):
            with self.subTest(script):
                done = self.begin(
                    command=(CTL, "run", "--wait", self.role("ends"), "--", "sh", "-c", script)
                )
                self.assertEqual(done.returncode, 0)  # it has begun, which is enough for --service-type=exec
                self.wait_state("inactive" if status == "0" else "failed")
                if status != "0":
                    self.assertEqual((self.show("ExecMainCode"), self.show("ExecMainStatus")), ("1", status))
                    self.assertEqual(self.show("Result"), "exit-code")
                run("systemctl", "reset-failed", self.unit, check=False)

    def test_stop_status(self):
        """A role that SIGTERM ends is a success with SuccessExitStatus=143."""
        self.begin(
            "SuccessExitStatus=143",
            command=(CTL, "run", "--wait", self.role("sleeps"), "--", "sleep", "infinity"),
        )
        run("systemctl", "stop", self.unit)
        self.assertEqual((self.show("Result"), self.show("ActiveState")), ("success", "inactive"))

    def test_watchdog(self):
        """The role has the watchdog of the unit, and ends it; the unit gets its keep-alives meanwhile."""
        role, fifo = self.role("watched"), self.fifo()
        script = (
            f"echo $WATCHDOG_USEC >{fifo.path}; systemd-notify --ready;"
            " for i in 1 2 3 4 5 6 7 8 9; do systemd-notify WATCHDOG=1; sleep 0.2; done; exec sleep infinity"
        )
        self.begin("WatchdogSec=800ms", command=self.run_wait(role, script=script))
        self.assertEqual(fifo.line(), "800000")
        self.wait_state("failed")
        # SIGABRT, by the node and not by systemd, which would say "watchdog".
        self.assertEqual((self.show("Result"), self.show("ExecMainStatus")), ("exit-code", "134"))
        self.assertIn(
            f'"role":"{role}"', run(CTL, "monitor", "--since=0", "-n1", "--json=short", role).stdout
        )

    def test_not_of_a_unit(self):
        """What a program of a unit runs does not speak for the unit."""
        fifo = self.fifo()
        os.mkfifo(f"{self.directory}/go")
        script = f"{CTL} run --wait {self.role('other')} -- true; echo ran >{fifo.path}; read x <{self.directory}/go"
        with subprocess.Popen(
            ["systemd-run", f"--unit={self.unit}", "-q", "--property=Type=notify", "--property=NotifyAccess=all"]
            + ["--", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as begin:
            self.assertEqual(fifo.line(), "ran")
            self.assertEqual(self.show("ActiveState"), "activating")
            write(f"{self.directory}/go", "\n")
            begin.wait(PATIENCE)


class Listener(Case):
    """monitor --format=supervisor, with supervisor's own childutils at its ends."""

    def setUp(self):
        super().setUp()
        self.monitor = None

    def begin(self, *words):
        """Begin now; returns when it waits for the first READY."""
        self.monitor = subprocess.Popen(
            [CTL, "monitor", "--format=supervisor", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)

    def end(self):
        self.monitor.kill()
        self.monitor.wait()
        for file in self.monitor.stdin, self.monitor.stdout, self.monitor.stderr:
            file.close()

    def wait(self):
        # Whoever waits in vain reads the end of the output.
        patience = threading.Timer(PATIENCE, self.monitor.kill)
        patience.start()
        try:
            headers, payload = childutils.listener.wait(self.monitor.stdout, self.monitor.stdin)
        finally:
            patience.cancel()
        self.assertEqual(headers["ver"], "3.0")
        self.assertEqual((headers["server"], headers["pool"]), ("architect", "main"))
        data, rest = childutils.eventdata(f"{payload}\n")
        self.assertEqual(rest, "")
        return headers, data

    def next(self):
        headers, data = self.wait()
        childutils.listener.ok(self.monitor.stdin)
        return headers, data

    @staticmethod
    def position():
        get = ("busctl", "get-property", *CALL[2:])
        return run(*get, "EventSequence").stdout.split()[1], run(*get, "EventEpoch").stdout.split('"')[1]

    def since(self):
        seq, epoch = self.position()
        return f"--since={seq}", f"--epoch={epoch}"

    def test_events(self):
        """Each kind, in the order in which it happened, with its fields."""
        role, since = self.role("a"), self.since()
        self.begin(*since, f"{role}*")
        run(CTL, "start", role, "--", "sleep", "infinity")
        pid = str(pid_of(role))
        names = {"processname": role, "groupname": role}
        headers, data = self.next()
        self.assertEqual(headers["eventname"], "PROCESS_STATE_RUNNING")
        self.assertEqual(data, {**names, "from_state": "STARTING", "pid": pid})
        self.assertEqual((headers["poolserial"], int(headers["serial"]) > int(since[0].split("=")[1])), ("0", True))
        run(CTL, "stop", role)
        headers, data = self.next()
        self.assertEqual(headers["eventname"], "PROCESS_STATE_STOPPED")
        self.assertEqual(data, {**names, "from_state": "STOPPING", "pid": pid})

        for script, expected in (("exit 0", "1"), ("exit 3", "0"), ("kill -KILL $$", "0")):
            run(CTL, "start", role, "--", "sh", "-c", script)
            _, started = self.next()
            headers, data = self.next()
            self.assertEqual(headers["eventname"], "PROCESS_STATE_EXITED")
            fields = {"from_state": "RUNNING", "expected": expected, "pid": started["pid"]}
            self.assertEqual(data, {**names, **fields})

        run(CTL, "start", role, "-p", "SuccessExitStatus=3", "--", "sh", "-c", "exit 3")
        self.next()
        self.assertEqual(self.next()[1]["expected"], "1")

        options = ("-p", "Restart=always", "-p", "RestartSec=10ms", "-p", "StartLimitBurst=2")
        run(CTL, "start", role, *options, "--", "false")
        seen = [self.next() for _ in range(7)]
        kinds = ("RUNNING", "EXITED", "BACKOFF", "RUNNING", "EXITED", "BACKOFF", "FATAL")
        self.assertEqual([h["eventname"] for h, _ in seen], [f"PROCESS_STATE_{kind}" for kind in kinds])
        self.assertEqual(seen[2][1], {**names, "from_state": "STARTING", "tries": "1"})
        self.assertEqual(seen[6][1], {**names, "from_state": "BACKOFF"})
        serials = [int(h["serial"]) for h, _ in seen]
        self.assertEqual(serials, sorted(set(serials)))
        self.assertEqual([int(h["poolserial"]) for h, _ in seen], list(range(10, 17)))

    def test_refused(self):
        """What the listener does not accept comes again, the same, and before the next one."""
        role = self.role("a")
        self.begin(*self.since(), role)
        run(CTL, "start", role, "--", "true")
        first = self.wait()
        childutils.listener.fail(self.monitor.stdin)
        second = self.wait()
        self.assertEqual(second, first)
        childutils.listener.send("MAYBE", self.monitor.stdin)
        self.assertEqual(self.wait(), first)
        childutils.listener.ok(self.monitor.stdin)
        self.assertEqual(self.next()[0]["eventname"], "PROCESS_STATE_EXITED")

    def test_restart_of_the_service(self):
        """Nothing is lost or comes twice over a crash of the service, also while the listener is busy."""
        role = self.role("a")
        self.begin(*self.since(), role)
        run(CTL, "start", role, "--", "sh", "-c", "exit 7")
        headers, _ = self.wait()
        main_pid = run("systemctl", "show", "-P", "MainPID", "architect-node.service").stdout.strip()
        os.kill(int(main_pid), signal.SIGKILL)
        wait_until(lambda: run("busctl", "call", *CALL[2:], "Poll", "as", "0", check=False).returncode == 0, "it")
        run(CTL, "start", role, "--", "sh", "-c", "exit 8")
        childutils.listener.ok(self.monitor.stdin)
        kinds = [headers["eventname"]] + [self.next()[0]["eventname"] for _ in range(3)]
        self.assertEqual(kinds, ["PROCESS_STATE_RUNNING", "PROCESS_STATE_EXITED"] * 2)

    def test_shutdown(self):
        """The end of the service has no role, so a pattern leaves it out; it has no fields."""
        since = self.since()
        run("systemctl", "stop", "architect-node.service")
        run("systemctl", "start", "architect-node.service")
        self.begin(*since)
        headers, data = self.next()
        self.assertEqual((headers["eventname"], headers["len"]), ("SUPERVISOR_STATE_CHANGE_STOPPING", "0"))
        self.assertEqual(data, {})

    def assert_ends(self, message, status=1):
        self.monitor.stdin.close()
        self.assertEqual(self.monitor.wait(PATIENCE), status)
        self.monitor.stdin = open(os.devnull)
        said = self.monitor.stderr.read()
        self.assertIn(message, said)
        return said

    def test_end_of_the_listener(self):
        """Its end is noticed at once, and the place from which to go on is named, which is exact."""
        role, (seq, epoch) = self.role("a"), self.position()
        self.begin(f"--since={seq}", f"--epoch={epoch}", role)
        run(CTL, "start", role, "--", "true")
        self.next()
        self.wait()  # and is gone
        said = self.assert_ends("the event listener has ended")
        self.assertIn(f"--since={int(seq) + 1} --epoch={epoch} goes on", said)
        self.end()
        self.begin(f"--since={int(seq) + 1}", f"--epoch={epoch}", role)
        self.assertEqual(self.next()[0]["eventname"], "PROCESS_STATE_EXITED")
        # Nothing is pending now.
        self.assert_ends("the event listener has ended")

    def test_garbage(self):
        """It is said at once and without an event, also when the listener has ended by then."""
        self.begin(*self.since())
        self.monitor.stdin.write("HELLO\nREADY\n")
        self.assert_ends('the event listener said "HELLO"')

    def test_mistakes(self):
        for words, message in (
            (("--format=json",), "--format=json is not known"),
            (("--format=supervisor", "-j"), "exclude each other"),
            (("--format=supervisor", "-H", "a,b"), "for one host"),
        ):
            done = run(CTL, "monitor", *words, check=False)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(message, done.stderr)
        done = run(CTL, "monitor", "--format=supervisor", check=False)  # standard input is /dev/null
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard input is no pipe from an event listener", done.stderr)


if __name__ == "__main__":
    main()

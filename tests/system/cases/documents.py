#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""Runs each line of architectnode.md, which must print the documented output. No function is missing.

Runs each example of clients.md in a language that is installed as well, and all of roles.md, of integration.md and of
the tour in the README, as it is written there.
"""

import os
import re
import shutil
import subprocess

from gi.repository import Gio, GLib

from systemcase import CALL, DOCUMENTS, EXAMPLES, Case, busctl, eups, main, path_of, run, wait_until, write

ORIGINAL = """
    instance_name pyro_name logger monitor_timeout max_threadpool_size
    handle_pipes beat pyro_run_loop get_env set_env get_pgrp bind_tcp bind_udp release_tcp release_udp
    start role command product version setup_args env_vars xterm xterm_args eups_list
    send_input poll stop kill purge set_log_level log_to_sve shutdown
""".split()


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def code(cell):
    """Return the code in a cell that contains nothing else, or an empty string for an empty cell."""
    if not cell:
        return ""
    assert re.fullmatch(r"`[^`]+`", cell), f"not one piece of code: {cell}"
    return cell[1:-1]


class Document(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(run, "systemctl", "start", "architect-node.service")
        # The end of the service resets what the lines have set and armed.
        self.addCleanup(run, "systemctl", "stop", "architect-node.service")
        run("systemctl", "stop", "architect-node.service")
        run("systemctl", "start", "architect-node.service")
        with open(os.path.join(DOCUMENTS, "architectnode.md")) as file:
            self.text = file.read()
        self.rows = [cells(line) for line in self.text.splitlines() if re.match(r"\| (?!the original)", line)]

    def test_complete(self):
        """Each function and argument of the original has a row, and each row has a line of code."""
        named = set()
        for row in self.rows:
            self.assertEqual(len(row), 4, row)
            self.assertTrue(code(row[2]).startswith("busctl "), row)
            named.update(re.findall(r"\b\w+", " ".join(re.findall(r"`(\w+)", row[0]))))
        self.assertEqual(set(ORIGINAL) - named, set())

    def test_lines(self):
        block = re.search(r"^N=.*$", self.text, re.MULTILINE).group(0)
        variables = {"TCP": "1", "UDP": "1 2"}
        ran = 0
        eups(self, reduction=("2.1",), plots=("1.0",))
        for row in self.rows:
            line, prints = code(row[2]), code(row[3])
            done = run("sh", "-c", f"{block}\n{line}", check=False, env={**os.environ, **variables})
            self.assertEqual((done.returncode, done.stderr), (0, ""), line)
            pattern = ".*".join(re.escape(part) for part in prints.split("…"))
            self.assertRegex(done.stdout.rstrip("\n"), f"^{pattern}$", line)
            for method, name in (("BindTCP", "TCP"), ("BindUDP", "UDP")):
                if method in line:
                    variables[name] = done.stdout.split('"')[0].split(" ", 2)[2].strip()
            ran += 1
        self.assertGreater(ran, 20)

    def test_python(self):
        """The example works."""
        script = re.search(r"^```python\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL).group(1)
        self.assertIn("node.start(", script)
        run("/usr/bin/python3", "-B", "-c", script, env={**os.environ, "PYTHONPATH": EXAMPLES})
        self.assertIn(f"{EXAMPLES}/architectnode.py", self.text)
        self.assertTrue(os.path.exists(f"{EXAMPLES}/architectnode.py"))
        run(*CALL, "Kill", "s", "guider")
        run(*CALL, "Purge", "as", "1", "guider")


class Readme(Case):
    """The tours with architectctl and with busctl: each line after "# " prints what is written below it."""

    def setUp(self):
        super().setUp()
        self.addCleanup(run, *CALL, "KillMany", "asa{sv}", "0", "0")
        self.addCleanup(run, *CALL, "Purge", "as", "0")
        with open(os.path.join(DOCUMENTS, "README.md")) as file:
            self.text = file.read()

    def commands(self, heading):
        """Each command of a section with the output that it has there, as a pattern."""
        section = re.search(rf"^## {heading}$(.*?)^## ", self.text, re.MULTILINE | re.DOTALL).group(1)
        found = []
        for block in re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            for entry in re.split(r"^# ", block, flags=re.MULTILINE)[1:]:
                command, output = entry.split("\n", 1)
                parts = [re.sub(r"\\? +", r"\\s+", re.escape(part)) for part in output.rstrip("\n").split("[...]")]
                found.append((command, ".*".join(parts)))
        return found

    def run_section(self, heading, n):
        commands = self.commands(heading)
        self.assertEqual(len(commands), n)
        variables = ""
        for command, pattern in commands:
            if re.match(r"\w+=", command):
                variables += f"{command}\n"
                continue

            def prints():
                done = subprocess.run(
                    ["bash", "-c", f"{variables}{command}"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                )
                self.printed = done.stdout.rstrip("\n")
                return re.fullmatch(pattern, self.printed)

            if " logs " in command:  # what a role has written takes a moment to the journal
                wait_until(prints, command)
            else:
                self.assertTrue(prints(), f"{command} prints {self.printed!r}, not {pattern!r}")

    def test_architectctl(self):
        self.run_section("Five minutes with architectctl", 14)

    def test_busctl(self):
        self.run_section("The same with busctl", 6)


PROGRAMS = {
    "sh": ["sh", "-eu"],
    "python": ["/usr/bin/python3", "-B", "-W", "error::RuntimeWarning", "-"],
    "perl": ["perl", "-w"],
}


class Clients(Case):
    """Each example starts a role "guider" and stops it."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(DOCUMENTS, "clients.md")) as file:
            self.text = file.read()

    def run_blocks(self, language, n):
        """Runs each block of this language; a text block after it is what it prints."""
        blocks = re.findall(
            rf"^```{language}\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", self.text, re.MULTILINE | re.DOTALL
        )
        self.assertEqual(len(blocks), n)
        for block, prints in blocks:
            seq = int(busctl("get-property", *CALL[2:], "EventSequence"))
            done = run_input(block, *PROGRAMS[language])
            self.assertEqual((done.returncode, done.stderr), (0, ""), block)
            if prints:
                self.assertEqual(done.stdout, prints, block)
            else:
                self.assertIn("running", done.stdout, block)
            self.assert_started_and_stopped(seq, block)
            run(*CALL, "Purge", "as", "1", "guider")

    def assert_started_and_stopped(self, seq, block):
        epoch = busctl("get-property", *CALL[2:], "EventEpoch")
        events = busctl(*CALL[1:], "EventsSince", "stu", epoch, str(seq), "0")[2]
        told = [
            (signal, {key: value["data"] for key, value in details.items()})
            for _, _, signal, role, details in events
            if role == "guider"
        ]
        self.assertEqual([signal for signal, _ in told], ["RoleStarted", "RoleExited"], block)
        self.assertEqual(told[0][1]["user"], "nobody", block)
        self.assertEqual(told[1][1]["cause"], "stop", block)

    def test_shell(self):
        self.run_blocks("sh", 2)

    def test_python(self):
        self.run_blocks("python", 4)

    def test_perl(self):
        self.run_blocks("perl", 1)

    def test_joining_stop(self):
        """A stop whose client has given up goes on, and a second one joins it."""
        role, fifo = self.role("slow"), self.fifo()
        script = f"trap 'echo stopping >{fifo.path}' TERM; echo ready >{fifo.path}; while :; do sleep 1000; done"
        start = (*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", role, "3", "sh", "-c", script)
        run(*start, "2", "stop-to", "s", "main", "stop-timeout-usec", "t", "4000000")
        self.assertEqual(fifo.line(), "ready")
        first = run("busctl", "--timeout=1", *CALL[1:], "Stop", "s", role, check=False)
        self.assertNotEqual(first.returncode, 0)
        self.assertIn("timed out", first.stderr.lower())
        self.assertIn("running", run(*CALL, "Poll", "as", "1", role).stdout)
        run("busctl", "--timeout=60", *CALL[1:], "Stop", "s", role)
        self.assertIn("exit -9", run(*CALL, "Poll", "as", "1", role).stdout)

    def test_unanswered_calls(self):
        """dbus-daemon refuses the 129th of a connection, also a Beat; not that of another connection."""
        role, fifo = self.role("stays"), self.fifo()
        script = f"trap '' TERM; echo ready >{fifo.path}; while :; do sleep 1000; done"
        start = (*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", role, "3", "sh", "-c", script)
        run(*start, "1", "stop-timeout-usec", "t", "600000000")
        self.assertEqual(fifo.line(), "ready")
        self.addCleanup(run, *CALL, "SetMonitorTimeout", "t", "30000000")
        run(*CALL, "SetMonitorTimeout", "t", "0")

        def connection():
            flags = Gio.DBusConnectionFlags
            return Gio.DBusConnection.new_for_address_sync(
                Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM),
                flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION,
            )

        def beat(bus):
            bus.call_sync(*CALL[2:], "Beat", None, None, Gio.DBusCallFlags.NONE, -1)

        busy, other = connection(), connection()
        self.addCleanup(busy.close_sync)
        self.addCleanup(other.close_sync)
        for _ in range(128):
            args = GLib.Variant("(s)", (role,))
            # Without a callback GDBus would ask for no reply.
            busy.call(*CALL[2:], "Stop", args, None, Gio.DBusCallFlags.NONE, 600000, None, lambda *_: None)
        if bus_daemon():
            with self.assertRaises(GLib.Error) as caught:
                beat(busy)
            self.assertEqual(
                Gio.DBusError.get_remote_error(caught.exception), "org.freedesktop.DBus.Error.LimitsExceeded"
            )
        else:
            beat(busy)
        beat(other)


ROLES = "/etc/architect-node/main.roles.d"
# Directories that the lines of roles.md make.
MADE = ("/etc/observatory", "/var/log/observatory", "/var/log/gcam.log", "/opt/ioc")
MADE += ("/tmp/allsky", "/tmp/allsky.conf")
# Keys that need a value.
VALUES = {"Command": "true", "Instances": "0"}
# What only reads is repeated until it prints what it should, because it may come before the event.
READS = re.compile(r"role |tail |journalctl |busctl call \$N (Poll|ListDefinitions) |busctl get-property ")


def in_order(text):
    """A dictionary of strings as busctl prints it, sorted, since it has no order."""
    if not re.fullmatch(r'a\{ss\} \d+( "[^"]*" "[^"]*")+', text):
        return text
    return " ".join([*text.split(" ")[:2], *sorted(re.findall(r'"[^"]*" "[^"]*"', text))])


class Walk(Case):
    """Does what a document says, from its first line to its last."""

    document = None

    def setUp(self):
        super().setUp()
        with open(os.path.join(DOCUMENTS, self.document)) as file:
            self.text = file.read()
        self.shell = []  # the lines that define something

    def prints(self, line):
        done = subprocess.run(
            ["bash", "-c", "\n".join([*self.shell, line])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, in_order(done.stdout.replace("\r", "").rstrip("\n"))

    def run_line(self, line, expected):
        expected = in_order(expected)
        pattern = re.compile(".*".join(re.escape(part) for part in expected.split("…")), re.DOTALL)
        fails = expected.startswith("Call failed: ")
        last = []

        def as_documented():
            last[:] = self.prints(line)
            return bool(last[0]) == fails and pattern.fullmatch(last[1])

        if READS.match(line):
            try:
                wait_until(as_documented, line)
                return
            except AssertionError:
                pass
        elif as_documented():
            return
        self.fail(f"{line}\nprints, with exit status {last[0]}:\n{last[1]}\ninstead of:\n{expected}")

    def run_console(self, block):
        self.assertTrue(block.startswith("# "), block)
        n = 0
        for entry in re.split(r"^# ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
            line, _, expected = entry.partition("\n")
            if re.match(r"\w+(=|\(\) )", line):
                self.shell.append(line)
                self.assertEqual(expected.strip(), "", line)
            else:
                self.run_line(line, expected.rstrip("\n"))
                n += 1
        return n


class Roles(Walk):
    """Also: its tables have the keys that exist."""

    document = "roles.md"

    def setUp(self):
        super().setUp()
        self.addCleanup(self.forget)
        self.assertFalse(os.path.exists(ROLES) and os.listdir(ROLES))

    def forget(self):
        run("systemctl", "start", "architect-node.service")
        run(*CALL, "KillMany", "asa{sv}", "0", "0")
        run(*CALL, "Purge", "as", "0")
        for path in (ROLES, *MADE):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
        run(*CALL, "Reload")
        # The end of the service forgets what was stopped by hand.
        run("systemctl", "stop", "architect-node.service")
        run("systemctl", "start", "architect-node.service")

    def test_tour(self):
        files = lines = 0
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL):
            if language == "ini":
                path = re.match(r"# (/\S+)\n", block).group(1)
                write(path, block)
                files += 1
            elif language == "":
                lines += self.run_console(block)
            else:
                self.assertEqual(language, "text")  # of other software
        self.assertGreater(files, 20)
        self.assertGreater(lines, 80)

    def errors(self):
        """Reads the files; returns what is wrong in them."""
        run(*CALL, "Reload")
        return [
            f"{name}: {details['error']['data']}"
            for name, _, _, details in busctl(*CALL[1:], "ListDefinitions")[0]
            if "error" in details
        ]

    def test_keys(self):
        """Each key of role files in a table of equivalents exists."""
        keys = set()
        for table in re.findall(r"^\|[^|\n]*\| role file \|.*\n((?:\|.*\n)*)", self.text, re.MULTILINE):
            for row in table.splitlines()[1:]:
                other, ours, _ = cells(row)
                code_of = other if ours.startswith("the same") else ours
                keys.update(re.findall(r"`([A-Z]\w+)=", code_of))
        self.assertGreater(len(keys), 40)
        for key in keys:
            # An empty value gives a key its default.
            name = f"{key}@" if key == "Instances" else key
            write(f"{ROLES}/{name}.role", f"[Role]\nCommand=true\n{key}=\n{key}={VALUES.get(key, '')}\n")
        self.assertEqual(self.errors(), [])

    def test_observatory(self):
        """Its files are valid."""
        files = [name for name in os.listdir(f"{EXAMPLES}/observatory") if name.endswith(".role")]
        self.assertGreater(len(files), 5)
        os.makedirs(ROLES, exist_ok=True)
        for name in files:
            shutil.copy(f"{EXAMPLES}/observatory/{name}", ROLES)
        self.assertEqual(self.errors(), [])


class Integration(Walk):
    """The services and files are those of this document only."""

    document = "integration.md"

    def setUp(self):
        super().setUp()
        self.files = []
        self.addCleanup(self.forget)

    def forget(self):
        for path in self.files:
            if path.endswith((".service", ".timer")):
                run("systemctl", "stop", os.path.basename(path), check=False)
            os.unlink(path)
        run("systemctl", "daemon-reload")
        for path in ("/usr/local/lib/observatory", "/var/lib/prometheus"):
            shutil.rmtree(path, ignore_errors=True)
        run(*CALL, "KillMany", "asa{sv}", "0", "0")
        run(*CALL, "Purge", "as", "0")

    def test_lines(self):
        lines = 0
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL):
            if language == "":
                lines += self.run_console(block)
            elif language != "text":  # of software that is not here
                path = re.match(r"# (/\S+)\n", block).group(1)
                self.assertFalse(os.path.exists(path), path)
                write(path, block)
                self.files.append(path)
        self.assertEqual(len(self.files), 6)
        self.assertGreater(lines, 20)
        # Also what nothing has started is right.
        units = [path for path in self.files if path.endswith((".service", ".timer"))]
        done = run("systemd-analyze", "verify", *units)
        self.assertEqual(done.stdout + done.stderr, "")


class Programs(Case):
    """Recipes of architect-node(8)."""

    def test_su_without_a_session(self):
        """The variable keeps su in the scope of its role, whose limits hold there."""
        role, fifo = self.role("su"), self.fifo()
        script = f"grep ^0:: /proc/self/cgroup >{fifo.path}; exec sleep infinity"
        start = (*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", role, "4", "su", "alice", "-c", script)
        run(*start, "1", "env", "a{ss}", "1", "XDG_SESSION_CLASS", "none")
        cgroup = busctl("get-property", CALL[2], path_of(role), "org.architect.Node.Role", "ControlGroup")
        self.assertEqual(fifo.line(), f"0::{cgroup}")
        run("busctl", "--timeout=60", *CALL[1:], "Stop", "s", role)


def bus_daemon():
    """Whether the bus is dbus-daemon's."""
    return run("systemctl", "show", "-P", "Id", "dbus.service").stdout.strip() == "dbus.service"


def run_input(text, *command):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()

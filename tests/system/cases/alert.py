#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""architect-alert with real ends of roles: which events run which command, as which user, with which environment, how
often, and that neither a command nor a bad file holds up the others."""

import http.server
import json
import os
import queue
import shutil
import subprocess
import threading
import time

from systemcase import CALL, DOCUMENTS, EXAMPLES, NodeCase, busctl, get_property, main, run, wait_until, write

ALERTS = "/etc/architect-node/alerts.d"
STATE = "/var/lib/architect-alert"
UNIT = "architect-alert.service"

# An instance whose log the test makes: so many failures follow, and what follows this number it does not answer.
FAKE = """
import sys
import time
from gi.repository import Gio, GLib

XML = '''<node><interface name="org.architect.Node">
<method name="EventsSince"><arg type="s" direction="in"/><arg type="t" direction="in"/><arg type="u" direction="in"/>
<arg type="s" direction="out"/><arg type="b" direction="out"/><arg type="a(ttssa{sv})" direction="out"/></method>
</interface></node>'''
ends = [
    ("oom", "killed", 9, "oom", "oom-kill", True), ("oom", "killed", 9, "oom", "oom-kill", True),
    ("child", "exited", 0, "self", "success", True), ("l", "lost", -1, "self", "lost", False),
]
more, last = map(int, sys.argv[1:])
ends += [("cam", "exited", 3, "self", "exit-code", False)] * more
now = time.time_ns() // 1000


def event(seq, role, code, status, cause, result, oom):
    details = {"code": ("s", code), "status": ("i", status), "cause": ("s", cause), "result": ("s", result), "oom-kill": ("b", oom)}
    variants = {key: GLib.Variant(*value) for key, value in details.items()}
    return (seq, now if seq > 1 else now - 700000000, "RoleExited", role, variants)


def call(bus, sender, path, interface, method, arguments, invocation):
    _, seq, most = arguments.unpack()
    events = [event(n, *end) for n, end in enumerate(ends, 1) if n > seq][:most]
    if seq >= last:
        print("asked", flush=True)
        return
    invocation.return_value(GLib.Variant("(sba(ttssa{sv}))", ("fake-epoch", True, events)))


bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
bus.register_object("/org/architect/Node", Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], call, None, None)
loop = GLib.MainLoop()
Gio.bus_own_name_on_connection(bus, "org.architect.NodeInstances", 0, None, None)  # of the policy of the bus
Gio.bus_own_name_on_connection(
    bus, "org.architect.Node.fake", 0, lambda *_: print("owned", flush=True), lambda *_: loop.quit()
)
loop.run()
"""


class Alert(NodeCase):
    def setUp(self):
        super().setUp()
        self.out = f"{self.directory}/out"
        os.mkdir(self.out)
        os.chmod(self.out, 0o1777)
        # A file for each run, which is complete when it has its name.
        self.report = f"{self.directory}/report"
        write(
            self.report,
            f"#!/bin/sh\nt=$(mktemp {self.out}/.XXXXXX)\n"
            f'{{ env; echo "WORDS=$*"; echo "UID=$(id -u)"; }} >"$t"\n'
            f'mv "$t" "{self.out}/$ARCHITECT_ALERT-$ARCHITECT_SEQ"\n',
            0o755,
        )
        shutil.rmtree(ALERTS, ignore_errors=True)
        self.addCleanup(self.clean)
        self.cursor = run("journalctl", "-q", "-n", "1", "-o", "cat", "--show-cursor").stdout
        self.cursor = self.cursor.rpartition("-- cursor: ")[2].strip()

    def clean(self):
        run("systemctl", "stop", UNIT)
        for unit in self.units():
            run("systemctl", "stop", unit, check=False)
        run("systemctl", "reset-failed", UNIT, check=False)
        for path in (ALERTS, STATE):
            shutil.rmtree(path, ignore_errors=True)

    @staticmethod
    def units():
        lines = run("systemctl", "list-units", "--plain", "--no-legend", "--all", "architect-alert-*").stdout.splitlines()
        return [line.split()[0] for line in lines]

    def alert(self, name, on, command=None, **keys):
        keys = {"On": on, "User": "root", **keys, "Command": command or f"{self.report} a ${{ARCHITECT_ROLE}}"}
        write(f"{ALERTS}/{name}.conf", "[Alert]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))

    def start(self):
        run("systemctl", "start", UNIT)

    def start_fake(self, more, last):
        fake = subprocess.Popen(
            ["python3", "-c", FAKE, str(more), str(last)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(fake.stdout.close)
        self.addCleanup(fake.wait)
        self.addCleanup(fake.kill)
        self.assertEqual(fake.stdout.readline(), "owned\n")
        return fake

    def journal(self):
        run("journalctl", "--sync")
        return run("journalctl", "-q", "-o", "cat", f"--after-cursor={self.cursor}", "-u", UNIT).stdout

    def reports(self, alert):
        """What an alert was run for: {number of the event: environment}."""
        found = {}
        for name in os.listdir(self.out):
            if name.rpartition("-")[0] != alert:
                continue
            with open(f"{self.out}/{name}") as file:
                found[int(name.rpartition("-")[2])] = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        return found

    def wait_for_reports(self, alert, n):
        wait_until(lambda: len(self.reports(alert)) >= n, f"{n} of {alert}, not {self.reports(alert)}")
        reports = self.reports(alert)
        self.assertEqual(len(reports), n, reports)
        return reports

    def wait_for_position(self):
        """Everything that has happened is done. It is saved within a second."""
        seq = get_property("EventSequence")

        def saved():
            try:
                with open(f"{STATE}/main") as file:
                    return int(file.read().split()[1]) >= seq
            except FileNotFoundError:
                return False

        wait_until(saved, f"the position {seq}")

    def fail_role(self, suffix, status=3, **options):
        role = self.start_shell(suffix, f"exit {status}", **options)
        self.wait_for(role, f"exit {status}")
        return role

    def restart_with(self, *do):
        """Each of these happens while it does not run."""
        run("systemctl", "stop", UNIT)
        self.assertEqual(run("systemctl", "show", "-P", "Result", UNIT).stdout, "success\n")
        for action in do:
            action()
        self.start()

    # The tests

    def test_kinds(self):
        """One role for each kind; and ends that somebody has asked for, or that are none."""
        for kind in ("failed", "gave-up", "oom", "monitor", "lost"):
            self.alert(kind, kind, RateLimitBurst=0)
        self.alert("both", "failed oom")
        self.start()
        failed = self.fail_role("failed")
        self.fail_role("good", 0)
        stopped = self.start_shell("stopped", "trap 'exit 7' TERM; while :; do sleep 0.01; done")
        run(*CALL, "Stop", "s", stopped)
        accepted = self.role("accepted")
        run("busctl", "--", *CALL[1:], "Start", "sasa{sv}", accepted, "3", "sh", "-c", "exit 4", "1",
            "success-exit-status", "as", "1", "4")  # fmt: skip
        gave_up = self.role("gave-up")
        run("busctl", "--", *CALL[1:], "Start", "sasa{sv}", gave_up, "3", "sh", "-c", "exit 5", "4", "restart", "s",
            "on-failure", "restart-usec", "t", "1000", "start-limit-burst", "u", "2", "start-limit-interval-usec", "t",
            "60000000")  # fmt: skip
        run(*CALL, "AcquireLease", "stt", "alert-lease", str(time.time_ns()), "500000")

        ends = self.wait_for_reports("gave-up", 1)
        (end,) = ends.values()
        self.assertEqual((end["ARCHITECT_EVENT"], end["ARCHITECT_ROLE"]), ("gave-up", gave_up))
        self.assertEqual((end["ARCHITECT_SIGNAL"], end["ARCHITECT_RESULT"]), ("RoleFailed", "start-limit-hit"))
        (beat,) = self.wait_for_reports("monitor", 1).values()
        self.assertEqual((beat["ARCHITECT_SIGNAL"], beat["ARCHITECT_ROLE"]), ("LeaseExpired", ""))
        self.assertEqual((beat["ARCHITECT_LEASE"], beat["ARCHITECT_TIMEOUT_USEC"]), ("alert-lease", "500000"))
        self.wait_for_position()
        wait_until(lambda: not self.units(), "no command runs")
        reports = self.reports("failed")
        roles = sorted(report["ARCHITECT_ROLE"] for report in reports.values())
        self.assertEqual(roles, sorted([failed, gave_up, gave_up]))
        self.assertEqual((self.reports("oom"), self.reports("lost")), ({}, {}))

        (report,) = (report for report in reports.values() if report["ARCHITECT_ROLE"] == failed)
        expected = {
            "ARCHITECT_EVENT": "failed",
            "ARCHITECT_ALERT": "failed",
            "ARCHITECT_MESSAGE": f"role {failed} failed: exit status 3",
            "ARCHITECT_HOST": os.uname().nodename,
            "ARCHITECT_INSTANCE": "main",
            "ARCHITECT_SIGNAL": "RoleExited",
            "ARCHITECT_EPOCH": get_property("EventEpoch"),
            "ARCHITECT_CODE": "exited",
            "ARCHITECT_STATUS": "3",
            "ARCHITECT_CAUSE": "self",
            "ARCHITECT_RESULT": "exit-code",
            "ARCHITECT_SUPPRESSED": "0",
            "WORDS": f"a {failed}",
        }
        self.assertEqual({key: report.get(key) for key in expected}, expected)
        event = json.loads(report["ARCHITECT_JSON"])
        self.assertEqual((str(event["seq"]), event["role"]), (report["ARCHITECT_SEQ"], failed))
        self.assertEqual(event["details"]["invocation-id"], busctl("get-property", CALL[2], self.path(failed), "org.architect.Node.Role", "InvocationID"))

    @staticmethod
    def path(role):
        return busctl(*CALL[1:], "GetRole", "s", role)[0]

    def test_oom_and_lost(self):
        """Neither the kernel nor the keeper does that here on demand, so the log is that of another instance."""
        self.alert("oom", "failed oom", Instances="fake")
        self.alert("lost", "lost failed", Instances="fake", Roles="l*")
        self.alert("main", "failed oom lost")
        write(f"{STATE}/fake", "fake-epoch 0\n", 0o600)  # the first event of it was more than 10 minutes ago
        self.start()
        self.start_fake(0, 1000)
        found = {seq: report["ARCHITECT_EVENT"] for seq, report in self.wait_for_reports("oom", 3).items()}
        self.assertEqual(found, {2: "oom", 3: "oom", 4: "failed"})
        (lost,) = self.wait_for_reports("lost", 1).values()
        self.assertEqual((lost["ARCHITECT_EVENT"], lost["ARCHITECT_ROLE"]), ("lost", "l"))
        self.assertEqual((lost["ARCHITECT_INSTANCE"], lost["ARCHITECT_STATUS"]), ("fake", "-1"))
        wait_until(lambda: "1 events of fake are more than 10 minutes old" in self.journal(), "one is old")
        self.assertEqual(self.reports("main"), {})

    def test_who_is_chosen(self):
        self.alert("named", "failed", Roles=f"{self.role('cam')}* {self.role('mount')}")
        self.alert("night", "failed", RoleGroups="night")
        self.alert("other", "failed", Instances="other")
        self.start()
        roles = {}
        for suffix, groups, remove in (
            ("cam1", ["night"], False),
            ("mount", ["day"], False),
            ("dome", ["day", "night"], True),
            ("x", [], True),
        ):
            role = roles[suffix] = self.role(suffix)
            run("busctl", "--", *CALL[1:], "Start", "sasa{sv}", role, "3", "sh", "-c", "read -r word; exit 3", "2",
                "role-groups", "as", str(len(groups)), *groups, "remove", "b", str(remove).lower())  # fmt: skip
        for role in roles.values():
            run(*CALL, "SendInput", "ss", role, "end")
        self.wait_for_reports("named", 2)
        self.wait_for_reports("night", 2)
        self.wait_for_position()
        wait_until(lambda: not self.units(), "no command runs")

        def found(alert):
            return {report["ARCHITECT_ROLE"] for report in self.reports(alert).values()}

        self.assertEqual(found("named"), {roles["cam1"], roles["mount"]})
        # Also one that is gone when it is asked.
        self.assertEqual(found("night"), {roles["cam1"], roles["dome"]})
        self.assertEqual(found("other"), set())

    def test_user(self):
        self.alert("user", "failed", User="daemon")
        self.alert("dynamic", "failed", User="", command='/bin/sh -c "id -u; env; touch /usr/x"')
        self.start()
        self.fail_role("a")
        (user,) = self.wait_for_reports("user", 1).values()
        self.assertEqual(user["UID"], run("id", "-u", "daemon").stdout.strip())
        # What a command writes is in the journal, and a dynamic user writes nowhere else.
        unit = f"architect-alert-dynamic-main-{user['ARCHITECT_SEQ']}.service"

        def failed():
            run("journalctl", "--sync")
            return "Read-only file system" in run("journalctl", "-q", "-o", "cat", "-u", unit).stdout

        wait_until(failed, "a dynamic user that cannot write")
        lines = run("journalctl", "-q", "-o", "cat", "-u", unit).stdout.splitlines()
        self.assertIn(f"ARCHITECT_ROLE={self.role('a')}", lines)
        self.assertTrue(any(line.isdigit() and 61184 <= int(line) <= 65519 for line in lines), lines)

    def test_rate(self):
        self.alert("limited", "failed", RateLimitIntervalSec="4s", RateLimitBurst=2)
        self.alert("unlimited", "failed", RateLimitIntervalSec=0)
        self.start()
        began = time.monotonic()
        for n in range(6):
            self.fail_role(f"r{n}")
        self.wait_for_reports("unlimited", 6)
        done = time.monotonic()
        self.assertLess(done - began, 4, "the machine is too slow for this test")
        first = self.wait_for_reports("limited", 2)
        self.assertEqual([report["ARCHITECT_SUPPRESSED"] for report in first.values()], ["0", "0"])
        self.assertIn("Alert limited has reached its rate limit of 2 and is suppressed from event", self.journal())
        time.sleep(max(0, done + 4 - time.monotonic()))  # nothing tells that the interval is over
        self.fail_role("later")
        later = self.wait_for_reports("limited", 3)
        self.assertEqual(later[max(later)]["ARCHITECT_SUPPRESSED"], "4")
        self.assertIn("Alert limited was suppressed 4 times", self.journal())
        self.assertNotIn("Alert unlimited", self.journal())

    def test_hanging_command(self):
        """It holds up neither the others nor the service, and is ended."""
        pids = f"{self.directory}/pids"
        hang = f'/bin/sh -c "trap \'\' TERM; sleep 1000 & echo $$$$ $! >{pids}; wait; sleep 1000"'
        self.alert("hang", "failed", command=hang, TimeoutSec="1s")
        self.alert("other", "failed")
        self.start()
        self.fail_role("a")
        self.fail_role("b")
        self.wait_for_reports("other", 2)
        wait_until(lambda: os.path.exists(pids) and os.path.getsize(pids), "it hangs")
        self.assertEqual(len(self.units()), 2)
        self.restart_with()
        wait_until(lambda: not self.units(), "the commands are ended")
        with open(pids) as file:
            for pid in file.read().split():
                self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)

    def test_bad_files(self):
        self.alert("good", "failed")
        write(f"{ALERTS}/bad.conf", "[Alert]\nOn=failed\nRate=3\nCommand=/bin/true\n")
        self.alert("program", "failed", command="/nowhere/program")
        self.start()
        self.assertIn(f"{ALERTS}/bad.conf:3: there is no key Rate=", self.journal())
        self.assertIn("some files are not valid", run("systemctl", "show", "-P", "StatusText", UNIT).stdout)
        check = run("/usr/libexec/architect-node/architect-alert", "--check", check=False)
        self.assertEqual((check.returncode, check.stdout), (1, "2 alerts, 1 files that are not valid\n"))
        self.assertIn("bad.conf:3:", check.stderr)
        self.fail_role("a")
        self.wait_for_reports("good", 1)
        os.unlink(f"{ALERTS}/bad.conf")
        self.restart_with(lambda: self.fail_role("b"))
        self.wait_for_reports("good", 2)
        self.assertEqual(run("/usr/libexec/architect-node/architect-alert", "--check").stdout, "2 alerts, 0 files that are not valid\n")

    def test_examples(self):
        """As they are installed, but for the addresses."""
        posted = queue.Queue()

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                posted.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words):
                pass

        server = http.server.HTTPServer(("localhost", 0), Hook)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        mail = f"{self.out}/mail"
        write(f"{self.directory}/sendmail", f'#!/bin/sh\n{{ echo "$@"; cat; }} >{mail}.new; mv {mail}.new {mail}\n', 0o755)
        for name in ("mail.conf", "webhook.conf", "alert-mail"):
            with open(f"{EXAMPLES}/alerts/{name}") as file:
                text = file.read()
            for old, new in (
                ("https://chat.observatory.example", f"http://localhost:{server.server_port}"),
                ("/usr/local/bin", self.directory),
                ("/usr/sbin/sendmail", f"{self.directory}/sendmail"),
                ("On=gave-up", "On=failed gave-up"),
            ):
                text = text.replace(old, new)
            write(f"{ALERTS}/{name}" if name.endswith(".conf") else f"{self.directory}/{name}", text, 0o755)
        self.start()
        self.assertNotIn("alerts.d", self.journal())
        role = self.fail_role("a")
        path, body = posted.get(timeout=30)
        host = os.uname().nodename
        self.assertEqual(path, "/hooks/secret")
        self.assertEqual(json.loads(body), {"text": f"{host}: role {role} failed: exit status 3"})
        wait_until(lambda: os.path.exists(mail), "the mail")
        with open(mail) as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], "-oi -t")
        self.assertEqual(lines[1], "To: operators@observatory.example")
        self.assertEqual(lines[2], f"Subject: [{host}] role {role} failed: exit status 3")
        self.assertEqual(json.loads(lines[-1])["role"], role)
        self.assertEqual(len([line for line in lines if "suppressed" in line]), 0)

    def test_document(self):
        """The first lines of alerts.md, of which the last one shows what came of it."""
        with open(f"{DOCUMENTS}/alerts.md") as file:
            *lines, show = file.read().split("```\n")[1].splitlines()
        lines = "\n".join(lines).replace(" guider ", f" {self.role('guider')} ")
        run("sh", "-c", lines, check=False)
        wait_until(lambda: "guider failed" in run("sh", "-c", f"journalctl --sync; {show}").stdout, show)
        line = f"{os.uname().nodename}: role {self.role('guider')} failed: exit status 3\n"
        self.assertEqual(run("sh", "-c", show).stdout, line)

    def test_no_file(self):
        self.start()
        self.assertEqual(run("systemctl", "is-active", UNIT, check=False).stdout, "inactive\n")
        self.assertEqual(run("systemctl", "show", "-P", "ConditionResult", UNIT).stdout, "no\n")

    def test_restarts(self):
        """What was before the first start is nobody's alert. After that none is lost and none comes twice, over restarts
        of the service, of the node and of both."""
        before = self.fail_role("before")
        self.alert("all", "failed", RateLimitBurst=0)
        self.start()
        roles = []

        def fail_some(n):
            roles.extend(self.fail_role(f"r{len(roles)}") for _ in range(n))

        fail_some(3)
        self.restart_with(lambda: fail_some(3))
        fail_some(1)
        self.restart_with()
        # The node is away; the next one has its log.
        run("systemctl", "restart", "architect-node.service")
        fail_some(2)
        self.restart_with(lambda: run("systemctl", "restart", "architect-node.service"), lambda: fail_some(2))
        run("systemctl", "stop", "architect-node.service")
        self.restart_with()
        run("systemctl", "start", "architect-node.service")
        fail_some(1)
        self.wait_for_reports("all", len(roles))
        self.wait_for_position()
        wait_until(lambda: not self.units(), "no command runs")
        reports = self.reports("all")
        self.assertEqual([reports[seq]["ARCHITECT_ROLE"] for seq in sorted(reports)], roles)
        self.assertNotIn(before, roles)
        # Each unit had one invocation: no event was handled twice.
        run("journalctl", "--sync")
        lines = run("journalctl", "-q", "-o", "json", f"--after-cursor={self.cursor}", "--output-fields=UNIT,MESSAGE_ID",
                    "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf").stdout  # fmt: skip
        started = [json.loads(line).get("UNIT", "") for line in lines.splitlines()]
        started = [unit for unit in started if unit.startswith("architect-alert-all-")]
        self.assertEqual(len(started), len(set(started)))
        self.assertEqual(len(started), len(roles))

    def test_stopped_in_the_beginning(self):
        """What was before the first start raises no alert, also if only a part of it was read before the second one."""
        self.alert("failed", "failed", Instances="fake")
        fake = self.start_fake(200, 100)
        self.start()
        self.assertEqual(fake.stdout.readline(), "asked\n")
        run("systemctl", "stop", UNIT)
        self.assertFalse(os.path.exists(f"{STATE}/fake"))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""architect-notify with a real notification daemon (dunst) on a display (Xvfb), in the session of a user: what is shown
and how often, what a click does, and that nothing is lost while the daemon, the service or the program is away."""

import json
import os
import shutil
import subprocess

from systemcase import CALL, PATIENCE, NodeCase, busctl, get_property, main, path_of, run, wait_until, write

UNIT = "architect-notify.service"
SESSION = "notify-test-desktop.target"
HOME = "/home/alice"
RUNTIME = "/run/user/1001"
BUS = f"unix:path={RUNTIME}/bus"
ROLE_FILES = "/etc/architect-node/main.roles.d"
RULE = "/etc/polkit-1/rules.d/10-notify-test.rules"
COCKPIT = "/usr/share/cockpit/architect"
START = "org.architect.node.start-defined-role"
INTERVAL = 10

# dunst runs this for each notification that it shows, also for one that replaces another one.
RECORD = """#!/usr/bin/python3
import json, os, time
keys = ("ID", "SUMMARY", "BODY", "URGENCY", "DESKTOP_ENTRY", "APP_NAME", "CATEGORY")
shown = {key.lower(): os.environ.get("DUNST_" + key) for key in keys}
fd = os.open(FIFO, os.O_WRONLY)
os.write(fd, (json.dumps({**shown, "time": time.monotonic()}) + "\\n").encode())
"""
# dunst asks this which action of which notification is meant. A line ends with [ID,ACTION].
CHOOSE = """#!/bin/sh
cat >MENU.new && mv MENU.new MENU
exec grep -F -- "$(cat CHOICE)" MENU
"""

# An instance whose events the test makes: in this sandbox no memory limit has an effect.
FAKE = """
import time
from gi.repository import Gio, GLib

XML = '''<node><interface name="org.architect.Node">
<method name="EventsSince"><arg type="s" direction="in"/><arg type="t" direction="in"/><arg type="u" direction="in"/>
<arg type="s" direction="out"/><arg type="b" direction="out"/><arg type="a(ttssa{sv})" direction="out"/></method>
</interface></node>'''


def call(bus, sender, path, interface, method, arguments, invocation):
    seq = arguments.unpack()[1]
    details = {"code": ("s", "killed"), "status": ("i", 9), "cause": ("s", "oom"), "result": ("s", "oom-kill"), "oom-kill": ("b", True)}
    variants = {key: GLib.Variant(*value) for key, value in details.items()}
    events = [(1, time.time_ns() // 1000 + 1000000, "RoleExited", "eater", variants)] if seq < 1 else []
    invocation.return_value(GLib.Variant("(sba(ttssa{sv}))", ("fake-epoch", True, events)))


bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
bus.register_object("/org/architect/Node", Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], call, None, None)
loop = GLib.MainLoop()
Gio.bus_own_name_on_connection(bus, "org.architect.NodeInstances", 0, None, None)  # of the policy of the bus
Gio.bus_own_name_on_connection(bus, "org.architect.Node.fake", 0, lambda *_: print("owned", flush=True), lambda *_: loop.quit())
loop.run()
"""


def alice(*command, **options):
    environment = ("env", f"XDG_RUNTIME_DIR={RUNTIME}", f"DBUS_SESSION_BUS_ADDRESS={BUS}", f"HOME={HOME}")
    return run("runuser", "-u", "alice", "--", *environment, *command, **options)


def systemctl(*words, **options):
    return alice("systemctl", "--user", *words, **options)


class Notify(NodeCase):
    def setUp(self):
        super().setUp()
        self.record = self.fifo("record")
        self.start_display()
        self.addCleanup(self.clean)
        self.clean_state()
        text = RECORD.replace("FIFO", repr(self.record.path))
        write(f"{self.directory}/tell", text, 0o755)
        os.chmod(self.directory, 0o777)
        self.menu, self.choice = f"{self.directory}/menu", f"{self.directory}/choice"
        write(f"{self.directory}/choose", CHOOSE.replace("MENU", self.menu).replace("CHOICE", self.choice), 0o755)
        write(
            f"{HOME}/.config/dunst/dunstrc",
            f'[global]\ndmenu = {self.directory}/choose\nmarkup = full\nidle_threshold = 0\nformat = "%s\\n%b"\n'
            + "".join(f"[urgency_{urgency}]\ntimeout = 0\n" for urgency in ("low", "normal", "critical"))
            + f'[record]\nsummary = "*"\nscript = {self.directory}/tell\n',
        )
        write(
            f"{HOME}/.config/systemd/user/{SESSION}",
            "[Unit]\nBindsTo=graphical-session.target\nBefore=graphical-session.target\n",
        )
        run("chown", "-R", "alice:", f"{HOME}/.config")
        systemctl("daemon-reload")
        run("systemctl", "--global", "preset", UNIT)
        systemctl("set-environment", f"DISPLAY={self.display}")
        systemctl("start", SESSION)
        wait_until(self.is_active, "the service is there with the desktop")

    def start_display(self):
        read, write_end = os.pipe()
        self.screen = f"{self.directory}/screen"
        os.mkdir(self.screen)
        command = ("Xvfb", "-displayfd", str(write_end), "-ac", "-screen", "0", "640x480x24", "-nolisten", "tcp")
        self.server = subprocess.Popen(
            [*command, "-fbdir", self.screen], pass_fds=[write_end], stderr=subprocess.DEVNULL
        )
        os.close(write_end)
        with os.fdopen(read) as file:
            self.display = f":{file.readline().strip()}"

    @staticmethod
    def is_active(unit=UNIT):
        return systemctl("is-active", unit, check=False).stdout.strip() == "active"

    @staticmethod
    def clean_state():
        for directory in (f"{HOME}/.config/architect-notify", f"{HOME}/.local/state/architect-notify"):
            shutil.rmtree(directory, ignore_errors=True)

    def clean(self):
        run("systemctl", "start", "architect-node.service")
        systemctl("stop", SESSION)
        wait_until(lambda: not self.is_active(), "the service has ended with the desktop")
        self.assertEqual(systemctl("show", "-P", "Result", UNIT).stdout, "success\n")
        for unit in self.windows():
            systemctl("stop", unit, check=False)
        systemctl("unmask", "--runtime", "dunst.service")
        systemctl("stop", "dunst.service")
        systemctl("stop", "architect-node.service")
        systemctl("unset-environment", "DISPLAY", "TERMINAL")
        run("systemctl", "--global", "disable", UNIT)
        self.server.terminate()
        self.server.wait()
        self.clean_state()
        for path in (f"{HOME}/.config/dunst", f"{HOME}/.config/systemd", ROLE_FILES, COCKPIT):
            shutil.rmtree(path, ignore_errors=True)
        if os.path.exists(RULE):
            os.unlink(RULE)
        run(*CALL, "Reload")

    # What is on the screen

    def shown(self, patience=PATIENCE):
        line = self.record.line(patience)
        return json.loads(line) if line else None

    def expect(self, summary, body, urgency="NORMAL"):
        shown = self.shown()
        self.assertIsNotNone(shown, f"no notification: {summary}")
        self.assertEqual((shown["summary"], shown["urgency"]), (summary, urgency), shown)
        self.assertRegex(shown["body"], rf"\A{body}\Z")
        return shown

    def expect_nothing(self, seconds=1.0):
        self.assertIsNone(self.shown(seconds))

    def click(self, what):
        """Choose one of the actions of the notifications that are there, by a part of its line."""

        def asked():
            if os.path.exists(self.menu):
                return True
            # It refuses a second menu while it ends the first one.
            alice("dunstctl", "context")
            return False

        write(self.choice, what)
        if os.path.exists(self.menu):
            os.unlink(self.menu)
        wait_until(asked, "dunst asks for an action")

    def actions(self, shown):
        """The actions of a notification, without that of a click on itself."""
        self.click("nothing of that name")
        with open(self.menu) as file:
            found = [line.rstrip().rpartition("[")[2].rstrip("]").split(",") for line in file if line.startswith("#")]
        return {action for id, action in found if id == shown["id"]} - {"default"}

    @staticmethod
    def windows():
        lines = systemctl("list-units", "--plain", "--no-legend", "--all", "app-org.architect.Notify-*").stdout
        return [line.split()[0] for line in lines.splitlines()]

    def window(self):
        """The command of the service that a click has started."""
        wait_until(self.windows, "a click opens something")
        unit = self.windows()[0]
        return unit, systemctl("show", "-P", "ExecStart", unit).stdout

    # What happens

    def fail_role(self, suffix, status=3, **options):
        role = self.start_shell(suffix, f"exit {status}", **options)
        self.wait_for(role, f"exit {status}")
        return role

    def define(self, suffix, text, directory=ROLE_FILES):
        role = self.role(suffix)
        write(f"{directory}/{role}.role", f"[Role]\n{text}")
        run(*CALL, "Reload")
        return role

    def rule(self, answer):
        write(
            RULE,
            "polkit.addRule(function(action, subject) {\n"
            f'    if (action.id == "{START}" && subject.user == "alice") return polkit.Result.{answer};\n'
            "});\n",
        )
        run("systemctl", "restart", "polkit.service")

    def state(self):
        """The number of the last event that is done, of the instance main of the system."""
        for directory in (f"{HOME}/.config/architect-notify", f"{HOME}/.local/state/architect-notify"):
            try:
                with open(f"{directory}/system-main") as file:
                    return int(file.read().split()[1])
            except FileNotFoundError:
                pass
        return -1

    def wait_for_state(self):
        seq = get_property("EventSequence")
        wait_until(lambda: self.state() >= seq, "the position is saved")

    # The tests

    def test_failed(self):
        """The daemon is started by that, and what nobody can start again is not offered."""
        self.assertFalse(self.is_active("dunst.service"))
        role = self.fail_role("fails")
        shown = self.expect(f"{role} failed", "exit status 3")
        expected = ("org.architect.Notify", "architect-node", "x-architect.role")
        self.assertEqual((shown["desktop_entry"], shown["app_name"], shown["category"]), expected)
        self.assertTrue(self.is_active("dunst.service"))
        self.assertEqual(self.actions(shown), {"log"})
        # What is on the screen is not one colour.
        with open(f"{self.screen}/Xvfb_screen0", "rb") as file:
            pixels = file.read()[-640 * 480 * 4 :]
        self.assertGreater(len({pixels[i : i + 4] for i in range(0, len(pixels), 4)}), 10)
        # Nobody is told of a good end, of a stop, and of what was asked for.
        self.start_shell("good", "exit 0")
        self.wait_for(self.role("good"), "exit 0")
        stopped = self.start_shell("stopped", "exec sleep 600")
        self.node.stop(stopped)
        self.expect_nothing()

    def test_log(self):
        role = self.fail_role("fails")
        shown = self.expect(f"{role} failed", "exit status 3")
        self.click(f"[{shown['id']},log]")
        unit, command = self.window()
        self.assertRegex(command, rf"/usr/bin/x-terminal-emulator -e /usr/bin/architectctl logs --follow --lines=200 {role} ")
        # It is a terminal of the user, beside this service, and it lives longer.
        group = systemctl("show", "-P", "ControlGroup", unit).stdout.strip()
        self.assertIn("/user@1001.service/app.slice/", group)

        def names():
            with open(f"/sys/fs/cgroup{group}/cgroup.procs") as file:
                return [open(f"/proc/{pid.strip()}/comm").read().strip() for pid in file]

        wait_until(lambda: "journalctl" in names(), "the terminal shows the journal")
        systemctl("restart", UNIT)
        self.assertIn("journalctl", names())
        systemctl("stop", unit)

    def test_terminal_of_the_user(self):
        write(f"{self.directory}/my-terminal", "#!/bin/sh\nexec sleep 600\n", 0o755)
        systemctl("set-environment", f"TERMINAL={self.directory}/my-terminal")
        systemctl("restart", UNIT)
        role = self.fail_role("fails")
        shown = self.expect(f"{role} failed", "exit status 3")
        self.click(f"[{shown['id']},log]")
        self.assertIn(f"{self.directory}/my-terminal -e /usr/bin/architectctl logs", self.window()[1])

    def test_start_again(self):
        self.rule("YES")
        role = self.define("camera", f'Command=sh -c "test -e {self.directory}/good || exit 7; exec sleep 600"\n')
        run(*CALL, "Start", "sasa{sv}", role, "0", "0")
        self.wait_for(role, "exit 7")
        shown = self.expect(f"{role} failed", "exit status 7")
        self.assertEqual(self.actions(shown), {"log", "start"})
        write(f"{self.directory}/good", "")
        self.click(f"[{shown['id']},start]")
        self.wait_for(role, "running")
        owner = busctl("get-property", "org.architect.Node", path_of(role), "org.architect.Node.Role", "Owner")
        self.assertEqual(owner, 1001)
        self.expect_nothing()

    def test_start_refused(self):
        """Somebody could authenticate for it, but there is no agent of polkit that asks."""
        self.rule("AUTH_ADMIN")
        role = self.define("camera", "Command=false\n")
        run(*CALL, "Start", "sasa{sv}", role, "0", "0")
        shown = self.expect(f"{role} failed", "exit status 1")
        self.assertEqual(self.actions(shown), {"log", "start"})
        self.click(f"[{shown['id']},start]")
        refused = self.expect(f"{role} was not started", "(?s:.+)")
        # That is one more about this role.
        self.assertGreater(refused["time"] - shown["time"], INTERVAL - 0.5)
        self.assertEqual(refused["id"], shown["id"])
        # Nobody may at all.
        self.rule("NO")
        other = self.define("other", "Command=false\n")
        run(*CALL, "Start", "sasa{sv}", other, "0", "0")
        shown = self.expect(f"{other} failed", "exit status 1")
        self.assertEqual(self.actions(shown), {"log"})

    def test_text_is_text(self):
        """What a role says and what an error says is no markup."""
        self.rule("YES")
        role = self.define("says", "Command=sh -c 'systemd-notify --status=\"<b>M31</b> & <i>\"; exit 3'\nNotifyAccess=all\n")
        run(*CALL, "Start", "sasa{sv}", role, "0", "0")
        shown = self.expect(f"{role} failed", "exit status 3\n&quot;&lt;b&gt;M31&lt;/b&gt; &amp; &lt;i&gt;&quot;")
        self.define("says", "Command=/no/such/<b>program\n")
        self.click(f"[{shown['id']},start]")
        self.expect(f"{role} was not started", "(?s:.*)/no/such/&lt;b&gt;program(?s:.*)")

    def test_gave_up(self):
        """That comes with the end which it follows, as one."""
        role = self.define("hopeless", "Command=sh -c 'exit 5'\nRestart=on-failure\nRestartSec=10ms\nStartLimitBurst=3\n")
        run(*CALL, "Start", "sasa{sv}", role, "0", "0")
        summaries = []
        while f"{role} gave up" not in summaries:
            shown = self.shown()
            self.assertIsNotNone(shown, summaries)
            summaries.append(shown["summary"])
        self.assertEqual(shown["urgency"], "CRITICAL")
        self.assertRegex(shown["body"], r"\Aexit status 5, after 2 restarts: start-limit-hit")
        self.assertLessEqual(len(summaries), 2)

    def test_monitor(self):
        """The service stops its roles and ends, and is asked before that."""
        self.addCleanup(run, *CALL, "SetMonitorTimeout", "t", "30000000")
        self.addCleanup(run, "systemctl", "start", "architect-node.service")
        fifo = self.fifo()
        script = f"trap '' TERM; echo >{fifo.path}; while :; do sleep 1; done"
        options = ("1", "stop-timeout-usec", "t", "3000000")
        call = ("busctl", "call", "--", *CALL[2:], "Start", "sasa{sv}")
        run(*call, self.role("slow"), "3", "sh", "-c", script, *options)
        self.assertEqual(fifo.line(), "")
        run(*CALL, "SetMonitorTimeout", "t", "300000")
        run(*CALL, "Beat")
        shown = self.expect("The monitor fired", "no beat of the monitor within 0.3 s", "CRITICAL")
        self.assertEqual(self.actions(shown), {"log"})
        self.expect_nothing()

    def test_monitor_ends_the_service(self):
        """Without a role to stop the service is gone before anybody can ask it what has happened."""
        self.addCleanup(run, *CALL, "SetMonitorTimeout", "t", "30000000")
        self.addCleanup(run, "systemctl", "start", "architect-node.service")
        run(*CALL, "SetMonitorTimeout", "t", "300000")
        run(*CALL, "Beat")
        self.expect("The monitor fired", "no beat of the monitor within 0.3 s", "CRITICAL")
        # It is in the log of the next service, which is read, too.
        run("systemctl", "start", "architect-node.service")
        self.wait_for_state()
        self.expect_nothing(INTERVAL + 1)

    def test_out_of_memory(self):
        """Of an instance that comes later."""
        fake = subprocess.Popen(["/usr/bin/python3", "-c", FAKE], stdout=subprocess.PIPE, text=True)
        self.addCleanup(fake.stdout.close)
        self.addCleanup(fake.wait)
        self.addCleanup(fake.terminate)
        self.assertEqual(fake.stdout.readline(), "owned\n")
        self.expect("eater ran out of memory", "killed by SIGKILL, oom-kill, cause oom\nInstance fake")

    def test_rate(self):
        """Never more than one a role and 10 s; what comes in between is one number in the next, in the same place."""
        role = self.fail_role("often", 1)
        first = self.expect(f"{role} failed", "exit status 1")
        for status in (2, 3, 4):
            self.fail_role("often", status)
        other = self.fail_role("other", 9)
        self.expect(f"{other} failed", "exit status 9")
        second = self.expect(f"{role} failed", r"exit status 4\n2 more since \d\d:\d\d:\d\d")
        self.assertGreater(second["time"] - first["time"], INTERVAL - 0.5)
        self.assertEqual(second["id"], first["id"])
        # One that the user has closed is not replaced.
        alice("dunstctl", "close-all")
        self.fail_role("often", 5)
        third = self.expect(f"{role} failed", "exit status 5")
        self.assertNotEqual(third["id"], first["id"])

    def test_own_instance(self):
        systemctl("start", "architect-node.service")
        command = ("architectctl", "--user", "run", "--wait", "mine", "--", "sh", "-c", "exit 4")
        alice(*command, check=False)
        shown = self.expect("mine failed", "exit status 4\nYour own roles")
        self.click(f"[{shown['id']},log]")
        self.assertIn("/usr/bin/architectctl --user logs --follow --lines=200 mine ", self.window()[1])

    def test_own_role_again(self):
        directory = f"{HOME}/.config/architect-node/main.roles.d"
        self.addCleanup(shutil.rmtree, f"{HOME}/.config/architect-node", ignore_errors=True)
        write(f"{directory}/mine.role", f'[Role]\nCommand=sh -c "test -e {self.directory}/good || exit 7; exec sleep 600"\n')
        run("chown", "-R", "alice:", f"{HOME}/.config")
        systemctl("start", "architect-node.service")
        alice("architectctl", "--user", "start", "mine")
        shown = self.expect("mine failed", "exit status 7\nYour own roles")
        write(f"{self.directory}/good", "")
        self.click(f"[{shown['id']},start]")
        poll = ("busctl", "--user", *CALL[1:], "Poll", "as", "1", "mine")
        wait_until(lambda: '"running"' in alice(*poll).stdout, "mine runs")

    def test_cockpit(self):
        """Only if there is a page, and a socket that listens; the port is what the socket says."""
        os.makedirs(COCKPIT)
        unit = "/run/systemd/system/cockpit.socket"
        write(unit, "[Socket]\nListenStream=127.0.0.1:9191\nService=cockpit.service\n")
        write("/run/systemd/system/cockpit.service", "[Service]\nExecStart=true\n")
        self.addCleanup(run, "systemctl", "daemon-reload")
        self.addCleanup(os.unlink, unit)
        self.addCleanup(os.unlink, "/run/systemd/system/cockpit.service")
        self.addCleanup(run, "systemctl", "stop", "cockpit.socket")
        run("systemctl", "daemon-reload")
        role = self.fail_role("fails")
        shown = self.expect(f"{role} failed", "exit status 3")
        self.assertEqual(self.actions(shown), {"log"})
        run("systemctl", "start", "cockpit.socket")
        other = self.fail_role("other")
        shown = self.expect(f"{other} failed", "exit status 3")
        self.assertEqual(self.actions(shown), {"log", "cockpit"})
        self.click(f"[{shown['id']},cockpit]")
        self.assertIn(f"/usr/bin/xdg-open http://localhost:9191/architect#/role/{other} ", self.window()[1])

    def test_daemon_away(self):
        role = self.fail_role("fails", 1)
        self.expect(f"{role} failed", "exit status 1")
        # It cannot be started by a call, so it is away until somebody starts it.
        systemctl("mask", "--runtime", "dunst.service")
        systemctl("kill", "--signal=KILL", "dunst.service")
        wait_until(lambda: not self.is_active("dunst.service"), "dunst is gone")
        for status in (2, 3):
            self.fail_role("fails", status)
        other = self.fail_role("other", 4)
        self.expect_nothing(INTERVAL + 1)
        systemctl("unmask", "--runtime", "dunst.service")
        systemctl("start", "dunst.service")
        both = sorted((self.shown(), self.shown()), key=lambda shown: shown["summary"])
        self.assertEqual([shown["summary"] for shown in both], [f"{role} failed", f"{other} failed"])
        self.assertRegex(both[0]["body"], r"\Aexit status 3\n1 more since \d\d:\d\d:\d\d\Z")
        self.assertEqual(both[1]["body"], "exit status 4")
        # The one before has taken its notification with it; what is clicked now is this one.
        self.click(f"[{both[1]['id']},log]")
        self.assertIn(f" {other} ", self.window()[1])
        # Killed, and started by the next notification.
        systemctl("kill", "--signal=KILL", "dunst.service")
        wait_until(lambda: not self.is_active("dunst.service"), "dunst is gone")
        third = self.fail_role("third", 5)
        self.expect(f"{third} failed", "exit status 5")

    def test_daemon_slow(self):
        """Nothing waits for it: the other roles, and the answer to SIGTERM. What comes meanwhile is one more."""
        role = self.fail_role("first", 1)
        self.expect(f"{role} failed", "exit status 1")
        systemctl("kill", "--signal=STOP", "dunst.service")
        other = self.fail_role("other", 2)
        # It is on its way.
        self.expect_nothing()
        for status in (3, 4, 5):
            self.fail_role("other", status)
        self.expect_nothing()
        systemctl("kill", "--signal=CONT", "dunst.service")
        shown = self.expect(f"{other} failed", "exit status 2")
        summed = self.expect(f"{other} failed", r"exit status 5\n2 more since .*")
        self.assertGreater(summed["time"] - shown["time"], INTERVAL - 0.5)
        systemctl("kill", "--signal=STOP", "dunst.service")
        self.fail_role("third", 6)
        systemctl("stop", UNIT)
        self.assertEqual(systemctl("show", "-P", "Result", UNIT).stdout, "success\n")
        systemctl("kill", "--signal=CONT", "dunst.service")

    def test_service_away(self):
        role = self.fail_role("before", 1)
        self.expect(f"{role} failed", "exit status 1")
        run("systemctl", "stop", "architect-node.service")
        systemctl("restart", UNIT)
        # Looking for it starts it neither on the bus of the system nor on that of the user.
        self.expect_nothing()
        for ask in (run, alice):
            manager = ("--user",) if ask is alice else ()
            state = ask("systemctl", *manager, "is-active", "architect-node.service", check=False)
            self.assertEqual(state.stdout, "inactive\n")
        run("systemctl", "start", "architect-node.service")
        role = self.fail_role("after", 2)
        self.expect(f"{role} failed", "exit status 2")
        # Killed in the middle.
        run("systemctl", "kill", "--signal=KILL", "architect-node.service")
        role = self.role("last")
        wait_until(lambda: run(*CALL, "Start", "sasa{sv}", role, "1", "false", "0", check=False).returncode == 0, "the next one")
        self.expect(f"{role} failed", "exit status 1")

    def test_away(self):
        """What has happened after a logout comes with the next login, as one; and what was before, never."""
        role = self.fail_role("seen", 1)
        self.expect(f"{role} failed", "exit status 1")
        self.wait_for_state()
        systemctl("stop", SESSION)
        wait_until(lambda: not self.is_active(), "the service has ended with the desktop")
        for status in (2, 3):
            role = self.fail_role("night", status)
        other = self.fail_role("cloud", 4)
        self.expect_nothing()
        systemctl("start", SESSION)
        shown = self.expect("3 failures while you were away", rf"{other}, {role} \(2 times\), since \d{{4}}-\d\d-\d\d \d\d:\d\d")
        self.assertEqual(self.actions(shown), {"log"})
        self.click(f"[{shown['id']},log]")
        self.assertIn("/usr/bin/architectctl logs --follow --lines=200 ;", self.window()[1])
        self.wait_for_state()
        systemctl("restart", UNIT)
        self.expect_nothing(INTERVAL + 1)

    def test_killed(self):
        """What was not shown when the program is killed comes afterwards."""
        role = self.fail_role("seen", 1)
        self.expect(f"{role} failed", "exit status 1")
        self.fail_role("seen", 2)
        # The position stays before that, once it is the one after the first event.
        seq = get_property("EventSequence")
        wait_until(lambda: self.state() == seq - 1, "the position before the event that waits")
        systemctl("kill", "--signal=KILL", UNIT)
        self.expect("A failure while you were away", f"{role}, since .*")
        self.assertTrue(self.is_active())
        self.assertEqual(int(systemctl("show", "-P", "NRestarts", UNIT).stdout), 1)


if __name__ == "__main__":
    main()

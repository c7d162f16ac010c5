#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""Each program of examples/clients does and prints what its README.md says."""

import os
import re
import subprocess
import sys

from systemcase import CALL, EXAMPLES, Case, busctl, main, run

CLIENTS = os.path.join(EXAMPLES, "clients")
BUILT = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "../../examples/clients")
# Those in C and Go were built with the tests.
PROGRAMS = {
    "hello-sd-bus.c": f"{BUILT}/hello-sd-bus",
    "hello-gdbus.c": f"{BUILT}/hello-gdbus",
    "hello.go": f"{BUILT}/hello-go",
    **{name: f"{CLIENTS}/{name}" for name in ("hello-gio.py", "hello-dasbus.py", "hello.js", "hello.sh")},
}


def hello(name, *args):
    if not os.path.exists(PROGRAMS[name]):
        raise AssertionError(f"{PROGRAMS[name]} was not built; tools/deps test installs what that needs, then meson setup --reconfigure")
    return subprocess.run(
        [PROGRAMS[name], *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


class Examples(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(CLIENTS, "README.md")) as file:
            self.text = file.read()
        self.prints = re.search(r"^```text\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL).group(1)

    def test_table(self):
        """The table of README.md has each file, and each file is run here."""
        files = sorted(name for name in os.listdir(CLIENTS) if name != "README.md")
        self.assertEqual(sorted(re.findall(r"^\| \[(\S+)\]\(\1\) ", self.text, re.MULTILINE)), files)
        self.assertEqual(sorted(PROGRAMS), files)

    def check(self, name):
        epoch = busctl("get-property", *CALL[2:], "EventEpoch")
        seq = int(busctl("get-property", *CALL[2:], "EventSequence"))
        role = self.role(re.sub(r"\W", "_", name))
        done = hello(name, role)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, self.prints.replace("hello", role))
        events = [event for event in busctl(*CALL[1:], "EventsSince", "stu", epoch, str(seq), "0")[2] if event[3] == role]
        self.assertEqual([event[2] for event in events], ["RoleStarted", "RoleExited", "RolePurged"])
        self.assertEqual(events[0][4]["user"]["data"], "nobody")

    def check_refused(self, name):
        """A role of the same name is an error, and stays."""
        role = self.role("taken")
        run(*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", role, "2", "sleep", "infinity", "0")
        done = hello(name, role)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f'org.architect.Node.Error.RoleExists: Role "{role}"', done.stderr)
        self.assertIn("running", run(*CALL, "Poll", "as", "1", role).stdout)

    def check_default(self, name):
        """Without an argument the output is that of README.md, word for word."""
        self.addCleanup(run, *CALL, "Purge", "as", "1", "hello", check=False)  # of one that failed
        done = hello(name)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, self.prints, ""))


def add(name):
    for suffix in ("", "_refused", "_default"):

        def test(self, method=f"check{suffix}"):
            getattr(self, method)(name)

        setattr(Examples, f"test_{re.sub(r'[^a-z]', '_', name)}{suffix}", test)


for program in PROGRAMS:
    add(program)

if __name__ == "__main__":
    main()

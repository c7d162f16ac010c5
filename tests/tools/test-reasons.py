#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tools/lib/reasons.sh finds the reason in the log of each kind of test, and the cases in the log of a stage.

import os
import subprocess
import sys
import tempfile
import unittest

REASONS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools", "lib", "reasons.sh")

CMOCKA = """\
[==========] Running 1 test(s).
[ RUN      ] test_damage
  211 reply to 107: org.freedesktop.DBus.Error.NameHasNoOwner ('x',)
ERROR: something leaked; scopes: 1 before, 2 now
[  ERROR   ] --- [   LINE   ] --- ../tests/system/node.c:560: error: Failure!
[  FAILED  ] test_damage
[==========] 1 test(s) run.
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] test_damage
== exit status 1
== journal
Nov 30 22:18:30 a systemd[1]: error: AddressSanitizer: this is expected
"""
CMOCKA_REASONS = [
    "ERROR: something leaked; scopes: 1 before, 2 now",
    "[  ERROR   ] --- [   LINE   ] --- ../tests/system/node.c:560: error: Failure!",
    "[  FAILED  ] test_damage",
    "== exit status 1",
]
UNITTEST = """\
test_interrupt (__main__.Shutdown) ... FAIL
test_camera (__main__.Shutdown) ... skipped 'there is none'
======================================================================
FAIL: test_interrupt (__main__.Shutdown)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "case-python-node", line 273, in test_interrupt
    self.assertIn("KeyboardInterrupt", said)
architectnode.NoReply: the node has ended
"""
MESON = """\
Compiler for C supports arguments -Wno-error: YES
  4/89 architect-node:unit / test-keeper         OK               1.12s
  5/89 architect-node:unit / test-a              FAIL             0.05s   exit status 1
  6/89 architect-node:unit / test-b              TIMEOUT         90.05s   killed by signal 15 SIGTERM
FAILED: src/base/libbase.a.p/fd-util.c.o
../src/base/fd-util.c:3:1: error: unknown type name
"""


class Reasons(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def call(self, *words):
        """Return the lines that a function prints."""
        return subprocess.run(
            ["bash", "-uc", '. "$0" && "$@"', REASONS, *words], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()

    def reasons(self, text):
        return [line.strip() for line in self.call("reasons", self.write("log", text))]

    def test_cmocka(self):
        self.assertEqual(self.reasons(CMOCKA), CMOCKA_REASONS)

    def test_unittest(self):
        self.assertEqual(
            self.reasons(UNITTEST),
            [
                "test_camera (__main__.Shutdown) ... skipped 'there is none'",
                "FAIL: test_interrupt (__main__.Shutdown)",
                "architectnode.NoReply: the node has ended",
            ],
        )

    def test_meson(self):
        self.assertEqual(self.reasons(MESON), [" ".join(line.split("\n")).strip() for line in MESON.splitlines()[2:]])

    def test_run_case(self):
        self.assertEqual(
            self.reasons("[       OK ] test\n== scopes left: a.scope\n== journal\n"), ["== scopes left: a.scope"]
        )

    def test_text_of_two_lines(self):
        self.assertEqual(self.reasons("ERROR: '\nReload' is not in: x\nmore\n"), ["ERROR: '", "Reload' is not in: x"])

    def test_limits(self):
        self.assertEqual(len(self.reasons("".join(f"FAIL: {i}\n" for i in range(20)))), 8)
        self.assertEqual(len(self.reasons("ERROR: " + "x" * 5000)[0]), 300)

    def test_end(self):
        """A log of another kind ends with the reason."""
        self.assertEqual(
            self.reasons("1\n2\n3\n4\nok five\n5\n6\n7\n8\n9\n== journal\n10\n"), ["2", "3", "4", "5", "6", "7", "8", "9"]
        )

    def test_stage(self):
        damage, end = self.write("damage.log", CMOCKA), self.write("end.log", "why\n")
        stage = self.write(
            "stage.log",
            "ok      purge (1.1 s)\n"
            f"FAILED  damage (3.4 s): {damage}\n"
            "        | FAILED  in the output of a case\n"
            "FAILED  boot 2: the machine was not switched off\n"
            f"SKIPPED oom: {end}\n"
            f"FAILED  end of the services: {end}\n",
        )
        names = ["s: damage", "s: boot 2", "s: oom", "s: end of the services"]
        self.assertEqual(self.call("stage_failures", "s", stage), names)
        lines = self.call("stage_reasons", "s", stage)
        self.assertEqual([line for line in lines if not line.startswith(" ")], names)
        self.assertEqual([line.strip() for line in lines[1:5]], CMOCKA_REASONS)
        self.assertIn("the machine was not switched off", "".join(lines[lines.index("s: boot 2") : lines.index("s: oom")]))
        self.assertEqual(lines[-1], "s: end of the services")
        self.assertEqual(lines[-2].strip(), "why")

    def test_stage_without_cases(self):
        stage = self.write("stage.log", MESON)
        self.assertEqual(self.call("stage_failures", "build", stage), ["build"])
        self.assertEqual(self.call("stage_reasons", "build", stage)[0], "build")
        self.assertEqual(len(self.call("stage_reasons", "build", stage)), 5)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tools/check-rooms reports each kind of wrong arrow, and nothing in a correct tree.

import os
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools", "check-rooms")

# The smallest correct tree: each file with its includes.
HOUSE = {
    "base/fd-util.h": [],
    "base/fd-util.c": ["base/fd-util.h", "<unistd.h>"],
    "proto/keeper-protocol.h": ["base/fd-util.h"],
    "proto/keeper-limits.h": [],
    "util/log.h": ["<glib.h>"],
    "util/autoptr.h": ["<systemd/sd-bus.h>"],
    "model/node.h": ["util/log.h", "proto/keeper-limits.h", "<systemd/sd-event.h>"],
    "model/node.c": ["model/node.h", "base/fd-util.h"],
    "bus/clients.h": ["model/node.h", "<systemd/sd-bus.h>"],
    "scope/scope.h": ["model/node.h"],
    "link/children.c": ["model/node.h", "proto/keeper-protocol.h"],
    "node/agent.c": ["bus/clients.h", "scope/scope.h"],
    "keeper/keeper.c": ["proto/keeper-protocol.h"],
}


class CheckRooms(unittest.TestCase):
    def run_with(self, changes):
        """Return exit status and output for the tree with these files added or replaced."""
        with tempfile.TemporaryDirectory() as top:
            for path, includes in {**HOUSE, **changes}.items():
                path = os.path.join(top, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    for header in includes:
                        file.write(f"#include {header}\n" if header.startswith("<") else f'#include "{header}"\n')
            done = subprocess.run([CHECK, top], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            return done.returncode, done.stdout

    def assert_bad(self, changes, *expected):
        code, output = self.run_with(changes)
        self.assertEqual(code, 1, output)
        self.assertEqual(len(output.splitlines()), 1, output)
        for text in expected:
            self.assertIn(text, output)

    def test_good(self):
        self.assertEqual(self.run_with({}), (0, ""))

    def test_wrong_arrows(self):
        self.assert_bad({"model/role.c": ["bus/clients.h"]}, "model/role.c -> bus/clients.h", "model may include base, proto, util")
        self.assert_bad({"bus/role-dbus.c": ["scope/scope.h"]}, "bus/role-dbus.c -> scope/scope.h")
        self.assert_bad({"base/more.c": ["util/log.h"]}, "base/more.c -> util/log.h", "no other room")
        self.assert_bad({"keeper/child.c": ["model/node.h"]}, "keeper/child.c -> model/node.h")

    def test_private_headers(self):
        self.assert_bad({"scope/more.c": ["proto/keeper-protocol.h"]}, "scope/more.c -> proto/keeper-protocol.h", "only proto, link, keeper")
        self.assert_bad({"model/more.c": ["util/autoptr.h"]}, "model/more.c -> util/autoptr.h", "util/log.h, util/unit-file.h")

    def test_libraries(self):
        self.assert_bad({"model/more.c": ["<systemd/sd-bus.h>"]}, "model/more.c -> systemd/sd-bus.h", "without that library")
        self.assert_bad({"keeper/more.c": ["<glib.h>"]}, "keeper/more.c -> glib.h")
        self.assert_bad({"bus/more.c": ["<gio/gio.h>"]}, "bus/more.c -> gio/gio.h")

    def test_nothing_there(self):
        self.assert_bad({"model/more.c": ["model/gone.h"]}, "model/more.c -> model/gone.h", "no such file")
        self.assert_bad({"model/more.c": ["modle/node.h"]}, "model/more.c -> modle/node.h", "no such room")
        self.assert_bad({"attic/old.c": []}, "attic/old.c", "no room")

    def test_circles(self):
        # A header belongs to its source.
        three = {"model/a.h": [], "model/b.h": [], "model/c.h": [], "model/a.c": ["model/a.h", "model/b.h"],
                 "model/b.c": ["model/b.h", "model/c.h"], "model/c.c": ["model/c.h", "model/a.h"]}
        self.assertEqual(self.run_with(three), (0, ""))
        four = {**three, "model/c.c": ["model/c.h", "model/d.h"], "model/d.h": ["model/a.h"]}
        self.assert_bad(four, "circle of 4 files", "model/a model/b model/c model/d")

    def test_circle_between_rooms(self):
        code, output = self.run_with({"util/log.h": ["base/fd-util.h"], "base/fd-util.c": ["base/fd-util.h", "util/log.h"]})
        self.assertEqual(code, 1)
        self.assertIn("base/fd-util.c -> util/log.h", output)
        self.assertIn("circle between rooms: base/fd-util util/log", output)

    def test_empty(self):
        with tempfile.TemporaryDirectory() as top:
            done = subprocess.run([CHECK, top], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no source", done.stdout)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())

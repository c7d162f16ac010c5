#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""A manager that was written for the Python ArchitectNode runs a night without changes."""

import os

from systemcase import EXAMPLES, Case, main, run, wait_until

OUTPUT = """\
observatory: Kitt Peak
process group: True
ports: True 3
started: {'CAMERA1': 'running', 'CAMERA2': 'running', 'LOGGER': 'running', 'STUBBORN': 'running'}
sent: True
without camera 1: {'CAMERA2': 'exit 3', 'LOGGER': 'running', 'STUBBORN': 'running'}
stubborn: {'STUBBORN': 'running'}
refused: Role "LOGGER" exists already: it is running
unknown: There is no role "SPECTROGRAPH"
over
"""


class OldManager(Case):
    def test_a_night(self):
        manager = os.path.join(os.path.dirname(os.path.abspath(__file__)), "old-manager.py")
        night = run(
            manager,
            self.directory,
            env={**os.environ, "PYTHONPATH": EXAMPLES, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.assertEqual(night.stderr, "")
        # The messages of the logger may arrive at any time, so they are not compared.
        said = "".join(line + "\n" for line in night.stdout.splitlines() if ":manager:" not in line)
        self.assertEqual(said, OUTPUT)

        with open(self.directory + "/camera1") as file:
            self.assertEqual(file.read(), "expose 1.5 --filter R\n")
        with open(self.directory + "/camera2") as file:
            self.assertEqual(file.read(), "exit 3\n")
        with open(self.directory + "/logger") as file:
            self.assertEqual(file.read(), "Kitt Peak, 2048\n")
        wait_until(
            lambda: run("systemctl", "is-active", "architect-node.service", check=False).stdout
            == "inactive\n",
            "the node ends",
        )
        self.assertEqual(
            run("systemctl", "show", "-P", "Result", "architect-node.service").stdout, "success\n"
        )
        self.assertEqual(
            run("systemctl", "list-units", "--plain", "--no-legend", "architect-*-*.scope").stdout, ""
        )


if __name__ == "__main__":
    main()

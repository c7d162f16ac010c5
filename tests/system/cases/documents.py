#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""Runs each line of architectnode.md, which must print the documented output. No function is missing."""

import os
import re

from systemcase import CALL, DOCUMENTS, EXAMPLES, Case, eups, main, run

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


if __name__ == "__main__":
    main()

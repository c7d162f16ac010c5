#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""The completions of architectctl in bash, zsh and fish, each in the real shell."""

import os
import pty
import re
import select
import shlex
import time

from systemcase import CALL, PATIENCE, Case, main, run

BASH = "/usr/share/bash-completion/completions/architectctl"
DEFINITIONS = "/etc/architect-node/main.roles.d"


class Shell:
    """A shell on a terminal of its own, in which somebody presses Tab."""

    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", HOME="/root", PS1="", LC_ALL="C.UTF-8", PROMPT="")
            os.execvp(argv[0], argv)
        self.text = ""

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Read until the pattern comes, and return what it matches."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern} has not come: {self.text!r}")
            self.text += os.read(self.fd, 65536).decode(errors="replace").replace("\a", "")
        self.text = self.text[found.end():]
        return found.group(0)


class Completion(Case):
    def setUp(self):
        super().setUp()
        os.makedirs(DEFINITIONS, exist_ok=True)
        path = f"{DEFINITIONS}/comp_defined.role"
        with open(path, "w") as file:
            file.write("[Role]\nCommand=/bin/sleep 1000\nRoleGroups=comp_group\n")
        run(*CALL, "Reload")
        self.addCleanup(run, *CALL, "Reload")
        self.addCleanup(os.unlink, path)
        self.running = self.role("running")
        run(*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", self.running, "2", "sleep", "infinity", "0")

    # What each shell offers for a line, whose last word may be empty.

    def bash(self, line):
        words = re.findall(r"[=@]|[^\s=@]+", line) + ([""] if line.endswith(" ") else [])
        script = (
            f"source {BASH}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1};"
            f" COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)};"
            ' _architectctl; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return run("bash", "-c", script).stdout.split()

    def fish(self, line):
        return [offer.split("\t")[0] for offer in run("fish", "-c", f"complete -C {shlex.quote(line)}").stdout.splitlines()]

    def each(self, line, expected, unexpected=()):
        for name, shell in (("bash", self.bash), ("fish", self.fish)):
            offers = [offer.rstrip() for offer in shell(line)]
            for word in expected:
                self.assertIn(word, offers, f"{name}: {line}")
            for word in unexpected:
                self.assertNotIn(word, offers, f"{name}: {line}")

    def test_verbs(self):
        self.each("architectctl st", ["status", "start", "stop"], ["list"])
        self.each("architectctl --user ", ["list", "attach"])

    def test_options(self):
        self.each("architectctl list --d", ["--defined"])
        self.each("architectctl --js", ["--json="])
        self.assertEqual(self.bash("architectctl --json="), ["off", "pretty", "short"])
        self.assertEqual(self.bash("architectctl --json=s"), ["short"])
        self.assertIn("--json=short", self.fish("architectctl --json="))
        self.assertIn("main", self.bash("architectctl --instance="))

    def test_names(self):
        self.each("architectctl stop Completion.r", [self.running], ["comp_defined"])
        self.each("architectctl start comp_", ["comp_defined"])
        self.each("architectctl start @", ["@comp_group"])
        self.each("architectctl edit comp", ["comp_defined"], [self.running])

    def test_values(self):
        self.each("architectctl signal Completion.running SIGT", ["SIGTERM"])
        self.each("architectctl start -p Restart", ["Restart=", "RestartSec="])
        self.each("architectctl show -p Ver", ["Version"])
        self.each("architectctl log-level d", ["debug"])
        self.each("architectctl import s", ["supervisord", "systemd"])

    def test_hosts(self):
        path = "/etc/architect-node/hosts"
        with open(path, "w") as file:
            file.write("# comp_no = x\ncomp_cameras = comp_cam1 root@comp_cam2\n  comp_dome=@comp_cameras\n")
        self.addCleanup(os.unlink, path)
        self.each("architectctl -H comp_", ["comp_cam1"], ["comp_no", "@comp_dome", "list"])
        self.each("architectctl -H @", ["@comp_cameras", "@comp_dome", "@all"], ["@comp_group", "@comp_no"])
        self.each("architectctl -H @comp_d", ["@comp_dome"])
        self.each("architectctl list -H comp_", ["comp_cam1"])
        self.each("architectctl -H comp_cam1,comp_", ["comp_cam1,comp_cam1"])
        self.each("architectctl -H @comp_dome li", ["list"])

    def press_tab(self, shell):
        """One candidate is inserted, with what belongs behind it."""
        self.addCleanup(shell.close)
        shell.expect("ready")
        for typed, completed in (
            ("architectctl atta", "architectctl attach "),
            ("architectctl list --defi", "architectctl list --defined "),
            ("architectctl stop Completion.r", "architectctl stop Completion.running "),
            ("architectctl start comp_d", "architectctl start comp_defined "),
            ("architectctl start @comp", "architectctl start @comp_group "),
            ("architectctl --json=pre", "architectctl --json=pretty "),
        ):
            shell.type(typed + "\t")
            shell.expect(re.escape(completed))
            shell.type("\x15")  # Ctrl-U: an empty line

    def test_zsh_terminal(self):
        shell = Shell("zsh", "-f")
        shell.type("unsetopt zle_bracketed_paste; PROMPT=; autoload -U compinit && compinit -u -D && print rea''dy\n")
        self.press_tab(shell)

    def test_bash_terminal(self):
        shell = Shell("bash", "--norc", "--noprofile", "-i")
        shell.type(f"PS1=; source {BASH}; echo rea''dy\n")
        self.press_tab(shell)


if __name__ == "__main__":
    main()

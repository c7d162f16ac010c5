#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A manager here, with its node on another machine ($FAR), by ssh. tools/lib/remote-tests.sh runs this."""

import json
import logging
import os
import pty
import pwd
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

from systemcase import PATIENCE, Case, main, run, wait_until

import architectnode
from architectnode import ArchitectNode

FAR = os.environ["FAR"]


def far(script, *args, check=True):
    return run(
        "ssh",
        "-xT",
        f"root@{FAR}",
        "sh -euc " + "'" + script.replace("'", "'\\''") + "' sh " + " ".join(args),
        check=check,
    ).stdout


class Remote(Case):
    def setUp(self):
        super().setUp()
        self.node = ArchitectNode(host=f"root@{FAR}")
        self.addCleanup(self.node.close)
        self.addCleanup(far, "systemctl stop architect-node.service; systemctl start architect-node.service")

    def wait_for(self, role, state):
        wait_until(lambda: self.node.poll([role]) == {role: state}, f"{role}: {state}")

    def ssh_pids(self):
        """Return the ssh processes of this process."""
        return [
            int(pid) for pid in run("pgrep", "-P", str(os.getpid()), "-x", "ssh", check=False).stdout.split()
        ]

    def test_session(self):
        node, output = self.node, "/var/tmp/architect-remote-output"
        far(f"rm -f {output}")
        records = queue.Queue()
        node.logger = logging.Logger("observatory")
        node.logger.addHandler(logging.NullHandler())
        node.logger.handlers[0].handle = records.put
        node.log_to_sve()
        node.beat()
        self.assertIsNone(node.get_env("SITE"))
        node.set_env("SITE", "south")
        node.start(
            "camera",
            ["sh", "-c", 'echo "$SITE $A $(hostname)" >"$0"; exec cat >>"$0"', output],
            env_vars={"A": "b"},
        )
        node.send_input("camera expose  1.5")
        self.assertEqual(node.poll(), {"camera": "running"})
        self.assertEqual(node.purge("camera"), [])
        wait_until(
            lambda: far(f"cat {output}") == f"south b {FAR}\nexpose  1.5\n",
            "its output is on the other machine",
        )
        self.assertFalse(os.path.exists(output))
        with ArchitectNode() as here:
            self.assertEqual(here.poll(), {})
        node.stop("camera")
        self.wait_for("camera", "exit -15")
        self.assertEqual(node.purge("camera"), ["camera"])
        with self.assertRaises(architectnode.ExecFailed) as caught:
            node.start("camera", ["/there/is/nothing"])
        self.assertIn("/there/is/nothing", str(caught.exception))
        self.assertIsInstance(records.get(timeout=PATIENCE), logging.LogRecord)

        node.start("camera", ["sleep", "infinity"])
        ends = threading.Thread(target=node.pyro_run_loop)
        ends.start()
        node.shutdown("the night is over")
        ends.join(PATIENCE)
        self.assertFalse(ends.is_alive())
        self.assertEqual(
            far('find /sys/fs/cgroup -path "*/architect.slice/*.scope/*" -name cgroup.procs -exec cat {} +'),
            "",
        )
        wait_until(
            lambda: far("systemctl is-active architect-node.service || :") == "inactive\n", "the service ends"
        )

    def test_architectctl(self):
        """architectctl -H acts there, waits for the end there, and refuses what is about files of this machine."""

        def ctl(*words, status=0):
            done = run("architectctl", "-H", f"root@{FAR}", *words, check=False)
            self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
            return done

        ctl("start", "camera", "-E", "A=b", "sh", "-c", 'read line; exit "$line"')
        self.assertIn("camera running", ctl("list").stdout)
        with ArchitectNode() as here:
            self.assertEqual(here.poll(), {})
        ctl("send", "camera", "5")
        ctl("wait", "camera", status=5)
        self.assertIn("exit 5", ctl("status", "camera", status=3).stdout)
        self.assertIn("ARCHITECT CRITICAL", ctl("check", "camera", status=2).stdout)
        for verb in ("edit", "attach"):
            self.assertIn(f"Run it there: ssh -t root@{FAR} architectctl {verb} ROLE", ctl(verb, "camera", status=2).stderr)
        ctl("purge", "camera")
        self.assertEqual(ctl("--json=short", "list").stdout, "[]\n")
        for words in (("list",), ("logs",), ("logs", "-f", "camera"), ("metrics",)):
            nowhere = run("architectctl", "-H", "nowhere.invalid", *words, check=False)
            self.assertEqual(nowhere.returncode, 1, words)
            self.assertIn("nowhere.invalid", nowhere.stderr)

    # -- an observatory of both machines --

    def observatory(self, roles, more=""):
        path = os.path.join(self.directory, "north.observatory")
        with open(path, "w") as file:
            file.write(f"{more}[Host hub]\nLocal=yes\n[Host dome]\nAddress=root@{FAR}\n{roles}")
        self.addCleanup(run, "architectctl", "--yes", "down", path, check=False)
        return path

    def test_up(self):
        """Roles start in their order over the machines, and a machine that goes away does not hold up the other."""
        roles = (
            "[Role mount]\nHost=dome\nCommand=sleep infinity\n"
            "[Role guider]\nHost=hub\nCommand=sleep infinity\nRequires=mount\n"
        )
        path = self.observatory(roles)
        said = self.ctl("--yes", "up", path)
        self.assertEqual(said.stderr.splitlines(), ["dome: mount is started.", "hub: guider is started."])
        self.assertEqual(self.node.poll(), {"mount": "running"})
        self.assertIn("Everything is as", self.ctl("up", path).stderr)
        self.assertEqual(self.ctl("diff", path).stdout, "")

        # The machine is there, but what is on it does not answer.
        path = self.observatory(roles + "[Role web]\nHost=hub\nCommand=sleep infinity\n")
        far("systemctl kill -s STOP architect-node.service")
        self.addCleanup(far, "systemctl kill -s CONT architect-node.service", check=False)
        begin = time.monotonic()
        said = self.ctl("--yes", "--timeout=1s", "up", path, status=1)
        self.assertLess(time.monotonic() - begin, PATIENCE / 2)
        self.assertIn("dome", said.stdout)
        self.assertIn("it does not answer any more", said.stdout)
        self.assertIn("hub: web is started.", said.stderr)
        far("systemctl kill -s CONT architect-node.service")
        self.ctl("--yes", "up", path)

        said = self.ctl("--yes", "down", path).stderr.splitlines()
        self.assertLess(said.index("hub: guider is stopped."), said.index("dome: mount is stopped."))
        self.assertNotIn("running", self.node.poll().values())

    def test_up_is_the_manager(self):
        """Without a connection no beat arrives, and the roles end there, but only there."""
        path = self.observatory(
            "[Role mount]\nHost=dome\nCommand=sleep infinity\n[Role web]\nHost=hub\nCommand=sleep infinity\n",
            "[Observatory]\nLease=north\nLeaseTimeoutSec=3\nBeatSec=200ms\n",
        )
        up = subprocess.Popen(
            ("architectctl", "--yes", "up", path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(up.wait)
        self.addCleanup(up.terminate)
        lines = iter(up.stderr.readline, "")
        self.assertTrue(any("Lease north is held" in line for line in lines))
        pid = self.ctl("list", "--json=short").stdout
        run("ip", "link", "set", "eth0", "down")
        self.addCleanup(run, "ip", "link", "set", "eth0", "up")
        cut = time.monotonic()
        wait_until(lambda: time.monotonic() > cut + 4, "the time of the lease is over")
        run("ip", "link", "set", "eth0", "up")
        self.assertTrue(any("dome: no beat has arrived" in line for line in lines))
        self.assertEqual(self.node.poll(["mount"]), {"mount": "exit -15"})
        self.assertEqual(self.ctl("list", "--json=short").stdout, pid)

        # It goes on from there, as the next manager.
        following = subprocess.Popen(
            ("architectctl", "--yes", "up", path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(following.wait)
        self.addCleanup(following.terminate)
        self.assertTrue(any("Lease north is held with fencing token 2" in line for line in iter(following.stderr.readline, "")))
        self.assertEqual(up.wait(PATIENCE), 5)
        self.assertEqual(self.node.poll(["mount"]), {"mount": "running"})

    # -- several hosts; both names are the same machine, where alice may only look --

    def ctl(self, *words, status=0):
        done = run("architectctl", *words, check=False)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done

    def hosts_file(self, text):
        path = "/etc/architect-node/hosts"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))

    def test_several_hosts(self):
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        self.hosts_file(f"# both\npair = @root {alice}\nroot = {root}\n")
        self.ctl("-H", root, "start", "camera", "sleep", "infinity")
        said = self.ctl("-H", f"{root},{alice}", "list").stdout.splitlines()
        self.assertEqual(said[0].split(), ["HOST", "ROLE", "STATE", "PID", "END", "UNIT"])
        self.assertEqual([line.split()[:3] for line in said[1:3]], [[h, "camera", "running"] for h in (root, alice)])
        self.assertEqual(said[-1], "2 hosts, 0 failed.")
        for words in (("-H", "@pair"), ("-H", root, "-H", alice), ("-H", "@all")):
            rows = json.loads(self.ctl(*words, "poll", "--json=short").stdout)
            self.assertEqual(sorted(row["host"] for row in rows), sorted([root, alice]), words)
            self.assertEqual({row["state"] for row in rows}, {"running"})
        # One host of a group has the column, too.
        self.assertEqual([row["host"] for row in json.loads(self.ctl("-H", "@root", "-j", "poll").stdout)], [root])
        status = self.ctl("-H", "@pair", "status", "camera").stdout
        self.assertIn(f"{root}:        State: running", status)
        self.assertIn(f"{alice}:        State: running", status)
        self.assertIn("not for several hosts", self.ctl("-H", "@pair", "attach", "camera", status=2).stderr)
        metrics = self.ctl("-H", "@pair,nowhere.invalid", "metrics", status=1).stdout
        for host, up in ((root, 1), (alice, 1), ("nowhere.invalid", 0)):
            self.assertIn(f'architect_up{{host="{host}",architect_instance="main"}} {up}\n', metrics)
        for host in (root, alice):
            self.assertIn(f'architect_role_running{{host="{host}",architect_instance="main",role="camera"}} 1\n', metrics)
        self.assertEqual(metrics.count("# TYPE architect_role_running "), 1)

        # A host that is not there is a row, and its reason is that of ssh.
        gone = self.ctl("-H", "@pair,nowhere.invalid,bob@" + FAR, "list", status=1)
        self.assertEqual(gone.stderr, "")
        self.assertIn("camera", gone.stdout)
        self.assertIn("no answer: ssh: Could not resolve hostname nowhere.invalid", gone.stdout)
        self.assertIn("Permission denied", gone.stdout)
        rows = json.loads(self.ctl("-H", "nowhere.invalid,@root", "--json=short", "list", status=1).stdout)
        self.assertIsNone(rows[0]["role"])
        self.assertIn("nowhere.invalid", rows[0]["error"])
        self.assertEqual((rows[1]["host"], rows[1]["role"], rows[1]["error"]), (root, "camera", None))

    def test_several_hosts_change(self):
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        self.hosts_file(f"pair = {root} {alice}\n")
        self.ctl("-H", root, "start", "camera", "sleep", "infinity")
        # Nobody can be asked.
        self.assertIn("--yes", self.ctl("-H", "@pair", "stop", "camera", status=2).stderr)
        self.assertEqual(self.node.poll(), {"camera": "running"})
        # Somebody is asked, and refuses or agrees.
        for answer, state in ((b"n\n", "running"), (b"y\n", "exit -15")):
            said, status = self.on_terminal(answer, "architectctl", "-H", "@pair", "--no-ask-password", "stop", "camera")
            self.assertIn(f'Run "stop camera" on 2 hosts ({root} {alice})? [y/N]', said)
            self.assertEqual(status, 1)
            self.wait_for("camera", state)
        # Alice may not, which does not keep root from it.
        self.assertIn(f"architectctl: {alice}: ", said)
        self.ctl("-H", root, "start", "other", "sleep", "infinity")
        done = self.ctl("-H", "@pair", "--yes", "--no-ask-password", "stop", "other", status=1)
        self.assertIn(f"architectctl: {alice}: ", done.stderr)
        self.assertNotIn(f"{root}: ", done.stderr)
        self.wait_for("other", "exit -15")
        # A mistake is that of the command line, and none of the hosts.
        self.assertTrue(self.ctl("-H", "@pair", "stop", status=2).stderr.startswith("architectctl: stop needs ROLE"))

    def stop_node(self):
        """Keep the node from replying; its bus, and ssh, go on."""
        far("kill -STOP $(systemctl show -P MainPID architect-node)")
        self.addCleanup(self.continue_node)

    def continue_node(self):
        far("kill -CONT $(systemctl show -P MainPID architect-node)", check=False)

    def test_several_hosts_hang(self):
        """A verb that waits for a change gives up a node that replies to nothing."""
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        self.ctl("-H", f"{root},{alice}", "list")
        self.stop_node()
        done = self.ctl("-H", f"{root},{alice}", "--yes", "stop", "camera", status=1)
        self.assertEqual(
            sorted(done.stderr.splitlines()),
            sorted(f"architectctl: {host}: no answer within 5s" for host in (root, alice)),
        )

    def on_terminal(self, answer, *command):
        pid, fd = pty.fork()
        if pid == 0:
            os.execvp(command[0], command)
        os.write(fd, answer)
        said = b""
        while True:
            try:
                said += os.read(fd, 65536)
            except OSError:  # the terminal is closed
                break
        os.close(fd)
        return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    # -- logs: the journal there --

    # What the shells of ssh could take for theirs, and a pattern.
    ODD = "it's; \"two\"  $(id) `id` * \\ & <x>"

    def let_read_journal(self, user):
        """Let a user read the journal there, from the next login on, which is not that of a kept connection."""
        far(f"gpasswd -a {user} systemd-journal")
        self.addCleanup(far, f"gpasswd -d {user} systemd-journal")
        self.end_master()

    def journal_of(self, role):
        """Start a role that writes a line, and wait until the journal there has it."""
        self.node.start(role, ["sh", "-c", 'echo "$0"; exec sleep infinity', f"{self.ODD} {role}"])
        wait_until(
            lambda: self.ODD in far(f"journalctl --sync; journalctl -q -b -o cat _SYSTEMD_UNIT=architect-main-{role}.scope"),
            "the line is in the journal",
        )

    def test_logs(self):
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        self.let_read_journal("alice")
        self.journal_of("cam-era.1")
        self.journal_of("other")
        line = f"{self.ODD} cam-era.1\n"
        one = self.ctl("-H", root, "logs", "-o", "cat", "cam-era.1").stdout
        self.assertIn(line, one)
        self.assertNotIn(f"{self.ODD} other", one)
        everything = self.ctl("-H", root, "logs", "--since=today", "-o", "cat").stdout
        self.assertIn(line, everything)
        self.assertIn(f"{self.ODD} other", everything)
        self.assertEqual(self.ctl("-H", root, "logs", "--since=today", "nothing").stdout.strip(), "-- No entries --")
        # A value that only journalctl may judge comes to it in one piece.
        for host in (root, f"{root},{alice}"):
            wrong = self.ctl("-H", host, "logs", f"--since={self.ODD}", "cam-era.1", status=1)
            self.assertIn(self.ODD, wrong.stderr)
        both = self.ctl("-H", f"{root},{alice},nowhere.invalid", "logs", "-o", "cat", "cam-era.1", status=1)
        lines = both.stdout.splitlines(True)
        self.assertEqual(lines.count(f"{root}: {line}"), 1)
        self.assertEqual(lines.count(f"{alice}: {line}"), 1)
        self.assertEqual([said.split(":")[0] for said in lines], sorted((said.split(":")[0] for said in lines), reverse=True))
        self.assertIn("architectctl: nowhere.invalid: no answer: ssh: Could not resolve hostname", both.stderr)
        self.assertIn('Did you mean "cam-era.1"', self.ctl("-H", f"{root},{alice}", "logs", "cam-era.2").stderr)
        values = [
            json.loads(text)
            for text in self.ctl("-H", f"{root},{alice}", "--json=short", "logs", "cam-era.1").stdout.splitlines()
        ]
        self.assertEqual({value["host"] for value in values}, {root, alice})
        self.assertEqual([v["MESSAGE"] + "\n" for v in values if v["host"] == alice and self.ODD in v["MESSAGE"]], [line])

    def test_logs_follow(self):
        """Both at the same time, until Ctrl-C, after which nothing runs on either machine."""
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        self.let_read_journal("alice")
        self.journal_of("camera")
        for hosts in ([root], [root, alice]):
            output = os.path.join(self.directory, "followed")
            with open(output, "w") as out:
                logs = subprocess.Popen(
                    ("architectctl", "-H", ",".join(hosts), "logs", "-f", "-o", "cat", "camera", "later"),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    start_new_session=True,
                )
            self.addCleanup(logs.wait)
            self.addCleanup(logs.kill)

            def has(text, hosts=hosts, output=output):
                found = open(output).read().splitlines()
                return all((f"{host}: {text}" if len(hosts) > 1 else text) in found for host in hosts)

            wait_until(lambda: has(f"{self.ODD} camera"), "what was there")
            self.node.start("later", ["sh", "-c", f"echo later than {len(hosts)}; exec sleep infinity"])
            wait_until(lambda: has(f"later than {len(hosts)}"), "what comes later")
            self.node.stop("later")
            self.wait_for("later", "exit -15")
            self.node.purge("later")
            self.assertIsNone(logs.poll())
            os.killpg(logs.pid, signal.SIGINT)
            self.assertEqual(logs.wait(PATIENCE), -signal.SIGINT)
            wait_until(lambda: far("pgrep -x journalctl || :") == "", "journalctl has ended there")

    def test_hosts_file_errors(self):
        self.hosts_file(f"far = root@{FAR}\ncameras cam1\nmounts = -oProxyCommand=id\n")
        done = self.ctl("-H", "@far", "list", status=1)
        self.assertEqual(
            done.stderr,
            'architectctl: /etc/architect-node/hosts:2: there is no "=", as in "cameras = cam1 cam2"\n'
            'architectctl: /etc/architect-node/hosts:3: "-oProxyCommand=id" is not a host, as in [USER@]HOST[:PORT]\n',
        )
        # Without a group it is not read.
        self.ctl("-H", f"root@{FAR},alice@{FAR}", "list")
        self.hosts_file(f"far = root@{FAR}\n")
        self.assertIn('did you mean "far"?', self.ctl("-H", "@fur", "list", status=2).stderr)

    def end_master(self):
        """End the ssh that keeps the connection for later commands."""
        for path in os.listdir("/run/architectctl") if os.path.exists("/run/architectctl") else ():
            run("ssh", "-o", f"ControlPath=/run/architectctl/{path}", "-O", "exit", FAR, check=False)

    def logins(self):
        """Return how many logins there were on the other machine, with that of this call."""
        return int(far("journalctl --sync; journalctl -q -b -t sshd -o cat | grep -c ^Accepted"))

    def test_second_command(self):
        """The second command to a host does not repeat the handshake."""

        def measure():
            before = time.monotonic()
            self.ctl("-H", f"root@{FAR}", "list")
            return time.monotonic() - before

        self.ctl("-H", f"root@{FAR}", "list")
        self.assertEqual(os.stat("/run/architectctl").st_mode & 0o777, 0o700)
        self.end_master()
        # How long it takes depends on what else this machine does. What it must not do is log in again.
        before = self.logins()
        first = measure()
        between = self.logins()
        second = measure()
        self.assertEqual(between - before, 2)
        self.assertEqual(self.logins() - between, 1)
        print(f"# the second command: {second / first:.2f} of the first, {first * 1000:.0f} ms", file=sys.stderr)

    def events(self, output):
        return [(line["host"], line["seq"]) for line in map(json.loads, open(output).read().splitlines())]

    def test_monitor_continues(self):
        """Events of a time without a connection come after it, each once."""
        root, alice = f"root@{FAR}", f"alice@{FAR}"
        output = os.path.join(self.directory, "events")
        errors = os.path.join(self.directory, "errors")
        with open(output, "w") as out, open(errors, "w") as err:
            monitor = subprocess.Popen(
                ("architectctl", "-H", f"{root},{alice}", "--json=short", "monitor", "--since=0"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)

        def wait_for_all():
            last = int(far("busctl get-property org.architect.Node /org/architect/Node org.architect.Node EventSequence").split()[1])
            expected = [(host, seq) for host in (alice, root) for seq in range(1, last + 1)]
            wait_until(lambda: sorted(self.events(output)) == expected, f"the events up to {last}: {expected}")

        self.node.start("camera", ["true"])
        wait_for_all()
        for pid in run("pgrep", "-P", str(monitor.pid), "-x", "ssh").stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        self.node.start("focuser", ["true"])
        wait_for_all()
        self.assertIn(f"architectctl: {root}: the connection to the service is lost", open(errors).read())

        # A cable: what happens meanwhile is started by the loss of the carrier.
        far(
            "setsid sh -c \"until grep -q 0 /sys/class/net/eth0/carrier; do :; done; architectctl start during true\""
            " >/dev/null 2>&1 </dev/null &"
        )
        already = open(errors).read().count("is lost")
        run("ip", "link", "set", "eth0", "down")
        self.addCleanup(run, "ip", "link", "set", "eth0", "up")
        wait_until(lambda: open(errors).read().count("is lost") == already + 2, "both connections are lost")
        run("ip", "link", "set", "eth0", "up")
        wait_for_all()
        self.assertEqual(self.node.poll(["during"]), {"during": "exit 0"})
        self.assertIsNone(monitor.poll())

    # -- the desk of alice, whose ssh logs in as root on the other machine --

    def keys_of_alice(self):
        directory = os.path.expanduser("~alice/.ssh")
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree("/root/.ssh", directory)
        self.addCleanup(shutil.rmtree, directory)
        for path in (directory, *(os.path.join(directory, name) for name in os.listdir(directory))):
            shutil.chown(path, "alice", "alice")

    @staticmethod
    def as_alice():
        """Return what makes a process of subprocess one of her session."""
        alice = pwd.getpwnam("alice")
        runtime = f"/run/user/{alice.pw_uid}"
        session = {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        env = {**os.environ, **session, "HOME": alice.pw_dir, "USER": "alice", "LOGNAME": "alice"}
        return {"user": alice.pw_uid, "group": alice.pw_gid, "extra_groups": [], "env": env, "cwd": "/"}

    def alice(self, *words, status=0):
        done = run(*words, check=False, **self.as_alice())
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done

    def desk(self, verb, path, *words, status=0):
        """Call the desk of alice by busctl."""
        done = self.alice("busctl", "--user", "--json=short", verb, "org.architect.Desk", path, *words, status=status)
        return json.loads(done.stdout)["data"] if status == 0 else done.stderr

    def desk_hosts(self):
        return self.desk("call", "/org/architect/Desk", "org.architect.Desk", "ListHosts")[0]

    def desk_events(self, output):
        """Return the numbers of the events that the desk has told."""
        messages = map(json.loads, open(output).read().splitlines())
        return [message["payload"]["data"][2] for message in messages if message.get("member") == "NodeEvent"]

    def test_desk(self):
        root, node = f"root@{FAR}", "org.architect.Node"
        self.hosts_file(f"far = {root}\n")
        self.keys_of_alice()
        self.addCleanup(self.alice, "systemctl", "--user", "stop", "architect-desk.service")
        self.alice("systemctl", "--user", "start", "architect-desk.service")
        wait_until(lambda: self.desk_hosts()[0][1] == "connected", "the host is connected")
        ((host, _, reason, path, _, first),) = self.desk_hosts()
        self.assertEqual((host, reason), (root, ""))

        output = os.path.join(self.directory, "messages")
        with open(output, "w") as out:
            monitor = subprocess.Popen(
                ("busctl", "--user", "--json=short", "monitor", "org.architect.Desk"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                **self.as_alice(),
            )
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.terminate)
        wait_until(lambda: self.desk_hosts() and os.path.getsize(output) > 0, "the bus is watched")

        # A call, a property, an error, and what cannot be passed on.
        start = ("call", path, node, "Start", "sasa{sv}")
        self.assertEqual(self.desk(*start, "camera", "2", "sleep", "infinity", "0"), [f"{path}/role/camera"])
        self.assertEqual(self.node.poll(), {"camera": "running"})
        state = ("get-property", f"{path}/role/camera", f"{node}.Role", "State")
        self.assertEqual(self.desk(*state), "running")
        ((_, error, ((role, *_, of_role),)),) = self.desk("call", "/org/architect/Desk", "org.architect.Desk", "ListRoles")[0]
        self.assertEqual((error, role, of_role), ("", "camera", f"{path}/role/camera"))
        self.assertIn("/there/is/nothing", self.desk(*start, "bad", "1", "/there/is/nothing", "0", status=1))
        self.assertIn("file descriptor", self.desk("call", path, node, "OpenTerminal", "sa{sv}", "camera", "0", status=1))
        self.assertIn(f"{path}/role/camera", self.alice("busctl", "--user", "tree", "org.architect.Desk").stdout)

        # Neither the end of a connection nor that of the node costs an event, or tells one twice.
        def wait_for_all():
            last = int(far(f"busctl get-property {node} /org/architect/Node {node} EventSequence").split()[1])
            expected = list(range(first + 1, last + 1))
            wait_until(lambda: self.desk_events(output) == expected, f"the events up to {last}: {expected}")

        wait_for_all()
        pid = self.alice("systemctl", "--user", "show", "-P", "MainPID", "architect-desk.service").stdout.strip()
        for ssh in run("pgrep", "-P", pid, "-x", "ssh").stdout.split():
            os.kill(int(ssh), signal.SIGKILL)
        self.node.start("focuser", ["true"])
        wait_for_all()
        self.assertEqual(self.desk_hosts()[0][1:3], ["connected", ""])
        far("systemctl restart architect-node.service; architectctl start during true")
        wait_for_all()
        self.assertEqual(self.desk(*state), "running")

        # A node that hangs is given up, and taken again.
        self.stop_node()
        said = self.desk("call", path, node, "ListRoles", status=1)
        self.assertIn("what the call has done is not known: no answer within 5s", said)
        self.assertEqual(self.desk_hosts()[0][1:3], ["unreachable", "no answer within 5s"])
        self.assertIn("is not connected: no answer", self.desk("call", path, node, "ListRoles", status=1))
        self.continue_node()
        wait_until(lambda: self.desk_hosts()[0][1] == "connected", "it is connected again")
        self.assertEqual(self.desk(*state), "running")

        # There is one desk, and it is for its user.
        self.assertIn("there is a desk already", self.alice("architectctl", "desk", status=1).stderr)
        bus = self.as_alice()["env"]["DBUS_SESSION_BUS_ADDRESS"]
        refused = run("env", f"DBUS_SESSION_BUS_ADDRESS={bus}", "architectctl", "desk", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("the desk is for the user 0 only", refused.stderr)
        self.alice("systemctl", "--user", "stop", "architect-desk.service")
        show = self.alice("systemctl", "--user", "show", "-P", "Result", "architect-desk.service").stdout
        self.assertEqual(show, "success\n")
        self.assertEqual(run("pgrep", "-u", "alice", "-x", "ssh", check=False).stdout, "")

    def test_connection_killed_there(self):
        self.node.start("camera", ["sleep", "infinity"])
        pid = far("pgrep -x sleep")
        ends = threading.Thread(
            target=self.assertRaises, args=(architectnode.ConnectionLost, self.node.pyro_run_loop)
        )
        ends.start()
        far("pkill -x systemd-stdio-b")
        ends.join(PATIENCE)
        self.assertFalse(ends.is_alive())
        self.assertEqual(far("pgrep -x sleep"), pid)
        # The next call connects again.
        self.assertEqual(self.node.poll(), {"camera": "running"})
        self.node.kill("camera")
        self.assertEqual(self.node.poll(), {"camera": "exit -9"})

    def test_connection_killed_here(self):
        self.node.start("camera", ["sleep", "infinity"])
        (ssh,) = self.ssh_pids()
        # During a call: the node is stopped and cannot reply.
        far("kill -STOP $(systemctl show -P MainPID architect-node)")
        self.addCleanup(far, "kill -CONT $(systemctl show -P MainPID architect-node)", check=False)
        problems, on_its_way = queue.Queue(), threading.Event()
        get_link = self.node._get_link

        def link_of_call():
            link = get_link()
            on_its_way.set()
            return link

        def poll():
            try:
                self.node.poll()
            except architectnode.ArchitectNodeError as error:
                problems.put(error)

        self.node._get_link = link_of_call
        waits = threading.Thread(target=poll)
        waits.start()
        on_its_way.wait()
        os.kill(ssh, signal.SIGKILL)
        problem = problems.get(timeout=PATIENCE)
        waits.join()
        far("kill -CONT $(systemctl show -P MainPID architect-node)")
        self.assertIsInstance(problem, architectnode.ConnectionLost)
        self.assertIn(f"the connection to the bus of root@{FAR} is lost", str(problem))
        self.assertEqual(self.node.poll(), {"camera": "running"})
        (again,) = self.ssh_pids()
        self.assertNotEqual(again, ssh)
        self.node.close()
        self.assertEqual(self.ssh_pids(), [])

    def test_network_gone(self):
        """A broken cable is not reported, but ssh sends keep-alive messages."""
        with ArchitectNode(
            host=f"root@{FAR}", ssh=("ssh", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
        ) as node:
            node.start("camera", ["sleep", "infinity"])
            run("ip", "link", "set", "eth0", "down")
            self.addCleanup(run, "ip", "link", "set", "eth0", "up")
            before = time.monotonic()
            with self.assertRaises(architectnode.ConnectionLost) as caught:
                node.poll()
            # By the options of this call instead of those of the class.
            self.assertLess(time.monotonic() - before, 15)
            self.assertIn(FAR, str(caught.exception))
            run("ip", "link", "set", "eth0", "up")
            self.assertEqual(node.poll(), {"camera": "running"})

    def test_asks_by_itself(self):
        """Without options from the caller ssh has the default ones."""
        (ssh,) = self.ssh_pids()
        with open(f"/proc/{ssh}/cmdline") as file:
            self.assertIn("-oServerAliveInterval=10", file.read().split("\0"))

    def test_ordinary_user(self):
        with ArchitectNode(host=f"alice@{FAR}") as node:
            self.assertEqual(node.poll(), {})
            self.assertRaises(architectnode.AccessDenied, node.start, "camera", ["true"])

    def test_refused(self):
        for host, ssh, reason in (
            (
                f"root@{FAR}",
                ("ssh", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"),
                "Host key verification failed",
            ),
            (f"bob@{FAR}", ("ssh", "-o", "BatchMode=yes"), "Permission denied"),
            ("nowhere.invalid", ("ssh",), "Could not resolve hostname"),
            ("-oProxyCommand=id", ("ssh",), "hostname contains invalid characters"),
            (f"root@{FAR}", ("/there/is/no/ssh",), "/there/is/no/ssh"),
        ):
            with self.assertRaises(architectnode.ConnectionLost) as caught:
                ArchitectNode(host=host, ssh=ssh)
            self.assertIn(f"cannot connect to the bus of {host}: ", str(caught.exception))
            self.assertIn(reason, str(caught.exception))
            self.assertEqual(len(self.ssh_pids()), 1)

    def test_no_bridge(self):
        """A machine without systemd-stdio-bridge."""
        far("mount --bind /dev/null /usr/bin/systemd-stdio-bridge")
        self.addCleanup(far, "umount /usr/bin/systemd-stdio-bridge")
        with self.assertRaises(architectnode.ConnectionLost) as caught:
            ArchitectNode(host=f"root@{FAR}")
        self.assertIn("systemd-stdio-bridge", str(caught.exception))

    def test_no_node(self):
        with self.assertRaises(architectnode.ServiceUnknown):
            ArchitectNode("nobody_there", host=f"root@{FAR}")
        self.assertEqual(len(self.ssh_pids()), 1)

    def test_busctl_agrees(self):
        """The same by busctl --host, as documented."""
        self.node.start("camera", ["sleep", "infinity"])
        said = subprocess.run(
            [
                "busctl",
                "--host",
                f"root@{FAR}",
                "call",
                "org.architect.Node",
                "/org/architect/Node",
                "org.architect.Node",
                "Poll",
                "as",
                "0",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        ).stdout
        self.assertEqual(said, 'a{ss} 1 "camera" "running"\n')


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A manager here, with its node on another machine ($FAR), by ssh. tools/lib/remote-tests.sh runs this."""

import logging
import os
import queue
import signal
import subprocess
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
        self.assertIn("ssh", ctl("logs", "camera", status=2).stderr)
        ctl("edit", "camera", status=2)
        ctl("purge", "camera")
        self.assertEqual(ctl("--json=short", "list").stdout, "[]\n")
        nowhere = run("architectctl", "-H", "nowhere.invalid", "list", check=False)
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("nowhere.invalid", nowhere.stderr)

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

#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three hosts with the Corosync and the Pacemaker of Debian. tools/lib/cluster-tests.sh has booted and linked
them, and runs this outside of them.

Every role writes the time of a clock that all hosts share, each 50 ms. From these times a copy of a role is
known to have run from the first to the last of them, whoever knows about it, and no two copies may overlap. A
duration is printed, because it says more about the load of the machine; what fails is an order, an overlap, a
failure that was none, or a wait that is in vain.

usage: cluster.py SANDBOX HOST HOST HOST
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
import xml.etree.ElementTree as ElementTree

PATIENCE = float(os.environ.get("ARCHITECT_TEST_PATIENCE", 180))

# Of the lease. fence_architect waits for MARGIN more.
LEASE, MARGIN = 6, 10

STAMPS = "/var/tmp/stamps"
# What TERM does, the name, and where it writes. The first line of a copy comes at once.
STAMP = (
    "$SIG{TERM} = $ARGV[0] eq q(stubborn) ? q(IGNORE) : q(DEFAULT); "
    "open(my $f, q(>>), qq(%s/$ARGV[1])) or die; "
    "while (1) { syswrite($f, sprintf(qq(%%d %%.6f\\n), $$, clock_gettime(CLOCK_MONOTONIC))); sleep(0.05) }"
) % STAMPS


def stamping(role, manner="obedient"):
    return f"perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC,sleep -e '{STAMP}' {manner} {role}"


def say(text):
    print(text, flush=True)


def wait_until(condition, what):
    """Wait for a condition that no event reports; return its value."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.1)


def in_parallel(function, arguments):
    errors = []

    def guarded(argument):
        try:
            function(argument)
        except Exception as error:  # noqa: B902
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def attributes(name, values):
    """In the words of XML."""
    quote = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    pairs = "".join(
        '<nvpair id="{0}-{1}" name="{1}" value="{2}"/>'.format(name, key, "".join(quote.get(c, c) for c in value))
        for key, value in values.items()
    )
    return f'<instance_attributes id="{name}-a">{pairs}</instance_attributes>'


# Runs commands on a host, several at a time. To enter a sandbox for each takes longer than most of them do.
SERVER = """
import json, subprocess, sys, threading

lock = threading.Lock()


def serve(number, command, text):
    try:
        done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", errors="replace")
        answer = done.returncode, done.stdout, done.stderr
    except OSError as error:
        answer = 127, "", str(error)
    with lock:
        print(json.dumps((number, *answer)), flush=True)


for line in sys.stdin:
    threading.Thread(target=serve, args=json.loads(line)).start()
"""

# The answer of a host that has gone down, or is not up.
DOWN = 255, "", "the host is down"


class Host:
    def __init__(self, sandbox, name, number):
        self.sandbox = sandbox
        self.name = name
        self.number = number
        self.lock = threading.Lock()
        self.server = None
        self.calls = 0
        self.answers = {}

    def connect(self):
        command = "python3", "-c", SERVER
        self.server = self.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.answers = {}
        threading.Thread(target=self.read, args=(self.server, self.answers), daemon=True).start()

    def read(self, server, answers):
        # A host without power does not finish its last line.
        with contextlib.suppress(ValueError):
            for line in server.stdout:
                number, *answer = json.loads(line)
                answers.pop(number).put(answer)
        server.wait()
        with self.lock:
            if self.server is server:
                self.server = None
            for answer in answers.values():
                answer.put(DOWN)

    def call(self, command, text=""):
        """Run a command there; return its exit status, its output and its errors."""
        answer = queue.SimpleQueue()
        with self.lock:
            if not self.server:
                self.connect()
            self.calls += 1
            self.answers[self.calls] = answer
            with contextlib.suppress(BrokenPipeError):
                self.server.stdin.write(json.dumps((self.calls, command, text)) + "\n")
                self.server.stdin.flush()
        return answer.get()

    def close(self):
        with self.lock:
            if self.server:
                self.server.stdin.close()

    def popen(self, *command, **options):
        return subprocess.Popen([self.sandbox, "exec", self.name, "--", *command], **options)

    def run(self, *command, check=True, text=""):
        status, out, errors = self.call(command, text)
        if check and status != 0:
            raise AssertionError(f"{self.name}: {' '.join(command)}: {status}: {(out + errors)[-2000:]}")
        return out

    def write(self, path, text, mode="644"):
        self.run("sh", "-c", 'mkdir -p "${1%/*}"; cat >"$1"; chmod "$2" "$1"', "sh", path, mode, text=text)

    def pid(self, unit):
        return int(self.run("systemctl", "show", "-P", "MainPID", unit))

    def node(self, *words):
        return self.run("busctl", "call", "org.architect.Node", "/org/architect/Node", "org.architect.Node", *words)

    def start(self):
        self.run("systemctl", "start", "architect-node", "corosync", "architect-cluster", "pacemaker")


class Rig:
    """Power for the hosts: the agent fence_rig of a host asks for it through a pipe. A host that has none any
    more is rebooted at once, without any of its processes knowing."""

    AGENT = """#!/bin/sh
action=metadata host=
while IFS== read -r name value; do
        case $name in
        action|option)  action=$value ;;
        nodename)       host=$value ;;
        esac
done
case $action in
metadata)       echo '<resource-agent name="fence_rig"><parameters><parameter name="port"><content type="string"/></parameter></parameters>
<actions><action name="off"/><action name="reboot"/><action name="monitor"/><action name="metadata"/></actions></resource-agent>' ;;
off|reboot)     rm -f "/run/rig.$host"
                echo "$host" >/run/rig
                until [ -e "/run/rig.$host" ]; do sleep 0.05; done ;;
esac
"""

    def __init__(self, hosts):
        self.hosts = hosts
        self.fenced = []
        self.pipes = {}

    def attach(self, host):
        """(Again) after the boot of the host."""
        host.write("/usr/sbin/fence_rig", self.AGENT, "755")
        pipe = host.popen(
            "sh",
            "-c",
            "rm -f /run/rig; mkfifo /run/rig; echo ready; while :; do cat /run/rig; done",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert pipe.stdout.readline() == "ready\n"
        self.pipes[host.name] = pipe
        threading.Thread(target=self.serve, args=(host, pipe), daemon=True).start()

    def serve(self, host, pipe):
        for line in pipe.stdout:
            victim = next(h for h in self.hosts if h.name == line.strip())
            self.fenced.append(victim.name)
            self.cut_power(victim)
            host.run("touch", f"/run/rig.{victim.name}")

    @staticmethod
    def boots(host):
        with open(f"/run/architect-node-sandbox/{host.name}/boots") as file:
            return int(file.read())

    def cut_power(self, host):
        """Return when no process of the host is left, and it has been booted again."""
        before = self.boots(host)
        # It ends before it can report that.
        host.run("systemctl", "reboot", "--force", "--force", check=False)
        wait_until(lambda: self.boots(host) > before, f"{host.name} boots")

    def close(self):
        for pipe in self.pipes.values():
            pipe.kill()
            pipe.wait()


class Cluster:
    def __init__(self, sandbox, names):
        self.hosts = [Host(sandbox, name, number + 1) for number, name in enumerate(names)]
        self.rig = Rig(self.hosts)
        self.first = self.hosts[0]
        self.resources = []
        self.device = None  # of fencing, and what it is in the configuration
        self.device_text = ""

    # The configuration

    def configure(self):
        nodes = "".join(
            f" node {{\n  name: {host.name}\n  nodeid: {host.number}\n  ring0_addr: 10.0.0.{host.number}\n }}\n"
            for host in self.hosts
        )
        corosync = (
            "totem {\n version: 2\n cluster_name: observatory\n transport: knet\n token: 1000\n"
            " crypto_cipher: none\n crypto_hash: none\n}\n"
            "quorum {\n provider: corosync_votequorum\n}\n"
            # Real-time, as it is by default, so that a host with other work is not taken for dead.
            "system {\n sched_rr: yes\n move_to_root_cgroup: no\n}\n"
            "logging {\n to_stderr: no\n to_syslog: yes\n}\n"
            f"nodelist {{\n{nodes}}}\n"
        )
        # Before the first start, so that the hosts do not wait for others who may come.
        options = {
            "dc-deadtime": "2s",
            "stonith-enabled": "true",
            "have-watchdog": "false",
            "stonith-timeout": "60s",
            "transition-delay": "0s",
            "cluster-recheck-interval": "60s",
        }
        properties = "".join(
            f'<nvpair id="o-{name}" name="{name}" value="{value}"/>' for name, value in options.items()
        )
        cib = (
            '<cib crm_feature_set="3.0" validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="1">'
            f'<configuration><crm_config><cluster_property_set id="o">{properties}</cluster_property_set></crm_config>'
            "<nodes/><resources/><constraints/>"
            # What was moved stays there when its host is back.
            '<rsc_defaults><meta_attributes id="d"><nvpair id="d-s" name="resource-stickiness" value="1000"/>'
            "</meta_attributes></rsc_defaults></configuration><status/></cib>\n"
        )

        def prepare(host):
            host.write("/etc/corosync/corosync.conf", corosync)
            host.run("install", "-d", "-m", "750", "-o", "hacluster", "-g", "haclient", "/var/lib/pacemaker/cib")
            host.write("/var/lib/pacemaker/cib/cib.xml", cib, "600")
            host.run("chown", "hacluster:haclient", "/var/lib/pacemaker/cib/cib.xml")
            host.write(
                "/etc/systemd/system/architect-cluster.service.d/test.conf",
                "[Service]\nExecStart=\nExecStart=/usr/libexec/architect-node/architect-cluster "
                f"--debug --timeout={LEASE}s\n",
            )
            host.run("sh", "-c", f"mkdir -p -m 777 {STAMPS}; systemctl daemon-reload")
            self.rig.attach(host)

        in_parallel(prepare, self.hosts)

    def cib(self, **sections):
        """Add to sections of the configuration, in one step."""
        text = "".join(f"<{name}>{text}</{name}>" for name, text in sections.items())
        self.first.run(
            "cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-pipe",
            text=f"<configuration>{text}</configuration>",
        )  # fmt: skip

    def fence_by(self, agent):
        """The one device of the cluster, which stays over the tests that need the same one."""
        if self.device == agent:
            return
        parameters = {
            "pcmk_host_list": " ".join(host.name for host in self.hosts),
            "pcmk_host_argument": "port",
        }
        if agent == "fence_architect":
            parameters.update(lease_timeout=str(LEASE), margin=str(MARGIN))
        self.device = agent
        self.device_text = f'<primitive id="f" class="stonith" type="{agent}">{attributes("f", parameters)}</primitive>'
        self.replace("resources", self.device_text)
        wait_until(lambda: self.resource_hosts().get("f"), "the fence device")

    def replace(self, section, text):
        self.first.run("cibadmin", "--replace", "--scope", section, "--xml-pipe", text=f"<{section}>{text}</{section}>")

    def add(self, name, host, **options):
        """A resource, which prefers this host (or none), or runs nowhere else."""
        self.add_all([(name, host)], **options)

    def add_all(self, roles, constraints="", **options):
        """In one step."""
        self.cib(
            constraints="".join(self.location(name, host, options.get("only", False)) for name, host in roles) + constraints,
            resources="".join(self.primitive(name, **options) for name, _ in roles),
        )
        self.resources += [name for name, _ in roles]

    def location(self, name, host, only):
        rule = '<rsc_location id="l-{0}-{1.number}" rsc="{0}" node="{1.name}" score="{2}"/>'
        text = rule.format(name, host, 100) if host else ""
        return text + "".join(rule.format(name, other, "-INFINITY") for other in self.hosts if only and other != host)

    @staticmethod
    def primitive(name, monitor="1s", command=None, only=False, **parameters):
        parameters = {"command": command or stamping(name), **parameters}
        deep = (
            f'<instance_attributes id="{name}-l"><nvpair id="{name}-ll" name="OCF_CHECK_LEVEL" value="10"/>'
            "</instance_attributes>"
            if "check" in parameters
            else ""
        )
        return (
            f'<primitive id="{name}" class="ocf" provider="architect" type="role">{attributes(name, parameters)}'
            "<operations>"
            f'<op id="{name}-s" name="start" interval="0" timeout="90s"/>'
            f'<op id="{name}-p" name="stop" interval="0" timeout="30s"/>'
            f'<op id="{name}-o" name="monitor" interval="{monitor}" timeout="60s">{deep}</op></operations></primitive>'
        )

    def clear(self):
        """All hosts are there, and there is no resource but the fence device, and no constraint."""
        self.whole()
        self.stop_all(True)
        # Those that ignore SIGTERM would take the time of their stop.
        in_parallel(lambda host: host.node("KillMany", "asa{sv}", "0", "1", "force", "b", "true"), self.hosts)
        # A start may be on its way.
        self.first.run("crm_resource", "--wait", "--timeout=60", check=False)
        wait_until(lambda: not any(self.resource_hosts().get(name) for name in self.resources), "all is stopped")
        self.replace("constraints", "")
        self.replace("resources", self.device_text)
        self.stop_all(False)
        self.resources = []
        self.first.run("crm_resource", "--cleanup", check=False)
        in_parallel(lambda host: host.run("sh", "-c", f"rm -f {STAMPS}/*"), self.hosts)

    def stop_all(self, stop):
        self.cib(
            crm_config='<cluster_property_set id="o">'
            f'<nvpair id="o-stop" name="stop-all-resources" value="{str(stop).lower()}"/></cluster_property_set>'
        )

    def whole(self):
        """Each host is a member of the cluster, whatever was done to it."""
        self.connect()

        def mend(host):
            corosync = host.pid("corosync")
            if corosync:
                host.run("kill", "-CONT", str(corosync), check=False)
            if self.rig.pipes[host.name].poll() is not None:
                self.rig.attach(host)
            host.start()

        in_parallel(mend, self.hosts)
        wait_until(lambda: self.online() == {host.name for host in self.hosts}, "all hosts are online")

    # What the cluster says

    def monitor(self):
        text = self.first.run("crm_mon", "--output-as=xml", "-1", check=False)
        try:
            return ElementTree.fromstring(text)
        except ElementTree.ParseError:
            return ElementTree.Element("nothing")

    def online(self):
        return {
            node.get("name")
            for node in self.monitor().iterfind("nodes/node")
            if node.get("online") == "true" and node.get("unclean") == "false" and node.get("pending") == "false"
        }

    def resource_hosts(self):
        """{"guider": "h2", ...} of those that run."""
        return {
            resource.get("id"): resource.find("node").get("name")
            for resource in self.monitor().iter("resource")
            if resource.get("active") == "true" and resource.find("node") is not None
        }

    def failures(self):
        return [
            (failure.get("op_key"), failure.get("exitreason"))
            for failure in self.monitor().iterfind("failures/failure")
        ]

    def fail_counts(self):
        return {
            resource.get("id"): int(resource.get("fail-count", 0))
            for resource in self.monitor().iter("resource_history")
            if resource.get("fail-count", "0") != "0"
        }

    # What the roles say

    def read_stamps(self, role):
        """What is in the file of each host, or nothing while one of them boots."""
        command = "sh", "-c", f"cat {STAMPS}/{role} 2>/dev/null || :"
        answers = [host.call(command) for host in self.hosts]
        return None if any(status for status, *_ in answers) else [out for _, out, _ in answers]

    def stamps(self, role):
        """The copies of a role, (host, pid, first, last), in the order of their beginnings."""
        copies = {}
        for host, text in zip(self.hosts, wait_until(lambda: self.read_stamps(role), "all hosts can be read")):
            for line in text.splitlines():
                words = line.split()
                # A host without power has not finished its last line.
                if len(words) != 2 or len(words[1].partition(".")[2]) != 6:
                    continue
                key, stamp = (host.name, int(words[0])), float(words[1])
                first, _ = copies.get(key, (stamp, stamp))
                copies[key] = first, stamp
        return sorted(((*key, *span) for key, span in copies.items()), key=lambda copy: copy[2])

    def never_two(self, role):
        """Check that no two copies overlap; return the longest gap."""
        copies = self.stamps(role)
        gap = 0.0
        for before, after in zip(copies, copies[1:]):
            if after[2] <= before[3]:
                raise AssertionError(f"two copies of {role} for {before[3] - after[2]:.2f} s: {copies}")
            gap = max(gap, after[2] - before[3])
        return gap

    def stamps_on(self, role, host, since):
        """Whether a copy there has written after this time, as one that lives."""
        return [copy for copy in self.stamps(role) if copy[0] == host.name and copy[3] > since]

    def wait_running(self, role, since, other_than=None):
        """Wait for a copy that has begun after this time; return it."""
        return wait_until(
            lambda: next(
                (copy for copy in self.stamps(role) if copy[2] > since and (not other_than or copy[0] != other_than.name)),
                None,
            ),
            f"{role} runs again",
        )

    # What happens to the hosts

    def cut(self, host):
        self.first.run("ip", "link", "set", f"port{host.number - 1}", "down")

    def connect(self):
        for host in self.hosts[1:]:
            self.first.run("ip", "link", "set", f"port{host.number - 1}", "up")


def by_switch(test):
    """A test with another fence device than the rig."""
    test.switch = True
    return test


class Tests:
    def __init__(self, cluster):
        self.cluster = cluster

    def test_up(self):
        """The hosts find each other, and each gets its lease."""
        c = self.cluster
        begin = time.monotonic()
        in_parallel(Host.start, c.hosts)
        wait_until(lambda: c.online() == {host.name for host in c.hosts}, "all hosts are online")
        up = time.monotonic() - begin
        for host in c.hosts:
            wait_until(lambda: '"cluster"' in host.node("ListLeases"), f"the lease of {host.name}")  # noqa: B023
        return f"three hosts online after {up:.1f} s"

    def test_reason(self):
        """How a role has ended is shown by crm_mon, in the words of the node."""
        c = self.cluster
        host = c.hosts[1]
        # What is not of the lease "cluster" is not reported by the bridge, so the monitor finds it.
        host.node("AcquireLease", "stt", "desk", "0", "3600000000")
        for name, command, reason in (
            ("seq", "exit 3", "role seq exited with status 3"),
            ("guider", "kill -KILL $$", "role guider killed by signal 9, cause external"),
        ):
            # Once, or Pacemaker would have nothing else to do.
            wait = f"until rm /run/{name} 2>/dev/null; do sleep 0.1; done"
            c.add(name, host, command=f"sh -c '{wait}; {command}'", lease="desk", only=True)
            wait_until(lambda: c.resource_hosts().get(name) == host.name, f"{name} runs")  # noqa: B023
            host.run("touch", f"/run/{name}")
            wait_until(lambda: any(found[1] == reason for found in c.failures()), f"the reason of {name}")  # noqa: B023
        c.add("stuck", host, command="sleep infinity", check="sh -c 'echo no answer; false'", only=True)
        reason = "role stuck runs, but its check exited with status 1: no answer"
        wait_until(lambda: any(found[1] == reason for found in c.failures()), "the reason of stuck")
        # No other host has that lease.
        c.add("bad", host, command="/opt/none", lease="desk", only=True)
        wait_until(
            lambda: any("/opt/none" in (found[1] or "") and "No such file" in found[1] for found in c.failures()),
            "the reason of bad",
        )

    def test_bridge(self):
        """A role that was killed runs again long before its next monitor."""
        c = self.cluster
        host = c.hosts[2]
        c.add("camera", host, monitor="3600s")
        c.wait_running("camera", 0)
        wait_until(lambda: c.resource_hosts().get("camera") == host.name, "Pacemaker knows it")

        def measure(fail):
            pid = c.stamps("camera")[-1][1]
            before = time.clock_gettime(time.CLOCK_MONOTONIC)
            fail(pid)
            copy = wait_until(
                lambda: next((copy for copy in c.stamps("camera") if copy[2] > before), None), "camera runs again"
            )
            wait_until(lambda: c.resource_hosts().get("camera") == host.name, "Pacemaker knows it")
            return copy[2] - before

        # The same by hand, on the same machine under the same load.
        by_hand = [
            measure(lambda pid: host.run("crm_resource", "--fail", "-r", "camera", "--node", host.name))
            for _ in range(3)
        ]
        by_bridge = [measure(lambda pid: host.run("kill", "-KILL", str(pid))) for _ in range(3)]
        c.never_two("camera")
        # More than the goal of 2 s is the fault of the bridge only if it takes much longer than Pacemaker itself.
        limit = max(2.0, 2 * max(by_hand) + 2.0)
        if min(by_bridge) > limit:
            raise AssertionError(f"{by_bridge} s by the bridge, but {by_hand} s by hand")
        # Once for each event. (Pacemaker 2.1.5 counts the same failure twice if it is on record.)
        told = host.run("journalctl", "-q", "-o", "cat", "-u", "architect-cluster").count("resource camera has failed")
        if told != len(by_bridge):
            raise AssertionError(f"the bridge has reported {told} failures, but there were {len(by_bridge)}")
        return f"again after {', '.join(f'{t:.1f}' for t in by_bridge)} s, by hand {min(by_hand):.1f} s"

    def test_order(self):
        """Eight roles over three hosts, each after those that it needs, and with those that it belongs to."""
        c = self.cluster
        h1, h2, h3 = c.hosts
        order = [
            ("mount", "hub"), ("camera", "hub"), ("focuser", "hub"), ("weather", "hub"),
            ("hub", "logger"), ("hub", "status"), ("logger", "web"), ("status", "web"),
        ]  # fmt: skip
        together = [("focuser", "camera"), ("logger", "hub"), ("web", "status")]
        constraints = "".join(
            f'<rsc_order id="o-{a}-{b}" first="{a}" then="{b}" kind="Mandatory"/>' for a, b in order
        ) + "".join(
            f'<rsc_colocation id="c-{a}-{b}" rsc="{a}" with-rsc="{b}" score="INFINITY"/>' for a, b in together
        )
        roles = ["mount", "camera", "focuser", "weather", "hub", "logger", "status", "web"]
        where = {"mount": h2, "camera": h3, "hub": h2}
        begin = time.clock_gettime(time.CLOCK_MONOTONIC)
        c.add_all([(role, where.get(role)) for role in roles], constraints, monitor="5s")
        wait_until(lambda: set(roles) <= set(c.resource_hosts()), "all eight roles run")
        hosts = c.resource_hosts()
        began = {role: c.stamps(role)[0][2] for role in roles}
        for before, after in order:
            if began[after] < began[before]:
                raise AssertionError(f"{after} has begun before {before}: {began}")
        for one, other in together:
            if hosts[one] != hosts[other]:
                raise AssertionError(f"{one} is not where {other} is: {hosts}")
        for role in roles:
            c.never_two(role)
        return f"the last of eight runs after {max(began.values()) - begin:.1f} s"

    def test_restarts(self):
        """Restarts and deaths of the node under monitors of one second are no failures, and end no role."""
        c = self.cluster
        # Each monitor leaves a line.
        roles = [(f"r{host.number}{number}", host) for host in c.hosts for number in range(3)]
        for name, host in roles:
            host.run("rm", "-f", f"{STAMPS}/{name}.checks")
        c.add_all(roles, check=f"sh -c 'echo >>{STAMPS}/$OCF_RESOURCE_INSTANCE.checks'")
        wait_until(lambda: len(c.resource_hosts()) == 10, "nine roles run")
        before = {name: c.stamps(name) for name in c.resources}
        begin = time.monotonic()

        def monitors(host):
            """How often each of the roles there was monitored."""
            text = host.run("sh", "-c", f"for i in 0 1 2; do cat {STAMPS}/r{host.number}$i.checks 2>/dev/null | wc -l; done")
            return [int(line) for line in text.split()]

        def disturb(host):
            for i in range(11):
                done = sum(monitors(host))
                if i in (3, 7, 10):
                    pid = host.pid("architect-node")
                    host.run("kill", "-KILL", str(pid))
                    wait_until(lambda: host.pid("architect-node") not in (0, pid), "the next node")  # noqa: B023
                else:
                    host.run("systemctl", "restart", "architect-node")
                wait_until(lambda: sum(monitors(host)) > done, f"a role of {host.name} is monitored")  # noqa: B023

        in_parallel(disturb, c.hosts)
        time_over = time.monotonic() - begin
        # One may be at work, and a failure of the next one is known when the one after it has ended.
        for host in c.hosts:
            done = monitors(host)
            wait_until(
                lambda: min(now - then for now, then in zip(monitors(host), done)) >= 3,  # noqa: B023
                f"the roles of {host.name} are monitored",
            )
        if len(c.resource_hosts()) != 10 or c.fail_counts() or c.failures():
            raise AssertionError(f"failures that were none: {c.resource_hosts()} {c.fail_counts()} {c.failures()}")
        for name, copies in before.items():
            now = c.stamps(name)
            if len(copies) != 1 or len(now) != 1 or now[0][:3] != copies[0][:3]:
                raise AssertionError(f"{name} was started again: {copies} {now}")
        return f"24 restarts, 9 deaths of the node in {time_over:.1f} s: no false failure, no new process"

    def test_host_killed(self):
        """A host without power: it is fenced, its roles run elsewhere, and it comes back."""
        c = self.cluster
        victim = c.hosts[2]
        names = ["dome", "guider", "spare"]
        c.add_all([(name, victim) for name in names])
        for name in names:
            c.wait_running(name, 0)
        wait_until(lambda: len(c.resource_hosts()) == 4, "they run")
        begin = time.clock_gettime(time.CLOCK_MONOTONIC)
        fenced = len(c.rig.fenced)
        c.rig.cut_power(victim)
        copies = [c.wait_running(name, begin, other_than=victim) for name in names]
        if c.rig.fenced[fenced:] != [victim.name]:
            raise AssertionError(f"fenced: {c.rig.fenced}")
        gaps = [c.never_two(name) for name in names]
        again = time.monotonic()
        c.whole()
        return (
            f"the last of three runs again {max(copy[2] for copy in copies) - begin:.1f} s later, gap "
            f"{max(gaps):.1f} s; the host is back {time.monotonic() - again:.1f} s after its start"
        )

    # The dead man's switch

    def stubborn(self, host):
        """A role that ignores SIGTERM, on this host."""
        c = self.cluster
        c.add("mount", host, command=stamping("mount", "stubborn"), stop_timeout="600s")
        c.wait_running("mount", 0)
        wait_until(lambda: c.resource_hosts().get("mount") == host.name, "mount runs")
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def fenced(self, victim, begin):
        """Wait until it runs elsewhere; return what was measured."""
        c = self.cluster
        new = c.wait_running("mount", begin, other_than=victim)
        old = c.stamps("mount")[0]
        gap = c.never_two("mount")
        return f"old copy dead at +{old[3] - begin:.1f}, new at +{new[2] - begin:.1f} s: gap {gap:.1f} s, never two"

    def back(self):
        """Wait until all hosts are in the cluster again; return what was measured."""
        begin = time.monotonic()
        self.cluster.whole()
        self.cluster.never_two("mount")
        return f"back after {time.monotonic() - begin:.1f} s"

    @by_switch
    def test_partition(self):
        """A host is cut off, and comes back when it was fenced by time."""
        c = self.cluster
        victim = c.hosts[2]
        begin = self.stubborn(victim)
        c.cut(victim)
        text = f"{self.fenced(victim, begin)}; {self.back()}"
        # It has its lease again, and takes part.
        c.add("guider", victim, only=True)
        c.wait_running("guider", 0)
        c.never_two("mount")
        return text

    @by_switch
    def test_partition_healed_early(self):
        """It comes back while it is being fenced, and would keep its role if it just went on."""
        c = self.cluster
        victim = c.hosts[2]
        begin = self.stubborn(victim)
        c.cut(victim)
        wait_until(lambda: victim.name not in c.online(), "the others have noticed")
        c.connect()
        return f"{self.fenced(victim, begin)}; {self.back()}"

    @by_switch
    def test_corosync_frozen(self):
        """corosync hangs, and the network lives. When it goes on it does not know yet that it was away."""
        c = self.cluster
        victim = c.hosts[1]
        begin = self.stubborn(victim)
        pid = victim.pid("corosync")
        victim.run("kill", "-STOP", str(pid))
        wait_until(lambda: victim.name not in c.online(), "the others have noticed")
        dead = wait_until(
            lambda: not c.stamps_on("mount", victim, time.clock_gettime(time.CLOCK_MONOTONIC) - 2), "the switch"
        )
        assert dead
        victim.run("kill", "-CONT", str(pid))
        return f"{self.fenced(victim, begin)}; {self.back()}"

    @by_switch
    def test_reachable(self):
        """Pacemaker fences a host that has quorum, as after a failed stop. The host is told, and that is all."""
        c = self.cluster
        victim = c.hosts[2]
        begin = self.stubborn(victim)
        c.first.run("stonith_admin", "--reboot", victim.name, "--tolerance", "0s")
        took = time.clock_gettime(time.CLOCK_MONOTONIC) - begin
        old = c.stamps("mount")[0]
        if old[3] > begin + took:
            raise AssertionError(f"it was fenced after {took:.1f} s, but its role lived for {old[3] - begin:.1f} s")
        text = f"{self.fenced(victim, begin)}; {self.back()}"
        # The time of the lease was not waited for, unless the machine is so busy that it does not matter.
        if took > LEASE + MARGIN:
            raise AssertionError(f"the host could be reached, but its fencing took {took:.1f} s")
        return f"fenced in {took:.1f} s; {text}"

    @by_switch
    def test_wrong_time(self):
        """A fence agent that was told a shorter time than a lease takes fails its monitor."""
        c = self.cluster
        results = {}

        def monitor(seconds):
            text = f"fence_architect --action=monitor --lease_timeout={seconds} --margin={MARGIN} 2>&1; echo status $?"
            results[seconds] = c.first.run("sh", "-c", text)

        in_parallel(monitor, (LEASE - 1, LEASE))
        short = results[LEASE - 1]
        if not short.endswith("status 1\n") or f"lease_timeout is {LEASE - 1} s, but the lease of" not in short:
            raise AssertionError(short)
        if not results[LEASE].endswith("status 0\n"):
            raise AssertionError(results[LEASE])
        if c.first.run("fence_architect", "--action=list").split() != [f"{host.name}," for host in c.hosts]:
            raise AssertionError("the list of hosts")


def journals(cluster):
    for host in cluster.hosts:
        say(f"== journal of {host.name}")
        say(
            host.run(
                "journalctl", "-q", "--no-pager", "-o", "short-precise", "-n", "250",
                "-u", "architect-cluster", "-u", "architect-node", "-u", "pacemaker", "-u", "corosync", check=False,
            )
        )  # fmt: skip


def main():
    cluster = Cluster(sys.argv[1], sys.argv[2:5])
    tests = Tests(cluster)
    only = os.environ.get("ONLY", "").split()
    passed = failed = 0
    cluster.configure()
    for name in (name for name in vars(Tests) if name.startswith("test_")):
        if only and name not in only and name != "test_up":
            continue
        begin = time.monotonic()
        try:
            if name != "test_up":
                cluster.fence_by("fence_architect" if hasattr(getattr(tests, name), "switch") else "fence_rig")
            text = getattr(tests, name)()
            passed += 1
            say(f"ok      {name[5:]} ({time.monotonic() - begin:.1f} s){f': {text}' if text else ''}")
        except Exception:  # noqa: B902
            failed += 1
            say(f"FAILED  {name[5:]} ({time.monotonic() - begin:.1f} s)")
            say(traceback.format_exc())
            say(cluster.first.run("crm_mon", "-1", "-f", check=False))
            journals(cluster)
            if name == "test_up":
                break
        begin = time.monotonic()
        with contextlib.suppress(AssertionError):
            cluster.clear()
        say(f"        (cleared in {time.monotonic() - begin:.1f} s)")
    cluster.rig.close()
    for host in cluster.hosts:
        host.close()
    say(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()

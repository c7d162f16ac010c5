#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""architect-mqtt with a mosquitto that wants TLS, certificates of its clients and passwords: what a dashboard sees,
also of one that comes late, and what it sees when the broker, architect-mqtt or the node is away meanwhile. The
packages are mosquitto, mosquitto-clients, openssl and python3-gi."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from systemcase import CALL, Case, busctl, get_property, main, run, wait_until, write

ETC = "/etc/architect-node"
CONF = f"{ETC}/architect-mqtt.conf"
PASSWORD = f"{ETC}/architect-mqtt.password"
KEY = f"{ETC}/architect-mqtt.key"
STATE = "/var/lib/architect-mqtt"
UNIT = "architect-mqtt.service"
PORT = 8150
DESK_PORT = 8149
SECRET = "correct horse 'battery' staple"
BASE = f"architect/{socket.gethostname()}"
MAIN = f"{BASE}/main"

# An instance of which the test decides what its log has lost.
FAKE = """
import sys
from gi.repository import Gio, GLib

XML = '''<node><interface name="org.architect.Node">
<method name="EventsSince"><arg type="s" direction="in"/><arg type="t" direction="in"/><arg type="u" direction="in"/>
<arg type="s" direction="out"/><arg type="b" direction="out"/><arg type="a(ttssa{sv})" direction="out"/></method>
<signal name="RoleExited"/>
<property name="Version" type="s" access="read"/><property name="State" type="s" access="read"/>
<property name="EventEpoch" type="s" access="read"/><property name="EventSequence" type="t" access="read"/>
</interface><interface name="org.freedesktop.DBus.ObjectManager"><method name="GetManagedObjects">
<arg type="a{oa{sa{sv}}}" direction="out"/></method></interface></node>'''
epoch, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
values = {"Version": ("s", "fake"), "State": ("s", "running"), "EventEpoch": ("s", epoch), "EventSequence": ("t", last)}


def call(bus, sender, path, interface, method, arguments, invocation):
    if method == "GetManagedObjects":
        invocation.return_value(GLib.Variant("(a{oa{sa{sv}}})", ({},)))
        return
    known, seq, most = arguments.unpack()
    if known == epoch and seq > last:
        invocation.return_dbus_error("org.freedesktop.DBus.Error.InvalidArgs", "no event has this number yet")
        return
    assert 0 < most <= 20, most
    seq = seq if known in ("", epoch) else 0
    numbers = range(max(first, seq + 1), last + 1)[:most]
    events = [(n, 1000 + n, "RoleExited", "r", {"n": GLib.Variant("u", n)}) for n in numbers]
    complete = known == epoch and first <= seq + 1
    invocation.return_value(GLib.Variant("(sba(ttssa{sv}))", (epoch, complete, events)))


def get(bus, sender, path, interface, name):
    return GLib.Variant(*values[name])


bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
for interface in Gio.DBusNodeInfo.new_for_xml(XML).interfaces:
    bus.register_object("/org/architect/Node", interface, call, get, None)
loop = GLib.MainLoop()
Gio.bus_own_name_on_connection(bus, "org.architect.NodeInstances", 0, None, None)  # of the policy of the bus
Gio.bus_own_name_on_connection(
    bus, "org.architect.Node.fake", 0, lambda *_: print("owned", flush=True), lambda *_: loop.quit()
)
loop.run()
"""


class Subscriber:
    """What arrives: [(topic, retained, text)]."""

    def __init__(self, case, *words):
        """Returns when it has subscribed, to the retained topic test/ready last."""
        command = ["mosquitto_sub", *case.client_options(), "-q", "1", "-F", "%t\t%r\t%p", *words, "-t", "test/ready"]
        self.lines = []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        case.addCleanup(self.close)
        self.wait("test/ready", lambda text: True, "subscribed")

    def _read(self):
        for line in self.process.stdout:
            topic, retained, text = line.rstrip("\n").split("\t", 2)
            self.lines.append((topic, retained == "1", text))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()  # mosquitto_sub 2.0.11 does not always end at a SIGTERM
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()

    def texts(self, topic):
        return [line[2] for line in list(self.lines) if line[0] == topic]

    def events(self, instance="main"):
        return [json.loads(text) for text in self.texts(f"{BASE}/{instance}/event")]

    def wait(self, topic, condition, what):
        wait_until(lambda: any(condition(text) for text in self.texts(topic)), f"{topic}: {what}")


class Mqtt(Case):
    files = f"{ETC}/mqtt-test"  # the unit has a /var/tmp of its own

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # systemd makes the credentials of a service in a mount namespace of its own and relies on that they are seen from
        # here, as everywhere but in this container.
        run("nsenter", "-t", "1", "-m", "mount", "--make-shared", "/run")
        cls.addClassCleanup(run, "nsenter", "-t", "1", "-m", "mount", "--make-private", "/run")
        run("systemd-sysusers", "architect-mqtt.conf")
        cls.certificates = tempfile.mkdtemp(prefix="architect-test-", dir="/var/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.certificates)
        cls.make_certificates(cls.certificates)

    def setUp(self):
        super().setUp()
        shutil.copytree(self.certificates, self.files)
        os.chmod(self.files, 0o755)
        self.addCleanup(self.clean)
        write(f"{self.files}/passwd", "")
        for user, password in (("architect", SECRET), ("desk", "desk")):
            run("mosquitto_passwd", "-b", f"{self.files}/passwd", user, password)
        self.broker = None
        self.configure_broker()
        self.start_broker()
        self.addCleanup(self.stop_broker)
        run("mosquitto_pub", *self.client_options(), "-q", "1", "-r", "-t", "test/ready", "-m", "1")
        write(PASSWORD, SECRET + "\n", 0o600)
        shutil.copy(f"{self.files}/client.key", KEY)
        os.chmod(KEY, 0o600)
        self.configure()
        self.cursor = self.journal_cursor()

    def clean(self):
        run("systemctl", "stop", UNIT)
        run("systemctl", "reset-failed", UNIT, check=False)
        for path in (CONF, PASSWORD, KEY):
            if os.path.exists(path):
                os.unlink(path)
        for path in (self.files, STATE):
            shutil.rmtree(path, ignore_errors=True)

    # The broker

    @staticmethod
    def make_certificates(directory):
        def openssl(*words):
            run("openssl", *words, cwd=directory)

        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test")
        for name in ("localhost", "client"):
            write(f"{directory}/{name}.ext", f"subjectAltName=DNS:{name}\n")
            openssl("req", *new, "-keyout", f"{name}.key", "-out", "csr", "-subj", f"/CN={name}")
            openssl(
                "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                "-extfile", f"{name}.ext",
            )  # fmt: skip

    @staticmethod
    def client_options():
        """Without TLS, because mosquitto_sub ends when a connection with TLS is cut."""
        return ("-h", "localhost", "-p", str(DESK_PORT), "-u", "desk", "-P", "desk")

    def configure_broker(self, *more):
        at = self.files
        lines = (
            f"listener {DESK_PORT} localhost", f"listener {PORT} localhost", "user root", f"cafile {at}/ca.pem", f"certfile {at}/localhost.pem",
            f"keyfile {at}/localhost.key", "require_certificate true", f"password_file {at}/passwd",
            "persistence true", f"persistence_location {at}/", "autosave_on_changes true", "autosave_interval 1",
            "connection_messages true", f"log_dest file {at}/log",
            "max_queued_messages 0",
        )  # fmt: skip
        write(f"{at}/mosquitto.conf", "\n".join(lines + more) + "\n")

    def start_broker(self):
        assert self.broker is None
        self.broker = subprocess.Popen(["mosquitto", "-c", f"{self.files}/mosquitto.conf"], stdin=subprocess.DEVNULL)

        def listens():
            self.assertIsNone(self.broker.poll())
            try:
                socket.create_connection(("localhost", PORT)).close()
            except OSError:
                return False
            return True

        wait_until(listens, "mosquitto listens")

    def stop_broker(self):
        if self.broker:
            self.broker.terminate()
            self.broker.wait()
            self.broker = None

    @staticmethod
    def unsent():
        """How many bytes the broker has not read."""
        lines = run("ss", "-tnH", "sport", "=", f":{PORT}").stdout.splitlines()
        return sum(int(line.split()[1]) for line in lines)

    def broker_log(self):
        with open(f"{self.files}/log") as file:
            return file.read()

    # architect-mqtt

    def configure(self, **more):
        keys = {
            "Host": "localhost",
            "Port": PORT,
            "User": "architect",
            "CAFile": f"{self.files}/ca.pem",
            "CertificateFile": f"{self.files}/client.pem",
            "KeepAliveSec": "5s",
            **more,
        }
        write(CONF, "[MQTT]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))

    def start(self):
        run("systemctl", "start", UNIT)

    def stop(self):
        run("systemctl", "stop", UNIT)
        self.assertEqual(run("systemctl", "show", "-P", "Result", UNIT).stdout, "success\n")

    def journal_cursor(self):
        output = run("journalctl", "-q", "-n", "1", "-o", "cat", "--show-cursor").stdout
        return output.rpartition("-- cursor: ")[2].strip()

    def journal(self):
        run("journalctl", "--sync")
        return run("journalctl", "-q", "-o", "cat", f"--after-cursor={self.cursor}", "-u", UNIT).stdout

    def subscribe(self, *topics, options=()):
        return Subscriber(self, *options, *(word for topic in topics for word in ("-t", topic)))

    def retained(self):
        """What somebody gets who comes now: {topic: text}."""
        late = self.subscribe("architect/#")
        late.close()
        return {topic: text for topic, retained, text in late.lines if retained and topic != "test/ready"}

    def topic(self, suffix):
        return f"{MAIN}/role/{self.role(suffix)}"

    def state(self, suffix):
        text = self.retained().get(self.topic(suffix))
        return json.loads(text) if text else None

    # The node

    def run_role(self, suffix, *command):
        run("busctl", "--", *CALL[1:], "Start", "sasa{sv}", self.role(suffix), str(len(command)), *command, "0")

    def node_events(self, since):
        """What the node itself says about its events after this one."""
        n = get_property("EventSequence") - since
        output = run("architectctl", "monitor", f"--since={since}", "-n", str(n), "--json=short").stdout if n else ""
        return [json.loads(line) for line in output.splitlines()]

    def watch(self, *topics, options=()):
        """Starts it; returns a subscriber and the number of the last event before this."""
        watcher = self.subscribe(*(topics or ("architect/#",)), options=options)
        self.start()
        watcher.wait(f"{BASE}/alive", lambda text: text == "1", "connected")
        return watcher, get_property("EventSequence")

    def wait_for_events(self, subscriber, since):
        """Each event arrived, in order; returns those that came again. Without them there is no gap."""
        last = get_property("EventSequence")
        wait_until(lambda: any(event["seq"] == last for event in subscriber.events()), f"event {last}")
        seen, again, newest = [], [], since
        for event in subscriber.events():
            if event["seq"] <= since:
                continue
            if event["seq"] <= newest:
                again.append(event)
                self.assertIn(event, seen)
                continue
            self.assertEqual(event["seq"], newest + 1)
            newest = event["seq"]
            seen.append(event)
        self.assertEqual(seen, self.node_events(since))
        return again

    # The tests

    def test_late_joiner(self):
        watcher, since = self.watch()
        self.run_role("a", "sh", "-c", "read -r word; exit 3")
        watcher.wait(self.topic("a"), lambda text: '"state":"running"' in text, "running")
        state = self.state("a")
        self.assertEqual((state["state"], state["ready"], state["code"], state["status"]), ("running", True, None, None))
        pid = next(item[2] for item in busctl(*CALL[1:], "ListRoles")[0] if item[0] == self.role("a"))
        self.assertEqual(state["main-pid"], pid)
        self.assertEqual(state["since-realtime-usec"], state["start-realtime-usec"])
        self.assertGreater(state["start-realtime-usec"], 0)

        run(*CALL, "SendInput", "ss", self.role("a"), "end")
        watcher.wait(self.topic("a"), lambda text: '"state":"ended"' in text, "ended")
        state = self.state("a")
        end = {key: state[key] for key in ("role", "state", "ready", "code", "status", "cause", "result", "main-pid")}
        self.assertEqual(
            end,
            {
                "role": self.role("a"),
                "state": "ended",
                "ready": False,
                "code": "exited",
                "status": 3,
                "cause": "self",
                "result": "exit-code",
                "main-pid": None,
            },
        )
        self.assertEqual(state["since-realtime-usec"], state["exit-realtime-usec"])
        self.wait_for_events(watcher, since)  # with QoS 1 one may come twice
        new = [event for event in watcher.events() if event["seq"] > since and event["role"] == self.role("a")]
        exited = [event for event in new if event["signal"] == "RoleExited"]
        self.assertGreaterEqual(len(exited), 1)
        self.assertEqual((exited[0]["details"]["code"], exited[0]["details"]["status"]), ("exited", 3))
        self.assertGreaterEqual(state["seq"], exited[0]["seq"])
        self.assertEqual(state["epoch"], exited[0]["epoch"])

        all_topics = self.retained()
        self.assertEqual(all_topics[f"{BASE}/alive"], "1")
        node = json.loads(all_topics[f"{MAIN}/node"])
        self.assertEqual((node["state"], node["epoch"]), ("running", get_property("EventEpoch")))
        self.assertEqual(node["version"], get_property("Version"))
        # No event is retained.
        self.assertNotIn(f"{MAIN}/event", all_topics)

    def test_will_and_clean_end(self):
        watcher, _ = self.watch(f"{BASE}/alive")
        run("systemctl", "kill", "-s", "KILL", UNIT)
        wait_until(lambda: watcher.texts(f"{BASE}/alive")[-2:] == ["0", "1"], "the will, then the next process")
        self.assertEqual(self.retained()[f"{BASE}/alive"], "1")
        self.stop()
        wait_until(lambda: watcher.texts(f"{BASE}/alive")[-1] == "0", "a clean end")
        self.assertEqual(self.retained()[f"{BASE}/alive"], "0")
        # The broker has not noticed it by itself, after 1.5 times the keep-alive. Whether it has read the last
        # packet before the end of the connection is up to TCP; the will would be the same.
        wait_until(lambda: re.search(r"Client architect-\S+ (disconnected|closed)", self.broker_log()), "the end in its log")
        self.assertNotIn("exceeded timeout", self.broker_log())

    def test_broker_is_away(self):
        watcher, since = self.watch(options=("-i", "watcher", "-c"))
        self.run_role("a", "sleep", "infinity")
        self.wait_for_events(watcher, since)
        # These are on their way to a broker that does not live to see them.
        self.broker.send_signal(signal.SIGSTOP)
        for i in range(3):
            self.run_role(f"a{i}", "true")
        wait_until(lambda: len(self.node_events(since)) >= 7, "they have ended")
        wait_until(lambda: self.unsent() > 0, "they are sent")
        self.broker.kill()
        self.stop_broker()
        for i in range(15):
            self.run_role(f"b{i}", "sh", "-c", f"exit {i}")
        run(*CALL, "Kill", "s", self.role("a"))
        # More than are in flight at a time.
        wait_until(lambda: len(self.node_events(since)) >= 38, "all have ended")
        self.assertIn("Lost the connection to the broker", self.journal())
        self.start_broker()
        for i in range(15):
            self.run_role(f"c{i}", "true")
        wait_until(lambda: len(self.node_events(since)) >= 68, "all have ended")
        self.wait_for_events(watcher, since)
        for i in range(15):
            watcher.wait(self.topic(f"b{i}"), lambda text, i=i: f'"status":{i},' in text, f"exit {i}")
        self.assertEqual((self.state("a")["code"], self.state("a")["cause"]), ("killed", "kill"))
        self.assertRegex(self.journal(), r"Connected to the broker localhost, port 8150(, after \d+ attempts)?\n$")
        # However much there is to read, the limits of the service are no failures.
        self.assertNotIn("Cannot read", self.journal())

    def test_restart_goes_on(self):
        watcher, since = self.watch()
        self.run_role("a", "true")
        wait_until(lambda: len(self.node_events(since)) >= 2, "it has ended")
        self.wait_for_events(watcher, since)
        self.stop()
        with open(f"{STATE}/main") as file:
            self.assertEqual(file.read(), f"{get_property('EventEpoch')} {get_property('EventSequence')}\n")
        n = len(watcher.events())
        self.run_role("b", "sh", "-c", "exit 7")
        wait_until(lambda: len(self.node_events(since)) >= 4, "it has ended")
        self.start()
        # Not one is sent again.
        self.assertEqual(self.wait_for_events(watcher, since), [])
        self.assertEqual(len(watcher.events()), n + 2)
        watcher.wait(self.topic("b"), lambda text: '"status":7,' in text, "exit 7")

    def test_node_is_restarted(self):
        watcher, since = self.watch()
        self.run_role("a", "sh", "-c", "read -r word; exit 5")
        watcher.wait(self.topic("a"), lambda text: '"state":"running"' in text, "running")
        run("systemctl", "restart", "architect-node.service")

        def states():
            return [json.loads(text)["state"] for text in watcher.texts(f"{MAIN}/node")]

        wait_until(lambda: states()[-2:] == ["gone", "running"], "the next node")
        run(*CALL, "SendInput", "ss", self.role("a"), "end")
        watcher.wait(self.topic("a"), lambda text: '"status":5,' in text, "exit 5")
        # What the broker had not acknowledged when the node went comes again.
        self.assertLessEqual(len(self.wait_for_events(watcher, since)), 2)
        # A call would have started it.
        run("systemctl", "stop", "architect-node.service")
        wait_until(lambda: states()[-1] == "gone", "no node")
        self.assertEqual(json.loads(self.retained()[f"{MAIN}/node"]), {"state": "gone", "version": None, "epoch": None})
        self.assertEqual(run("systemctl", "is-active", "architect-node.service", check=False).stdout, "inactive\n")

    def test_wrong_password(self):
        write(PASSWORD, "wrong-secret\n", 0o600)
        self.start()

        def refusals():
            """When they were, in seconds."""
            return [int(line.split(":")[0]) for line in self.broker_log().splitlines() if "not authorised" in line]

        wait_until(lambda: len(refusals()) >= 4, "several attempts")
        # After 0.5 s, 1 s and 2 s at least.
        self.assertGreaterEqual(refusals()[3] - refusals()[0], 3)
        journal = self.journal()
        # It is said once, and no more often.
        self.assertEqual(journal.count("Cannot connect to the broker localhost, port 8150: Connection Refused: not authorised"), 1)
        self.assertNotIn("secret", journal)
        self.assertIn("not authorised", run("systemctl", "show", "-P", "StatusText", UNIT).stdout)
        pid = run("systemctl", "show", "-P", "MainPID", UNIT).stdout.strip()
        with open(f"/proc/{pid}/cmdline") as file:
            self.assertNotIn("secret", file.read())
        with open(f"/proc/{pid}/stat") as file:
            ticks = sum(map(int, file.read().rpartition(") ")[2].split()[11:13]))
        self.assertLess(ticks / os.sysconf("SC_CLK_TCK"), 3)
        write(PASSWORD, SECRET + "\n", 0o600)
        run("systemctl", "restart", UNIT)
        wait_until(lambda: self.retained().get(f"{BASE}/alive") == "1", "connected")
        self.assertNotIn(SECRET, self.journal())

    def test_other_certificate(self):
        """A broker that is somebody else gets no password."""
        self.configure(Host="127.0.0.1")
        self.start()
        wait_until(lambda: "TLS: " in self.journal(), "it is refused")
        self.assertNotIn("architect-" + socket.gethostname(), self.broker_log())
        self.assertIn("trying again", self.journal())

    def test_closed_in_the_handshake(self):
        """What accepts and closes at once, which libmosquitto takes for no error, is asked with a delay."""
        with socket.create_server(("127.0.0.1", PORT + 1)) as server:
            server.settimeout(90)
            self.configure(Port=PORT + 1)
            self.start()
            for _ in range(3):
                connection = server.accept()[0]
                connection.recv(1)
                # With what it has not read it is reset.
                connection.close()
        # The end is noticed when it comes, and not by the keep-alive.
        wait_until(lambda: "port 8151: " in self.journal(), "it is said")
        # The reason is in the words of libmosquitto, which depend on how far it has come.
        self.assertRegex(self.journal(), "Cannot connect to the broker localhost, port 8151: .+; trying again")

    def test_silent_in_the_handshake(self):
        """While a broker that has accepted says nothing it is waited for, which takes no time of the processor."""

        def ticks():
            pid = run("systemctl", "show", "-P", "MainPID", UNIT).stdout.strip()
            with open(f"/proc/{pid}/stat") as file:
                return sum(map(int, file.read().rpartition(") ")[2].split()[11:13]))

        with socket.create_server(("127.0.0.1", PORT + 1)) as server:
            server.settimeout(90)
            self.configure(Port=PORT + 1)
            self.start()
            connection = server.accept()[0]
            self.addCleanup(connection.close)
            connection.recv(1)  # so it has sent the beginning
            before = ticks()
            # What is observed is that nothing happens for two seconds.
            self.assertEqual(select.select([server], [], [], 2)[0], [])
            self.assertLess((ticks() - before) / os.sysconf("SC_CLK_TCK"), 0.5)

    def test_purge(self):
        watcher, _ = self.watch()
        for suffix in ("a", "b"):
            self.run_role(suffix, "sh", "-c", "exit 3")
            watcher.wait(self.topic(suffix), lambda text: '"status":3' in text, "exit 3")
        run(*CALL, "Purge", "as", "1", self.role("a"))
        wait_until(lambda: watcher.texts(self.topic("a"))[-1] == "", "removed")
        topics = self.retained()
        self.assertNotIn(self.topic("a"), topics)
        self.assertIn(self.topic("b"), topics)

    def test_purged_meanwhile(self):
        watcher, _ = self.watch()
        for suffix in ("a", "b"):
            self.run_role(suffix, "sh", "-c", "exit 3")
            watcher.wait(self.topic(suffix), lambda text: '"status":3' in text, "exit 3")
        self.stop()
        run(*CALL, "Purge", "as", "1", self.role("a"))
        # What nobody has made, either, and what is not below its topics.
        for topic in (f"{MAIN}/role/not a role", f"{MAIN}x/role/other", f"{MAIN}/other"):
            run("mosquitto_pub", *self.client_options(), "-q", "1", "-r", "-t", topic, "-m", "1")
        self.assertIn(self.topic("a"), self.retained())
        self.start()
        for topic in (self.topic("a"), f"{MAIN}/role/not a role"):
            watcher.wait(topic, lambda text: text == "", "removed")
        topics = self.retained()
        self.assertNotIn(self.topic("a"), topics)
        self.assertNotIn(f"{MAIN}/role/not a role", topics)
        for topic in (self.topic("b"), f"{MAIN}x/role/other", f"{MAIN}/other"):
            self.assertIn(topic, topics)

    def test_no_command(self):
        """What others publish below its topics changes nothing, also if it is retained."""
        watcher, _ = self.watch()
        self.run_role("a", "sleep", "infinity")
        watcher.wait(self.topic("a"), lambda text: '"state":"running"' in text, "running")
        since = get_property("EventSequence")
        for word in ("", "/set", "/stop", "/command"):
            for text in ('{"state":"ended"}', "stop"):
                run("mosquitto_pub", *self.client_options(), "-q", "1", "-t", self.topic("a") + word, "-m", text)
        self.run_role("b", "true")
        watcher.wait(self.topic("b"), lambda text: '"state":"ended"' in text, "ended")
        self.assertEqual(get_property("EventSequence"), since + 2)
        self.assertEqual(run(*CALL, "Poll", "as", "1", self.role("a")).stdout, f'a{{ss}} 1 "{self.role("a")}" "running"\n')

    def test_may_not_read(self):
        """A broker that lets it write only."""
        write(f"{self.files}/acl", "user architect\ntopic write architect/#\nuser desk\ntopic #\n")
        self.configure_broker(f"acl_file {self.files}/acl")
        self.stop_broker()
        self.start_broker()
        watcher, _ = self.watch()
        self.run_role("a", "sh", "-c", "exit 3")
        watcher.wait(self.topic("a"), lambda text: '"status":3' in text, "exit 3")
        run(*CALL, "Purge", "as", "1", self.role("a"))
        wait_until(lambda: watcher.texts(self.topic("a"))[-1] == "", "removed")

    def test_gap_and_epoch(self):
        """Another instance, whose log has lost events and then its epoch."""
        write(f"{self.directory}/fake.py", FAKE)
        fake = None

        def begin(*words):
            nonlocal fake
            fake = subprocess.Popen(
                ["/usr/bin/python3", f"{self.directory}/fake.py", *words], stdout=subprocess.PIPE, text=True
            )
            self.addCleanup(end, fake)
            self.assertEqual(fake.stdout.readline(), "owned\n")

        def end(process):
            process.terminate()
            process.wait()
            process.stdout.close()

        self.configure(Instances="main fake")
        begin("e1", "4", "60")
        watcher, _ = self.watch()

        def numbers():
            return [(event["epoch"], event["signal"], event["seq"]) for event in watcher.events("fake")]

        def exits(epoch, *seqs):
            return [(epoch, "RoleExited", seq) for seq in range(*seqs)]

        expected = [("e1", "gap", 3)] + exits("e1", 4, 61)
        wait_until(lambda: len(numbers()) >= len(expected), "the first ones")
        self.assertEqual(numbers(), expected)
        gap, first = watcher.events("fake")[:2]
        self.assertEqual((gap["details"], gap["role"]), ({"lost": 3}, ""))
        self.assertEqual((first["details"], first["role"], first["realtime-usec"]), ({"n": 4}, "r", 1004))
        end(fake)
        begin("e2", "1", "2")
        expected += [("e2", "epoch", 0)] + exits("e2", 1, 3)
        wait_until(lambda: len(numbers()) >= len(expected), "the next epoch")
        self.assertEqual(numbers(), expected)
        self.assertEqual(watcher.events("fake")[-3]["details"], {"previous-epoch": "e1", "previous-seq": 60})
        # A position that this service cannot have.
        self.stop()
        with open(f"{STATE}/fake", "w") as file:
            file.write("e2 9\n")
        self.start()
        expected += exits("e2", 1, 3)
        wait_until(lambda: len(numbers()) >= len(expected), "all of them again")
        self.assertEqual(numbers(), expected)
        self.assertIn("does not know event 9", self.journal())

    def test_without_password_file(self):
        """The files that the unit loads need not exist."""
        os.unlink(PASSWORD)
        os.unlink(KEY)
        write(CONF, "[MQTT]\nPort=1\nUnknown=1\n")
        self.start()
        wait_until(lambda: "Cannot connect to the broker localhost, port 1: Connection refused" in self.journal(), "started")
        self.assertIn(f"{CONF}:3: unknown key Unknown=, ignoring", self.journal())

    def test_bad_configuration(self):
        for key, value, reason in (
            ("Topic", "a/#", "not a valid value"),
            ("KeepAliveSec", "1s", "out of range"),
            ("Port", "70000", "out of range"),
        ):
            write(CONF, f"[MQTT]\n{key}={value}\n")
            self.assertEqual(run("systemctl", "start", UNIT, check=False).returncode, 1)
            self.assertIn(f"{CONF}:2: {key}={value} is {reason}", self.journal())
            # It is not started again.
            self.assertEqual(run("systemctl", "show", "-P", "ActiveState", UNIT).stdout, "failed\n")
            run("systemctl", "reset-failed", UNIT)

    def test_readable_password(self):
        write(f"{self.files}/password", SECRET + "\n", 0o644)
        self.configure(PasswordFile=f"{self.files}/password")
        self.start()
        wait_until(lambda: self.retained().get(f"{BASE}/alive") == "1", "connected")
        self.assertIn(f"Everybody can read the password in {self.files}/password", self.journal())


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""OpenTerminalSocket, for clients that cannot receive descriptors: who may connect, and how long it lives."""

import os
import pwd
import signal
import socket
import stat

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

from systemcase import CALL, PATIENCE, Case, main, path_of, run, wait_until

NODE = DBusAddress("/org/architect/Node", "org.architect.Node", "org.architect.Node")
PEER = DBusAddress("/org/architect/Node", "org.architect.Node", "org.freedesktop.DBus.Peer")
ANSWERS = 'stty -echo; echo ready; while read -r line; do echo "got $line"; done; exit 7'
DIRECTORY = "/run/architect-terminal/main"

# Connects and prints what it reads, up to the end or the first line.
CONNECT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect(sys.argv[1])
print(client.makefile().readline())
"""


class Screen:
    """A client of the terminal."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.text = ""

    def expect(self, text):
        while text not in self.text:
            data = self.socket.recv(65536)
            assert data, f"the end instead of {text!r}: {self.text!r}"
            self.text += data.decode()

    def expect_end(self):
        while data := self.socket.recv(65536):
            self.text += data.decode()

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        self.expect(f"got {line}\r\n")


class Sockets(Case):
    def setUp(self):
        super().setUp()
        run("systemctl", "start", "architect-node.service")

    def start(self, suffix="a", *options):
        role = self.role(suffix)
        options = options or ("1", "stdin", "s", "pty")
        run(*CALL[:2], "--", *CALL[2:], "Start", "sasa{sv}", role, "3", "sh", "-c", ANSWERS, *options)
        return role

    def open(self, role):
        return run(*CALL, "OpenTerminalSocket", "sa{sv}", role, "0").stdout.split('"')[1]

    def same(self, role, path):
        done = run(*CALL, "OpenTerminalSocket", "sa{sv}", role, "0", check=False)
        return done.stdout == f's "{path}"\n'

    def screen(self, path):
        screen = Screen(path)
        self.addCleanup(screen.socket.close)
        return screen

    def error(self, role, *options):
        done = run(*CALL, "OpenTerminalSocket", "sa{sv}", role, *(options or ("0",)), check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def receive_until(self, bus, serial, answered):
        while serial not in answered:
            reply = bus.receive(timeout=PATIENCE)
            answered.append(reply.header.fields.get(HeaderFields.reply_serial))

    def test_client_without_descriptors(self):
        role = self.start()
        bus = open_dbus_connection(bus="SYSTEM")
        self.addCleanup(bus.close)
        # The reply of OpenTerminal does not get through to it, and nothing is said. With dbus-broker the client
        # loses its connection as well. The node sends that reply when the keeper has answered, which may be
        # after its own answer to Ping; the keeper answers in order, so OpenTerminalSocket is answered later.
        bus.send(new_method_call(NODE, "OpenTerminal", "sa{sv}", (role, {})), serial=4711)
        bus.send(new_method_call(PEER, "Ping"), serial=4712)
        answered = []
        try:
            self.receive_until(bus, 4712, answered)
            self.open(role)
            bus.send(new_method_call(PEER, "Ping"), serial=4713)
            self.receive_until(bus, 4713, answered)
        except ConnectionResetError:
            bus = open_dbus_connection(bus="SYSTEM")
            self.addCleanup(bus.close)
        self.assertNotIn(4711, answered)

        reply = bus.send_and_get_reply(new_method_call(NODE, "OpenTerminalSocket", "sa{sv}", (role, {})))
        self.assertEqual(reply.header.message_type, MessageType.method_return)
        screen = self.screen(reply.body[0])
        screen.expect("ready\r\n")
        screen.ask("track M31")

        # All clients see everything, and the earlier output if they want it.
        path = self.open(role)
        self.assertEqual(path, reply.body[0])
        other = self.screen(path)
        other.expect("ready\r\ngot track M31\r\n")
        no_replay = ("1", "replay", "b", "false")
        again = run(*CALL, "OpenTerminalSocket", "sa{sv}", role, *no_replay).stdout.split('"')[1]
        self.assertEqual(again, path)
        fresh = self.screen(path)
        fresh.ask("park")
        self.assertEqual(fresh.text, "got park\r\n")
        for one in (screen, other):
            one.expect("got park\r\n")
        by_object = run(
            *CALL[:3], path_of(role), "org.architect.Node.Role", "OpenTerminalSocket", "a{sv}", "0"
        )
        self.assertEqual(by_object.stdout.split('"')[1], path)

        # The end of the role reaches the clients after the last output, and removes the socket.
        fresh.socket.sendall(b"\4")
        for one in (screen, other, fresh):
            one.expect_end()
        self.assertIn("ended", self.error(role))
        self.assertFalse(os.path.exists(path))

    def test_who_may_connect(self):
        path = self.open(self.start())
        status = os.stat(path)
        self.assertTrue(stat.S_ISSOCK(status.st_mode))
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, 0))
        self.assertEqual(os.path.dirname(path), DIRECTORY)
        for directory in (DIRECTORY, os.path.dirname(DIRECTORY)):
            status = os.stat(directory)
            self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid), (0o755, 0))

        connect = ("/usr/bin/python3", "-c", CONNECT, path)
        self.assertEqual(run(*connect).stdout, "ready\n\n")
        refused = run("runuser", "-u", "alice", "--", *connect, check=False)
        self.assertIn("PermissionError", refused.stderr)
        # The mode of the file does not stop this one, but it is not the user of the socket.
        capable = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")
        alice = str(pwd.getpwnam("alice").pw_uid)
        refused = run("setpriv", "--reuid", alice, "--clear-groups", *capable, "--", *connect)
        self.assertEqual(refused.stdout, "\n")
        call = (*CALL, "OpenTerminalSocket", "sa{sv}", self.role("a"), "0")
        denied = run("runuser", "-u", "alice", "--", *call, check=False)
        self.assertRegex(denied.stderr, "(?i)denied|not authorized")

    def keeper_pid(self):
        return int(run("systemctl", "show", "-P", "MainPID", "architect-keeper.service").stdout)

    def test_survives(self):
        role = self.start()
        path = self.open(role)
        screen = self.screen(path)
        screen.expect("ready\r\n")

        run("systemctl", "restart", "architect-node.service")
        screen.ask("after a restart")
        run("systemctl", "kill", "--signal=KILL", "architect-node.service")
        self.screen(path).expect("got after a restart\r\n")
        wait_until(lambda: self.same(role, path), "the service is back")

        inode = os.stat(path).st_ino
        run("systemctl", "reload", "architect-keeper.service")
        screen.ask("after a reload")
        self.screen(path).expect("got after a reload\r\n")
        self.assertEqual(os.stat(path).st_ino, inode)
        self.assertEqual(self.open(role), path)

        # The keeper dies. What it had is known to the next one; a socket that nobody has is removed.
        left = f"{DIRECTORY}/ffff.0"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(left)
        before = self.keeper_pid()
        os.kill(before, signal.SIGTERM)
        # It removes what was left when it has made the sockets that it knows.
        wait_until(lambda: not os.path.exists(left), "there is another keeper")
        self.assertNotEqual(self.keeper_pid(), before)
        screen.ask("after a death")
        self.screen(path).expect("got after a death\r\n")
        wait_until(lambda: self.same(role, path), "the service has found the keeper")
        run(*CALL, "Stop", "s", role)
        self.assertFalse(os.path.exists(path))

    def test_end(self):
        """Each run has a path of its own. The end of the main process removes it, whatever ends it."""
        role = self.start()
        paths = [self.open(role)]
        for verb in ("Kill", "Stop"):
            run(*CALL, verb, "s", role)
            self.assertEqual(os.listdir(DIRECTORY), [])
            run(*CALL, "Purge", "as", "1", role)
            self.start()
            paths.append(self.open(role))
        self.assertEqual(len(set(paths)), 3)
        self.assertEqual(os.listdir(DIRECTORY), [os.path.basename(paths[-1])])
        run("systemctl", "stop", "architect-node.service")
        self.assertEqual(os.listdir(DIRECTORY), [])

    def test_errors(self):
        self.assertIn("no role", self.error("none"))
        self.assertIn("without a terminal", self.error(self.start("b", "0")))
        self.assertIn('"raw"', self.error(self.start("c"), "1", "raw", "b", "true"))


if __name__ == "__main__":
    main()

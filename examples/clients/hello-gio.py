#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts a role, waits for its end and forgets it, with Gio (Debian's python3-gi)."""

import sys

from gi.repository import Gio, GLib

NAME, PATH = "org.architect.Node", "/org/architect/Node"
NO_SUCH_ROLE = "org.architect.Node.Error.NoSuchRole"

role = sys.argv[1] if len(sys.argv) > 1 else "hello"
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
loop = GLib.MainLoop()
ends = []


def call(method, signature, *args):
    # Stop returns when nothing is left of the role, which may take longer than the default of 25 s.
    return bus.call_sync(
        NAME, PATH, NAME, method, GLib.Variant(signature, args), None, Gio.DBusCallFlags.NONE, 60000
    )


def on_signal(bus, sender, path, interface, signal, args):
    if signal == "RoleStarted":
        print(f"{role} started")
    elif signal == "RoleExited":
        # The code is exited, killed, dumped or lost. Only the status of "exited" is an exit status.
        _, _, code, status, details = args.unpack()
        print(f"{role} {code} {status}")
        ends.append((code, status))
        loop.quit()


def main():
    # First the signals, then the start, because a short command may have ended when Start returns. The
    # name of the role is the first argument of each of its signals.
    bus.signal_subscribe(NAME, NAME, None, PATH, role, Gio.DBusSignalFlags.NONE, on_signal)
    # Without the option user the role runs as root.
    options = {"user": GLib.Variant("s", "nobody")}
    call("Start", "(sasa{sv})", role, ["sh", "-c", "echo hello; exit 3"], options)
    # A program that asks ListRoles instead must take an unknown state for "running".
    loop.run()
    # RoleExited reports the main process. Stop waits for those that it may have left.
    call("Stop", "(s)", role)
    call("Purge", "(as)", [role])
    try:
        call("GetRole", "(s)", role)
    except GLib.Error as error:
        if Gio.DBusError.get_remote_error(error) != NO_SUCH_ROLE:
            raise
        print(f"{role} purged")
    return ends != [("exited", 3)]


try:
    sys.exit(main())
except GLib.Error as error:
    sys.exit(error.message)

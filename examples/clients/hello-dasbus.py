#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts a role, waits for its end and forgets it, with dasbus (Debian's python3-dasbus)."""

import sys

from dasbus.connection import SystemMessageBus
from dasbus.error import DBusError, ErrorMapper, get_error_decorator
from dasbus.loop import EventLoop
from dasbus.typing import Str, get_variant

errors = ErrorMapper()
dbus_error = get_error_decorator(errors)


# Errors without a class of their own are a DBusError.
@dbus_error("NoSuchRole", namespace=("org", "architect", "Node", "Error"))
class NoSuchRole(DBusError):
    pass


role = sys.argv[1] if len(sys.argv) > 1 else "hello"
bus = SystemMessageBus(error_mapper=errors)
node = bus.get_proxy("org.architect.Node", "/org/architect/Node")
loop = EventLoop()
ends = []


# The signals of all roles arrive here.
def on_started(name, path, pid, scope, details):
    if name == role:
        print(f"{role} started")


# The code is exited, killed, dumped or lost. Only the status of "exited" is an exit status.
def on_exited(name, path, code, status, details):
    if name == role:
        print(f"{role} {code} {status}")
        ends.append((code, status))
        loop.quit()


def main():
    # First the signals, then the start, because a short command may have ended when Start returns.
    node.RoleStarted.connect(on_started)
    node.RoleExited.connect(on_exited)
    # Without the option user the role runs as root.
    node.Start(role, ["sh", "-c", "echo hello; exit 3"], {"user": get_variant(Str, "nobody")})
    # A program that asks ListRoles instead must take an unknown state for "running".
    loop.run()
    # RoleExited reports the main process. Stop waits for those that it may have left. dasbus waits for
    # a reply without a limit; where it has one (timeout=, in ms), Stop may need more than 25 s.
    node.Stop(role)
    node.Purge([role])
    try:
        node.GetRole(role)
    except NoSuchRole:
        print(f"{role} purged")
    return ends != [("exited", 3)]


try:
    sys.exit(main())
except DBusError as error:
    sys.exit(f"{error.dbus_name}: {error}")

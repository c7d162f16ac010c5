#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A reply that contains a file descriptor, to a caller that has not negotiated descriptors, is lost. The caller gets
# no error instead; the sender gets one that no library reports.
#
# Software: dbus-daemon 1.14.10-1~deb12u1 (with libdbus-1-3 of the same version).
#
# Expected: a client that has not sent NEGOTIATE_UNIX_FD cannot receive a descriptor. So the caller gets an error
# instead of the reply, as it gets one when the service leaves the bus without a reply.
#
# Seen: the bus drops the reply. The caller gets nothing, not even when the service has left the bus, because the
# bus counts the call as replied to. It waits until its own timeout, which many libraries do not have, and its other
# calls work meanwhile. The bus sends the error NotSupported to the service, as the reply to a message that expects
# no reply; libraries drop such a message. With NEGOTIATE_UNIX_FD the same reply arrives.
#
# Output (the caller calls a method, the service replies with a descriptor; then both ask the bus for its id,
# and what has arrived before that answer is printed):
#
#   without descriptors
#     service: org.freedesktop.DBus.Error.NotSupported
#     caller:  nothing
#     caller, after the service has left: nothing
#   with descriptors
#     service: nothing
#     caller:  method_return
#     caller, after the service has left: nothing
#
# dbus-broker 33-1 closes the connection of the caller instead ("Connection reset by peer"), as was seen by hand. The
# script does not run it, because its launcher needs the journal and a dbus-broker that is installed.
#
# The exit status is 0 if the behaviour is as described, 1 if it has changed, 2 if the script could not run.
# The machine provides apt, dpkg and python3.

set -euo pipefail

PACKAGES=(dbus-daemon=1.14.10-1~deb12u1 libdbus-1-3=1.14.10-1~deb12u1 libapparmor1=3.0.8-3
	libexpat1=2.5.0-1+deb12u2 python3-jeepney=0.8.0-3)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
daemon=
stop_daemon() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	daemon=
}
trap 'stop_daemon; rm -rf "$directory"' EXIT

cd "$directory"
apt-get -qq download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(printf '%s:' "$PWD"/root/lib/*-linux-gnu* "$PWD"/root/usr/lib/*-linux-gnu*)

cat >client.py <<'END'
import sys

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection

BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")


def arrived(connection):
    # The bus keeps the order, so what it has for this connection comes before the reply to this call.
    serial = next(connection.outgoing_serial)
    connection.send(new_method_call(BUS, "GetId"), serial=serial)
    kinds = []
    while True:
        message = connection.receive()
        if message.header.fields.get(HeaderFields.reply_serial) == serial:
            return " ".join(kinds) or "nothing"
        kind = message.header.message_type
        if kind is not MessageType.signal:
            kinds.append(message.header.fields.get(HeaderFields.error_name, kind.name))


for title, negotiates in ("without", False), ("with", True):
    service = open_dbus_connection(sys.argv[1], enable_fds=True)
    caller = open_dbus_connection(sys.argv[1], enable_fds=negotiates)
    method = DBusAddress("/", service.unique_name, "org.example.Files")
    caller.send(new_method_call(method, "Open"))
    while (call := service.receive()).header.message_type is not MessageType.method_call:
        pass
    with open("/dev/null") as file:
        service.send(new_method_return(call, "h", (file,)))
    print(f"{title} descriptors")
    print(f"  service: {arrived(service)}")
    print(f"  caller:  {arrived(caller)}")
    service.close()
    # A connection that begins now is handled after the end of the other one.
    open_dbus_connection(sys.argv[1]).close()
    print(f"  caller, after the service has left: {arrived(caller)}")
    caller.close()
END

cat >bus.conf <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=$PWD/socket</listen>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
END
exec {addresses}< <(LD_LIBRARY_PATH=$libraries exec root/usr/bin/dbus-daemon --config-file=bus.conf --nofork \
	--print-address=1 2>daemon.log)
daemon=$!
read -r address <&"$addresses" || cannot_run "dbus-daemon did not start: $(cat daemon.log)"

cat >described <<'END'
without descriptors
  service: org.freedesktop.DBus.Error.NotSupported
  caller:  nothing
  caller, after the service has left: nothing
with descriptors
  service: nothing
  caller:  method_return
  caller, after the service has left: nothing
END

PYTHONPATH=root/usr/lib/python3/dist-packages timeout 60 python3 client.py "$address" >seen ||
	cannot_run "The clients failed: $(cat daemon.log)"
cat seen
cmp -s described seen || {
	echo "The behaviour has changed." >&2
	exit 1
}

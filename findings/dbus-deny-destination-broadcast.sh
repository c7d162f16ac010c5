#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A rule <deny send_destination="NAME" send_type="signal"/> of a bus policy also stops broadcast signals, and
# it does so even for a connection that only waits in the queue for NAME.
#
# Software: dbus-daemon 1.14.10-1~deb12u1 (with libdbus-1-3 of the same version).
#
# Expected: a broadcast has no destination, so a rule that names a destination does not match it. The rule stops
# signals that are addressed to the owner of NAME, and leaves the subscriptions of that connection alone. A
# connection in the queue does not own NAME, so the rule does not concern it at all.
#
# Seen: the bus evaluates the rule for each recipient of a broadcast, and the rule matches if the recipient owns
# NAME or is in its queue. No sender that the rule applies to can reach such a connection with a broadcast any
# more, whatever the interface. The recipient loses, for instance, what other services announce about their own
# state. Neither the sender nor the recipient gets an error. With send_broadcast="false" in the rule the
# broadcasts arrive, and the unicast signals stay refused. dbus-daemon(1) explains that send_destination stands
# for the owner and not for the name, which only shows in hindsight that broadcasts are included.
#
# Output ("owner" owns org.example.Quiet, "queued" waits for it, "other" does neither; each subscribes to the
# signals of org.example.Weather, and a fourth connection sends one broadcast and one signal to each):
#
#   no rule
#     owner:  broadcast unicast
#     queued: broadcast unicast
#     other:  broadcast unicast
#   <deny send_destination="org.example.Quiet" send_type="signal"/>
#     owner:  nothing
#     queued: nothing
#     other:  broadcast unicast
#   <deny send_destination="org.example.Quiet" send_type="signal" send_broadcast="false"/>
#     owner:  broadcast
#     queued: broadcast
#     other:  broadcast unicast
#
# dbus-broker 33-1 gave the same output, when it was run by hand with the same rules and clients. The script does
# not run it, because its launcher needs the journal and a dbus-broker that is installed.
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

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call, new_signal
from jeepney.io.blocking import open_dbus_connection

BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
INTERFACE = "org.example.Weather"


def call(connection, method, signature=None, body=()):
    reply = connection.send_and_get_reply(new_method_call(BUS, method, signature, body))
    if reply.header.message_type is not MessageType.method_return:
        sys.exit(f"{method}: {reply.body}")
    return reply.body


def received(connection):
    # The bus keeps the order, so each signal for this connection comes before the reply to this call.
    serial = next(connection.outgoing_serial)
    connection.send(new_method_call(BUS, "GetId"), serial=serial)
    members = []
    while True:
        fields = (message := connection.receive()).header.fields
        if fields.get(HeaderFields.reply_serial) == serial:
            return " ".join(members) or "nothing"
        if message.header.message_type is MessageType.signal and fields[HeaderFields.interface] == INTERFACE:
            members.append(fields[HeaderFields.member])


owner, queued, other, sender = (open_dbus_connection(sys.argv[1]) for _ in range(4))
for connection, expected in (owner, 1), (queued, 2):
    if call(connection, "RequestName", "su", ("org.example.Quiet", 0)) != (expected,):
        sys.exit("RequestName: neither owner nor queued")
for connection in owner, queued, other:
    call(connection, "AddMatch", "s", (f"type='signal',interface='{INTERFACE}'",))

emitter = DBusAddress("/org/example/Weather", interface=INTERFACE)
sender.send(new_signal(emitter, "broadcast"))
for connection in owner, queued, other:
    signal = new_signal(emitter, "unicast")
    signal.header.fields[HeaderFields.destination] = connection.unique_name
    sender.send(signal)
call(sender, "GetId")  # now the bus has handled all of them

for name, connection in ("owner:", owner), ("queued:", queued), ("other:", other):
    print(f"  {name:7} {received(connection)}")
END

# show RULE: prints what arrives on a bus with this rule after the ones that allow everything.
show() {
	cat >bus.conf <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
		  <listen>unix:path=$PWD/socket</listen>
		  <policy context="default">
		    <allow own="*"/>
		    <allow send_destination="*"/>
		    <allow receive_sender="*"/>
		    $1
		  </policy>
		</busconfig>
	END
	exec {addresses}< <(LD_LIBRARY_PATH=$libraries exec root/usr/bin/dbus-daemon --config-file=bus.conf --nofork \
		--print-address=1 2>daemon.log)
	daemon=$!
	local address
	read -r address <&"$addresses" || cannot_run "dbus-daemon did not start: $(cat daemon.log)"
	echo "${1:-no rule}"
	PYTHONPATH=root/usr/lib/python3/dist-packages timeout 60 python3 client.py "$address" ||
		cannot_run "The clients failed: $(cat daemon.log)"
	stop_daemon
	exec {addresses}<&-
	rm -f socket
}

cat >described <<'END'
no rule
  owner:  broadcast unicast
  queued: broadcast unicast
  other:  broadcast unicast
<deny send_destination="org.example.Quiet" send_type="signal"/>
  owner:  nothing
  queued: nothing
  other:  broadcast unicast
<deny send_destination="org.example.Quiet" send_type="signal" send_broadcast="false"/>
  owner:  broadcast
  queued: broadcast
  other:  broadcast unicast
END

{
	show ''
	show '<deny send_destination="org.example.Quiet" send_type="signal"/>'
	show '<deny send_destination="org.example.Quiet" send_type="signal" send_broadcast="false"/>'
} >seen
cat seen
cmp -s described seen || {
	echo "The behaviour has changed." >&2
	exit 1
}

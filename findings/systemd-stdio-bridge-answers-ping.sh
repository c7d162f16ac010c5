#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Over systemd-stdio-bridge, by which "busctl --host=" and its like reach the bus of another machine, a Ping of
# org.freedesktop.DBus.Peer is answered by the bridge, whoever it is for.
#
# Software: systemd 252.39-1~deb12u2 (systemd-stdio-bridge and busctl), dbus-daemon 1.14.10-1~deb12u1.
#
# Expected: the bridge passes every message on to the bus, and its answer back. A Ping to a service that has stopped
# (SIGSTOP) has no answer, and one to a name that nobody has is an error, as without the bridge.
#
# Seen: libsystemd answers calls of org.freedesktop.DBus.Peer for every connection before anybody else sees them, and
# the bridge is two such connections. So Ping succeeds for a service that is frozen and for one that does not exist.
# Whoever uses it to find out whether a remote service still lives is told that it always does. Every other method,
# a property for example, reaches the service.
#
# Output (calls to a service that was stopped, with a limit of 2 s, and to a name that nobody has):
#
#   directly: Ping of a frozen service: Connection timed out
#   directly: Ping of nobody: no such name
#   by the bridge: Ping of a frozen service: answered
#   by the bridge: Ping of nobody: answered
#   by the bridge: another method of a frozen service: Connection timed out
#   by the bridge: another method of nobody: no such name
#
# The exit status is 0 if the behaviour is as described, 1 if it has changed, 2 if the script could not run.
# The machine provides apt, dpkg and python3.

set -euo pipefail

PACKAGES=(systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 libsystemd0=252.39-1~deb12u2
	dbus-daemon=1.14.10-1~deb12u1 libdbus-1-3=1.14.10-1~deb12u1 libapparmor1=3.0.8-3
	libexpat1=2.5.0-1+deb12u2 python3-jeepney=0.8.0-3)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
processes=()
stop() {
	[ ${#processes[@]} -eq 0 ] || kill -KILL "${processes[@]}" 2>/dev/null || true
	rm -rf "$directory"
}
trap stop EXIT

cd "$directory"
apt-get -qq download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(printf '%s:' "$PWD"/root/lib/*-linux-gnu* "$PWD"/root/usr/lib/*-linux-gnu*{,/systemd})

cat >service.py <<'END'
import sys

from jeepney import MessageType, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

connection = open_dbus_connection(sys.argv[1])
connection.send_and_get_reply(message_bus.RequestName("org.example.Service"))
print("ready", flush=True)
while True:
    message = connection.receive()
    if message.header.message_type is MessageType.method_call:
        connection.send(new_method_return(message))
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
processes+=($!)
read -r address <&"$addresses" || cannot_run "dbus-daemon did not start: $(cat daemon.log)"
exec {said}< <(PYTHONPATH=root/usr/lib/python3/dist-packages exec python3 service.py "$address" 2>service.log)
processes+=($!)
read -r _ <&"$said" || cannot_run "the service did not start: $(cat service.log)"

# call ADDRESS NAME INTERFACE METHOD
call() {
	local answer
	if answer=$(LD_LIBRARY_PATH=$libraries root/usr/bin/busctl "--address=$1" --timeout=2 call "$2" / "$3" "$4" 2>&1); then
		echo "answered"
	elif [[ $answer = *"timed out"* ]]; then
		echo "Connection timed out"
	elif [[ $answer = *"not provided by any"* || $answer = *NameHasNoOwner* || $answer = *"does not exist"* ]]; then
		echo "no such name"
	else
		echo "$answer"
	fi
}

PEER=org.freedesktop.DBus.Peer
bridge=unixexec:path=$PWD/root/usr/bin/systemd-stdio-bridge,argv1=--bus-path=unix%3apath%3d$PWD/socket
[ "$(call "$address" org.example.Service $PEER Ping)" = answered ] || cannot_run "the service does not answer"
kill -STOP "${processes[1]}"
{
	echo "directly: Ping of a frozen service: $(call "$address" org.example.Service $PEER Ping)"
	echo "directly: Ping of nobody: $(call "$address" org.example.Nobody $PEER Ping)"
	echo "by the bridge: Ping of a frozen service: $(call "$bridge" org.example.Service $PEER Ping)"
	echo "by the bridge: Ping of nobody: $(call "$bridge" org.example.Nobody $PEER Ping)"
	echo "by the bridge: another method of a frozen service: $(call "$bridge" org.example.Service org.example.X Y)"
	echo "by the bridge: another method of nobody: $(call "$bridge" org.example.Nobody org.example.X Y)"
} >seen
cat >described <<'END'
directly: Ping of a frozen service: Connection timed out
directly: Ping of nobody: no such name
by the bridge: Ping of a frozen service: answered
by the bridge: Ping of nobody: answered
by the bridge: another method of a frozen service: Connection timed out
by the bridge: another method of nobody: no such name
END
cat seen
cmp -s described seen || {
	echo "The behaviour has changed." >&2
	exit 1
}

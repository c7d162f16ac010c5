#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# sd_bus_message_read_strv() takes a time that grows with the square of the number of strings.
#
# Software: libsystemd 252 (libsystemd0=252.39-1~deb12u2).
#
# Expected: sd_bus_message_read_strv() is the convenient form of a loop over sd_bus_message_read_basic(), and as
# fast as that. An array of strings is read once, from its begin to its end.
#
# Seen: it appends each string to a list that it measures anew for every string. The loop by hand is linear. A
# method that takes a list of names, from whoever may call it, blocks its service for seconds on a message that
# the bus accepts: 100,000 short strings are less than a megabyte. Version 257 of Debian 13 took 6.9 s for
# those, version 262 of Debian unstable 0.05 s, when they were tried by hand; the manual page does not mention
# it.
#
# Output (CPU time in milliseconds, of one message with that many strings; times differ with the machine):
#
#   10000 strings: read_strv   16, loop   13
#   20000 strings: read_strv   66, loop   17
#   40000 strings: read_strv  272, loop   33
#
# The exit status is 0 if the behaviour is as described, 1 if it has changed, 2 if the script could not run.
# The machine provides apt, dpkg, python3 and the libraries on which libsystemd0 depends.

set -euo pipefail

PACKAGES=(libsystemd0=252.39-1~deb12u2)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

cd "$directory"
apt-get -qq download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done

cat >read.py <<'END'
import ctypes
import socket
import sys
import time
from ctypes import POINTER, byref, c_char, c_char_p, c_uint64, c_void_p

sd_bus = ctypes.CDLL(sys.argv[1])


def check(result):
    if result < 0:
        sys.exit(f"libsystemd: error {-result}")
    return result


# The message is made and read in this process. The bus is one end of a socket pair, which a message needs.
near, far = socket.socketpair()
bus = c_void_p()
check(sd_bus.sd_bus_new(byref(bus)))
descriptor = near.detach()
check(sd_bus.sd_bus_set_fd(bus, descriptor, descriptor))
check(sd_bus.sd_bus_start(bus))


def measure(read, message, n):
    check(sd_bus.sd_bus_message_rewind(message, 1))
    start = time.process_time()
    found = read(message)
    milliseconds = 1000 * (time.process_time() - start)
    if found(n - 1) != b"name" or found(n) is not None:
        sys.exit("The strings are not those that were written.")
    return milliseconds


def read_strv(message):
    strings = POINTER(c_char_p)()
    check(sd_bus.sd_bus_message_read_strv(message, byref(strings)))
    return lambda i: strings[i]


def read_in_loop(message):
    strings, string = [], c_char_p()
    check(sd_bus.sd_bus_message_enter_container(message, c_char(b"a"), b"s"))
    while check(sd_bus.sd_bus_message_read_basic(message, c_char(b"s"), byref(string))) > 0:
        strings.append(string.value)
    return lambda i: strings[i] if i < len(strings) else None


results = {}
for n in 10000, 20000, 40000:
    message = c_void_p()
    check(sd_bus.sd_bus_message_new_signal(bus, byref(message), b"/a", b"a.b", b"C"))
    check(sd_bus.sd_bus_message_append_strv(message, (c_char_p * (n + 1))(*[b"name"] * n, None)))
    check(sd_bus.sd_bus_message_seal(message, c_uint64(1), c_uint64(0)))
    # The fastest of three, because other programs run, too.
    strv, loop = (min(measure(read, message, n) for _ in range(3)) for read in (read_strv, read_in_loop))
    results[n] = strv, loop
    print(f"  {n} strings: read_strv {strv:4.0f}, loop {loop:4.0f}")

# Four times as many strings: 16 times as long if it is quadratic, 4 times if it is linear.
quadratic = results[40000][0] / results[10000][0] > 9
linear = results[40000][1] / results[10000][1] < 7
sys.exit(0 if quadratic and linear else 3)
END

code=0
timeout 120 python3 read.py root/usr/lib/*-linux-gnu*/libsystemd.so.0 || code=$?
case $code in
0)	;;
3)	echo "The behaviour has changed." >&2; exit 1 ;;
*)	cannot_run "The measurement failed." ;;
esac

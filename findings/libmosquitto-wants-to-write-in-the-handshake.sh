#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While libmosquitto waits for the other side of the TLS handshake, mosquitto_want_write() is true. A program with an
# event loop of its own, which asks that function whether to wait until the socket can be written to, takes a whole
# processor until the broker answers.
#
# Software: libmosquitto1 2.0.21-1 (Debian 13), with libssl3t64 3.5.9-1~deb13u1. The same code is in 2.0.15 and later, and in 2.1.2.
#
# Expected: mosquitto_want_write(3) "returns true if there is data ready to be written on the socket". In the handshake
# there is none: the ClientHello has been sent, and everything else waits for the answer.
#
# Seen: CONNECT is in the queue from the beginning, so the answer is true. The socket can be written to, so poll()
# returns at once; mosquitto_loop_write() tries SSL_write(), which wants to read, and returns MOSQ_ERR_SUCCESS. With
# 2.0.11 the answer was false until the handshake was done. A broker that hangs, or the far end of a slow line, is
# enough. So in the handshake a program must not wait for POLLOUT if the socket can be written to.
#
# Output (a listener on the loopback accepts the connection and says nothing; for one second a client does what
# mosquitto_loop_read(3) and mosquitto_loop_write(3) tell users of their own loop):
#
#   wants to write: yes
#   result of mosquitto_loop_write(): 0
#   poll() has returned more than 1000 times: yes
#
# The exit status is 0 if the behaviour is as described, 1 if it has changed, 2 if the script could not run.
# The machine provides apt, dpkg, gcc and openssl; its apt sources are used for Debian 13.

set -euo pipefail

PACKAGES=(libmosquitto1=2.0.21-1 libmosquitto-dev=2.0.21-1 libssl3t64=3.5.9-1~deb13u1 libcjson1=1.7.18-3.1+deb13u1
	libc6=2.41-12+deb13u5 libzstd1=1.5.7+dfsg-1+deb13u1 zlib1g=1:1.3.dfsg+really1.3.1-1+deb13u1
	libcares2=1.34.9-1~deb13u1)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

# The sources of this machine, with another release.
mkdir -p apt/lists/partial apt/cache/archives/partial apt/sources
for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list; do
	[ -f "$file" ] || continue
	grep -q debian "$file" && sed -E 's/\b(bookworm|stable)\b/trixie/g' "$file" >"apt/sources/${file##*/}"
done
apt_options=(-o "Dir::Etc::sourcelist=$PWD/apt/sources/sources.list" -o "Dir::Etc::sourceparts=$PWD/apt/sources"
	-o "Dir::State::lists=$PWD/apt/lists" -o "Dir::Cache=$PWD/apt/cache" -o "Dir::State::status=/dev/null"
	-o "APT::Sandbox::User=root")
touch apt/sources/sources.list
apt-get -qq "${apt_options[@]}" update 2>apt.log >&2 || cannot_run "The lists of Debian 13 cannot be read: $(cat apt.log)"
apt-get -qq "${apt_options[@]}" download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(printf '%s:' "$PWD"/root/lib/*-linux-gnu* "$PWD"/root/usr/lib/*-linux-gnu*)
loader=$(find "$PWD/root" -name 'ld-linux-*.so.*' | head -n 1)

cat >client.c <<'END'
#include <mosquitto.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char *argv[]) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), r = MOSQ_ERR_SUCCESS, wants = 0;
	unsigned long turns = 0;
	struct timespec begin, now;

	if (bind(listener, (struct sockaddr *) &address, size) < 0 || listen(listener, 1) < 0 ||
			getsockname(listener, (struct sockaddr *) &address, &size) < 0)
		return 2;
	mosquitto_lib_init();
	struct mosquitto *client = mosquitto_new("client", true, NULL);
	if (mosquitto_tls_set(client, argv[1], NULL, NULL, NULL, NULL) != MOSQ_ERR_SUCCESS)
		return 2;
	if (mosquitto_connect(client, "127.0.0.1", ntohs(address.sin_port), 60) != MOSQ_ERR_SUCCESS)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct pollfd fd = { mosquitto_socket(client), POLLIN, 0 };

		wants = mosquitto_want_write(client);
		if (wants)
			fd.events |= POLLOUT;
		poll(&fd, 1, 100);
		turns++;
		if (fd.revents & POLLIN)
			mosquitto_loop_read(client, 1);
		if (fd.revents & POLLOUT)
			r = mosquitto_loop_write(client, 1);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 1 || now.tv_nsec < begin.tv_nsec);
	printf("wants to write: %s\n", wants ? "yes" : "no");
	printf("result of mosquitto_loop_write(): %d\n", r);
	printf("poll() has returned more than 1000 times: %s\n", turns > 1000 ? "yes" : "no");
	return 0;
}
END
gcc -I root/usr/include -o client client.c -L root/usr/lib/x86_64-linux-gnu -l:libmosquitto.so.1 \
	-Wl,--allow-shlib-undefined 2>gcc.log || cannot_run "The client cannot be built: $(cat gcc.log)"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out ca.pem -subj /CN=test \
	2>openssl.log || cannot_run "There is no certificate: $(cat openssl.log)"
"$loader" --library-path "$libraries" ./client ca.pem >seen || cannot_run "The client does not run."
cat >described <<'END'
wants to write: yes
result of mosquitto_loop_write(): 0
poll() has returned more than 1000 times: yes
END
cat seen
cmp -s described seen || {
	echo "The behaviour has changed." >&2
	exit 1
}

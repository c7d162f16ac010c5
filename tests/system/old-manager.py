#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A manager that was written for the Python ArchitectNode; only the import is changed.

See cases/old-manager.py.
"""

import logging
import sys
import threading
import time

from architectnode import ArchitectNode

logging.basicConfig(stream=sys.stdout, level=logging.ERROR)
log = logging.getLogger("manager")

CAMERA = """
import sys
for line in sys.stdin:
    print(line.rstrip("\\n"), flush=True, file=open(sys.argv[1], "a"))
    if line.startswith("exit"):
        sys.exit(int(line.split()[1]))
"""


def wait_for(node, role, state):
    for _ in range(3000):
        node.beat()
        if node.poll([role])[role] == state:
            return
        time.sleep(0.01)
    raise RuntimeError(f"{role} is not '{state}' but {node.poll()}")


def main(directory):
    node = ArchitectNode(
        instance_name="main",
        pyro_name="ARCHITECT.NODE",
        logger=log,
        monitor_timeout=30,
        max_threadpool_size=20,
    )
    node.handle_pipes()
    node.set_log_level("INFO")
    node.log_to_sve()
    node.beat()

    if node.get_env("OBSERVATORY") is None:
        node.set_env("OBSERVATORY", "Kitt Peak")
    print("observatory:", node.get_env("OBSERVATORY"))
    print("process group:", node.get_pgrp() > 0)

    tcp = node.bind_tcp(2)
    print("ports:", isinstance(tcp, str), len(node.bind_udp(num_ports=3, as_string=False)))
    node.release_tcp(tcp)

    node.start(
        "CAMERA1", ["/usr/bin/python3", "-c", CAMERA, directory + "/camera1"], env_vars={"CCD_SIZE": "1024"}
    )
    node.start("CAMERA2", ["/usr/bin/python3", "-c", CAMERA, directory + "/camera2"])
    node.start(
        "LOGGER",
        ["sh", "-c", 'echo "$OBSERVATORY, $CCD_SIZE" >"$0/logger"; exec sleep infinity', directory],
        None,
        None,
        None,
        {"CCD_SIZE": "2048"},
        False,
        [],
        None,
    )
    node.start(
        role="STUBBORN",
        command_as_list=[
            "sh",
            "-c",
            'trap "" TERM; echo >"$0/stubborn"; while :; do sleep 1; done',
            directory,
        ],
    )
    print("started:", node.poll())

    node.send_input("CAMERA1 expose 1.5 --filter R")
    done = threading.Event()
    node.send_input("CAMERA2 exit 3", event=done)
    print("sent:", done.wait(10))
    wait_for(node, "CAMERA2", "exit 3")

    while not open_or_none(directory + "/camera1"):
        node.beat()
    node.purge("CAMERA1")  # nothing happens, because it runs
    node.stop("CAMERA1")
    wait_for(node, "CAMERA1", "exit -15")
    node.purge("CAMERA1")
    print("without camera 1:", node.poll())

    while not open_or_none(directory + "/stubborn"):
        node.beat()
    node.stop("STUBBORN")
    print("stubborn:", node.poll(role_list=["STUBBORN"]))
    node.kill("STUBBORN")
    wait_for(node, "STUBBORN", "exit -9")

    try:
        node.start("LOGGER", ["true"])
    except RuntimeError as error:
        print("refused:", error)
    try:
        node.poll(["SPECTROGRAPH"])
    except KeyError as error:
        print("unknown:", error)

    node.beat()
    node.shutdown("the night is over")
    node.pyro_run_loop()
    print("over")


def open_or_none(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    main(sys.argv[1])

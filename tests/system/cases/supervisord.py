#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""A configuration of supervisord, of eight programs in the shape that observatories use, and the role files
that a person has written from it, and those that architectctl import makes of it. Each is run, by supervisord
and by the node, and observed in the same way. The package is supervisor."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from systemcase import CALL, PATIENCE, Case, busctl, main, run, wait_until, write

ROLE_FILES = "/etc/architect-node/main.roles.d"
UNIT = "supervisord-case.service"
PATH = "%(here)s/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = 8140

# What a supervisor adds for itself, and what a role has as a service has it.
OF_THE_SUPERVISOR = ("SUPERVISOR_", "ARCHITECT_", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET")
OF_A_SERVICE = ("SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_", "LANG", "HOME", "USER", "LOGNAME", "SHELL")
OF_A_SERVICE += ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "ASAN_OPTIONS", "UBSAN_OPTIONS")

# Each program is this one, under a name. It tells the test by a pipe what happens to it, and has its place in
# "records".
PROGRAM = """#!/usr/bin/python3
import argparse, json, os, signal, socket, sys

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--port", type=int)
parser.add_argument("--camera")
parser.add_argument("--exit", type=int)
parser.add_argument("--once", action="store_true")
parser.add_argument("--child", action="store_true")
options = parser.parse_args()
top = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))


def tell(*words):
    fd = os.open(f"{top}/events", os.O_WRONLY)
    os.write(fd, (" ".join(map(str, (name, os.getpid(), *words))) + "\\n").encode())
    os.close(fd)


def on_signal(signo, _frame):
    tell("signal", signal.Signals(signo).name)
    os._exit(0)


name = options.name
if options.child and os.fork() == 0:
    name += "-child"
for signo in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    signal.signal(signo, on_signal)
record = {
    "argv": sys.argv,
    "cwd": os.getcwd(),
    "environment": dict(os.environ),
    "uid": os.getuid(),
    "gid": os.getgid(),
    "umask": os.umask(0o077),
    "stdin": os.readlink("/proc/self/fd/0").split(":")[0],
}
again = any(file.startswith(name + ".") for file in os.listdir(f"{top}/records"))
with open(f"{top}/records/{name}.{os.getpid()}", "w") as file:
    json.dump(record, file)
print(f"{name} is up", flush=True)
print(f"{name} warns", file=sys.stderr, flush=True)
if options.port:
    server = socket.create_server(("127.0.0.1", options.port))
tell("up")
if options.exit is not None and not (options.once and again):
    sys.exit(options.exit)
while options.port:
    server.accept()[0].sendall(f"{name}\\n".encode())
while True:
    signal.pause()
"""

SUPERVISORD = """[supervisord]
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s/log
environment=OBSERVATORY="La Silla, 2400 m",INDIPREFIX=%(here)s

[unix_http_server]
file=%(here)s/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock

; The command is found by PATH, and is started again whenever it ends.
[program:server]
command=observe server --port 8140
environment=PATH="%(ENV_PATH)s:%(here)s/tools",INDICONFIG="%(here)s/indi.xml"
directory=%(here)s/work
priority=10
startsecs=1
autorestart=true
redirect_stderr=true
stdout_logfile=%(here)s/log/server.log
stdout_logfile_maxbytes=0

; Two programs with one log, which supervisord writes.
[program:camera]
command=%(here)s/bin/observe camera --camera 'CCD 1'
directory=%(here)s/work
user=alice
priority=20
startsecs=1
autorestart=unexpected
redirect_stderr=true
stdout_logfile=%(here)s/log/instruments.log
stdout_logfile_maxbytes=0

[program:focuser]
command=%(here)s/bin/observe focuser
user=alice
priority=20
startsecs=1
autorestart=unexpected
stopsignal=INT
redirect_stderr=true
stdout_logfile=%(here)s/log/instruments.log
stdout_logfile_maxbytes=0

[group:night]
programs=camera,focuser
priority=20

; Three processes of one program.
[program:guider]
command=%(here)s/bin/observe guider-%(process_num)d --camera %(process_num)d
process_name=%(program_name)s-%(process_num)d
numprocs=3
priority=30
startsecs=1
redirect_stderr=true
stdout_logfile=%(here)s/log/guider-%(process_num)d.log
stdout_logfile_maxbytes=0

; Two that end, with a status that is good, and with one that is not.
[program:calibrate]
command=%(here)s/bin/observe calibrate --exit 3
startsecs=0
autorestart=unexpected
exitcodes=0,3
redirect_stderr=true
stdout_logfile=%(here)s/log/calibrate.log
stdout_logfile_maxbytes=0

[program:weather]
command=%(here)s/bin/observe weather --exit 4 --once
startsecs=0
autorestart=unexpected
exitcodes=0,3
redirect_stderr=true
stdout_logfile=%(here)s/log/weather.log
stdout_logfile_maxbytes=0

; Never comes up. (A slow machine may take longer than a second until it exits.)
[program:dome]
command=%(here)s/bin/observe dome --exit 1
startsecs=20
startretries=2
redirect_stderr=true
stdout_logfile=%(here)s/log/dome.log
stdout_logfile_maxbytes=0

; A process and its child.
[program:pipeline]
command=%(here)s/bin/observe pipeline --child
stopasgroup=true
stopwaitsecs=20
startsecs=1
redirect_stderr=true
stdout_logfile=%(here)s/log/pipeline.log
stdout_logfile_maxbytes=0
"""

# %(here)s stands for the directory, for which a person has written its path.
EACH = """Environment="OBSERVATORY=La Silla, 2400 m" INDIPREFIX=%(here)s PATH=%(path)s
WorkingDirectory=/
"""
ROLES = {
    "server": """Command=observe server --port 8140
Environment=PATH=%(path)s:%(here)s/tools INDICONFIG=%(here)s/indi.xml
WorkingDirectory=%(here)s/work
Restart=always
StandardOutput=append:%(here)s/log/server.log
AutoStart=yes
""",
    # A log of two roles belongs to their user, who writes it.
    "camera": """Command=%(here)s/bin/observe camera --camera 'CCD 1'
WorkingDirectory=%(here)s/work
User=alice
RoleGroups=night
After=server
Restart=on-failure
StandardOutput=append:%(here)s/log/instruments.log
AutoStart=yes
""",
    "focuser": """Command=%(here)s/bin/observe focuser
User=alice
RoleGroups=night
After=server
Restart=on-failure
KillSignal=SIGINT
StandardOutput=append:%(here)s/log/instruments.log
AutoStart=yes
""",
    "guider@": """Instances=0..2
Command=%(here)s/bin/observe guider-%i --camera %i
After=camera focuser
Restart=on-failure
StandardOutput=append:%(here)s/log/guider-%i.log
AutoStart=yes
""",
    "calibrate": """Command=%(here)s/bin/observe calibrate --exit 3
After=guider-0 guider-1 guider-2
Restart=on-failure
SuccessExitStatus=3
StandardOutput=append:%(here)s/log/calibrate.log
AutoStart=yes
""",
    "weather": """Command=%(here)s/bin/observe weather --exit 4 --once
After=guider-0 guider-1 guider-2
Restart=on-failure
SuccessExitStatus=3
StandardOutput=append:%(here)s/log/weather.log
AutoStart=yes
""",
    # A first start and two more, after 1 s and 2 s.
    "dome": """Command=%(here)s/bin/observe dome --exit 1
After=guider-0 guider-1 guider-2
Restart=on-failure
RestartSec=1
RestartSteps=1
RestartMaxDelaySec=2
StartLimitBurst=3
StartLimitIntervalSec=1min
StandardOutput=append:%(here)s/log/dome.log
AutoStart=yes
""",
    "pipeline": """Command=%(here)s/bin/observe pipeline --child
After=guider-0 guider-1 guider-2
Restart=on-failure
TimeoutStopSec=20
StandardOutput=append:%(here)s/log/pipeline.log
AutoStart=yes
""",
}

# All processes that are up in the end, and those that have ended by themselves.
UP = ("server", "camera", "focuser", "guider-0", "guider-1", "guider-2", "weather")
UP += ("pipeline", "pipeline-child")
# As in the file; the others have 999.
PRIORITIES = {"server": 10, "camera": 20, "focuser": 20, "guider-0": 30, "guider-1": 30, "guider-2": 30}
RUNS = {name: 1 for name in UP} | {"weather": 2, "calibrate": 1, "dome": 3}


class Supervisord:
    """Runs the programs by supervisord, as a service of systemd."""

    group = "night:*"
    names = {"camera": "night:camera", "focuser": "night:focuser"} | {
        f"guider-{i}": f"guider:guider-{i}" for i in range(3)
    }

    def __init__(self, here):
        self.configuration = f"{here}/supervisord.conf"
        write(self.configuration, SUPERVISORD)
        run(
            "systemd-run",
            f"--unit={UNIT}",
            "--property=KillMode=mixed",
            f"--setenv=PATH={PATH.replace('%(here)s', here)}",
            "/usr/bin/supervisord",
            "--nodaemon",
            f"--configuration={self.configuration}",
        )

    def _control(self, *words, check=True):
        return run("supervisorctl", "-c", self.configuration, *words, check=check).stdout

    def state(self, name):
        """Return "up", "ended", "given up" or the word of supervisord."""
        words = {"RUNNING": "up", "EXITED": "ended", "STOPPED": "ended", "FATAL": "given up"}
        state = self._control("status", self.names.get(name, name), check=False).split()[1]
        return words.get(state, state)

    def stop(self, name):
        self._control("stop", name if name == self.group else self.names.get(name, name))

    def start(self, name):
        self._control("start", self.names.get(name, name))

    def end(self):
        run("systemctl", "stop", UNIT)

    @staticmethod
    def clean():
        run("systemctl", "kill", "--signal=KILL", UNIT, check=False)
        run("systemctl", "stop", UNIT, check=False)


class Node:
    """Runs them as roles."""

    group = "@night"

    def __init__(self, here):
        self.define(here)
        # All that have AutoStart=, which a start of the service does, too.
        self._many("StartMany", 0)

    @staticmethod
    def define(here):
        for name, text in ROLES.items():
            text = f"[Role]\n{EACH}{text}".replace("%(path)s", PATH).replace("%(here)s", here)
            write(f"{ROLE_FILES}/{name}.role", text)
        run(*CALL, "Reload")

    @staticmethod
    def _many(verb, n, *names):
        for name, error, text in busctl(*CALL[1:], verb, "asa{sv}", str(n), *names, "0")[0]:
            assert not error, (name, error, text)

    def state(self, name):
        state = busctl(*CALL[1:], "Poll", "as", "1", name)[0][name]
        path = busctl(*CALL[1:], "GetRole", "s", name)[0]
        result = busctl("get-property", *CALL[2:3], path, f"{CALL[2]}.Role", "Result")
        waits = busctl("get-property", *CALL[2:3], path, f"{CALL[2]}.Role", "NextStartUSec")
        if result == "start-limit-hit":
            return "given up"
        return "up" if state == "running" else "waits" if waits else "ended"

    def stop(self, name):
        self._many("StopMany", 1, name)

    def start(self, name):
        run(*CALL, "Start", "sasa{sv}", name, "0", "0")

    def end(self):
        self._many("StopMany", 0)

    @staticmethod
    def clean():
        run(*CALL, "KillMany", "asa{sv}", "0", "0")
        run(*CALL, "Purge", "as", "0")
        shutil.rmtree(ROLE_FILES, ignore_errors=True)
        run(*CALL, "Reload")


class Imported(Node):
    """Runs what the importer has made of the configuration."""

    @staticmethod
    def define(here):
        configuration = f"{here}/supervisord.conf"
        write(configuration, SUPERVISORD)
        path = PATH.replace("%(here)s", here)
        run("architectctl", "import", "supervisord", "--install", f"--setenv=PATH={path}", configuration)


class Comparison(Case):
    def end_roles(self):
        for system in self.systems:
            system.clean()

    def setUp(self):
        self.systems = Supervisord, Node
        super().setUp()
        self.here = self.directory

    def prepare(self):
        """Make the directory as it is for each of the two; it has one path, which is in what is compared."""
        for name in os.listdir(self.here):
            path = f"{self.here}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        write(f"{self.here}/bin/observe", PROGRAM, 0o755)
        for name, mode in ("work", 0o755), ("log", 0o777), ("records", 0o777):
            os.mkdir(f"{self.here}/{name}")
            os.chmod(f"{self.here}/{name}", mode)
        return self.fifo("events")

    def until(self, events, seen, condition, what):
        """Read what the programs say until the condition is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            line = events.line(end - time.monotonic())
            self.assertIsNotNone(line, f"in vain: {what}; {seen}")
            name, pid, *words = line.split()
            seen.append((name, int(pid), *words))

    @staticmethod
    def runs(seen):
        runs = {}
        for name, _pid, what, *_ in seen:
            if what == "up":
                runs[name] = runs.get(name, 0) + 1
        return runs

    @staticmethod
    def priorities(names):
        return [PRIORITIES.get(name, 999) for name in names]

    @staticmethod
    def order_of_starts(seen, last_pid):
        """Return the names in the order in which they were forked, which is that of their numbers."""
        with open("/proc/sys/kernel/pid_max") as file:
            n = int(file.read())
        first = {}
        for name, pid, what, *_ in seen:
            if what == "up" and name != "pipeline-child":
                first[name] = min(first.get(name, n), (pid - last_pid) % n)
        return sorted(first, key=first.get)

    def records(self):
        """Return what each run has found, by its name."""
        found = {}
        for file in sorted(os.listdir(f"{self.here}/records")):
            with open(f"{self.here}/records/{file}") as record:
                record = json.load(record)
            record["environment"] = {
                name: value
                for name, value in record["environment"].items()
                if not name.startswith(OF_THE_SUPERVISOR + OF_A_SERVICE)
            }
            record["command"] = record.pop("argv")
            found.setdefault(file.rsplit(".", 1)[0], []).append(record)
        return found

    def logs(self, seen):
        """Return the lines of each log, two for each run; those of two programs come in any order."""

        def read():
            lines = {}
            for file in os.listdir(f"{self.here}/log"):
                with open(f"{self.here}/log/{file}") as log:
                    lines[file] = sorted(log)
            return lines

        n = 2 * sum(self.runs(seen).values())
        # supervisord writes them when it has read them from a pipe.
        wait_until(lambda: sum(map(len, read().values())) >= n, f"{n} lines")
        return read()

    def answer(self):
        try:
            with socket.create_connection(("127.0.0.1", PORT)) as connection:
                return connection.makefile().read()
        except ConnectionRefusedError:
            return None

    def observe(self, make):
        facts = {}
        events = self.prepare()
        with subprocess.Popen(["true"]) as process:
            last_pid = process.pid
        system = make(self.here)
        seen = []
        self.until(events, seen, lambda: self.runs(seen) == RUNS, f"the runs of {RUNS}")
        for name in "server", "calibrate", "weather", "dome", "camera", "guider-1":
            # supervisord says RUNNING after startsecs.
            expected = {"calibrate": "ended", "dome": "given up"}.get(name, "up")
            wait_until(lambda: system.state(name) == expected, f"{name} is {expected}")
        facts["priorities of the starts"] = self.priorities(self.order_of_starts(seen, last_pid))
        facts["records"] = self.records()
        facts["logs"] = self.logs(seen)
        facts["answer"] = self.answer()

        # Whoever is killed comes back, as the same.
        for name in "server", "guider-2":
            os.kill(next(pid for who, pid, *_ in seen if who == name), signal.SIGKILL)
            self.until(events, seen, lambda: self.runs(seen)[name] == 2, f"{name} comes back")
        facts["records again"] = self.records()
        facts["answer again"] = self.answer()

        # Who is stopped does not, nor does a whole group; the others stay.
        before = len(seen)
        system.stop(system.group)
        system.stop("server")
        system.stop("pipeline")
        self.until(events, seen, lambda: len(seen) == before + 5, "the signals of the stops")
        facts["signals"] = sorted((name, *what) for name, _pid, *what in seen[before:])
        for name in "server", "camera", "focuser", "pipeline", "guider-0", "weather":
            facts[f"{name} then"] = system.state(name)
        facts["answer then"] = self.answer()
        system.start("camera")
        self.until(events, seen, lambda: self.runs(seen)["camera"] == 2, "camera starts again")

        before = len(seen)
        system.end()
        self.until(events, seen, lambda: len(seen) == before + 5, "the signals of the end")
        facts["priorities of the stops"] = self.priorities(name for name, *_ in seen[before:])
        facts["signals of the end"] = sorted((name, *what) for name, _pid, *what in seen[before:])
        left = [pid for _name, pid, *_ in seen if os.path.exists(f"/proc/{pid}")]
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left), "all are gone")
        facts["runs"] = self.runs(seen)
        facts["logs in the end"] = self.logs(seen)
        return facts

    def test_same(self):
        by_supervisord = self.observe(Supervisord)
        self.assertEqual(by_supervisord["answer"], "server\n")
        self.assertIsNone(by_supervisord["answer then"])
        starts, stops = by_supervisord["priorities of the starts"], by_supervisord["priorities of the stops"]
        self.assertEqual((starts, stops), (sorted(starts), sorted(stops, reverse=True)))
        for system in Node, Imported:
            by_node = self.observe(system)
            for fact, value in by_supervisord.items():
                with self.subTest(fact, system=system.__name__):
                    self.assertEqual(by_node[fact], value)
            system.clean()


if __name__ == "__main__":
    main()

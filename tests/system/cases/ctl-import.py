#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""architectctl import: configurations in the shape that observatories have, the role files that it makes of
them, which are run, and files that are none. The case supervisord compares with supervisord itself."""

import os
import shutil
import signal
import stat

from systemcase import CALL, Case, busctl, main, path_of, pid_of, run, wait_until, write

ROLE_FILES = "/etc/architect-node/main.roles.d"

SUPERVISORD = """; Of a dome.
[supervisord]
logfile=/var/log/supervisord.log
environment=SITE="north"
umask=027

[inet_http_server]
port=127.0.0.1:9001
username=operator
password=sesame

[include]
files = conf.d/*.conf

[group:night sky]
programs=recorder,ZWO CCD
priority=5

[program:recorder]
command=sh -c 'umask >out; echo "$SITE $MODE 100%%" >>out; exec sleep infinity' ; a comment
directory=%(here)s/recorder
environment=MODE="dark,
    flat",EMPTY=""
autorestart=false
stopsignal=INT
stopwaitsecs=7
stdout_logfile=NONE
redirect_stderr=false
stderr_logfile=/var/log/recorder.err
stdout_logfile_maxbytes=10MB
startretries=7
favourite=blue
Priority: 10
priority=11
"""

INCLUDED = """[program:ZWO CCD]
command=sleep
  infinity
autostart=false
priority=20

[program:guider]
command=sh -c 'echo %(process_num)02d %(program_name)s %(group_name)s >%(here)s/%(process_num)02d; exec sleep infinity'
process_name=%(program_name)s_%(process_num)02d
numprocs=3
numprocs_start=8
autorestart=true
startsecs=5

[program:odd]
command=sh -c 'sleep infinity' %(process_num)d %(process_num)02d
process_name=odd%(process_num)d
numprocs=2
exitcodes=3
stopasgroup=true

[eventlistener:mail]
command=mailer
events=PROCESS_STATE
"""

IOCS = """#!/bin/sh
# The IOCs of the dome.
ulimit -c 0
procServ -n "Guide camera" --chdir %(here)s -L %(here)s/gcam.log --logstamp=x \\
    --holdoff 2 --ignore '^C^G' -l 20001 -P 20000 ./st.cmd
sudo -u nobody EPICS_TZ='a b' /usr/bin/procServ -w --killsig 2 -G 4 --noautorestart 20002 sleep 100000
"""

PROCS = """[DEFAULT]
top = %(here)s
user = nobody

[weather]
command = %%(top)s/st.cmd "two words"
chdir = %%(top)s
port = 4052

[spare]
command = true
instance = no
"""

ST_CMD = """#!/bin/sh
echo "epics> $*"
while read -r line; do echo "got $line"; done
"""

READER = """[Unit]
Description=Reads the weather station
Requires=broker.service network-online.target
After=broker.service network-online.target

[Service]
Type=notify
NotifyAccess=all
Environment="WORDS=two words" DIRECTORY=%(here)s
ExecStartPre=-/bin/false
ExecStart=/bin/sh -c 'printf "%%%%s\\\\n" "$$@" $$PPID >$$DIRECTORY/reader; systemd-notify --ready; exec sleep infinity' \\
    sh ${WORDS} $WORDS %%p "it's $$"
UMask=0027
KillMode=mixed
LimitCORE=0:infinity
TimeoutStartSec=20
Nice=5
ProtectSystem=strict

[X-Site]
Owner=dome

[Install]
WantedBy=multi-user.target
"""

BROKER = """[Unit]
Before=camera@a.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo one >%(here)s/broker'
ExecStart=/bin/sh -c 'echo two >>%(here)s/broker'
"""

CAMERA = """[Service]
ExecStart=/bin/sh -c 'echo %%n %%i >%(here)s/camera; exec sleep infinity'
TimeoutSec=3
PIDFile=/run/camera.pid
"""


def import_files(*words, status=0):
    done = run("architectctl", "import", *words, check=False)
    assert done.returncode == status, (words, done)
    return done


def sections(text):
    """Return the lines of each role file of the output by its name, and the notes before the first one."""
    files = {"": []}
    name = ""
    for line in text.splitlines():
        if line.startswith("# ") and line.endswith(".role"):
            name = line[2:]
            files[name] = []
        elif line:
            files[name].append(line)
    return files


class Import(Case):
    def end_roles(self):
        run(*CALL, "KillMany", "asa{sv}", "0", "0")
        run(*CALL, "Purge", "as", "0")
        shutil.rmtree(ROLE_FILES, ignore_errors=True)
        run(*CALL, "Reload")

    def file(self, name, text, mode=0o644):
        path = f"{self.directory}/{name}"
        write(path, text, mode)
        return path

    def template(self, name, text, mode=0o644):
        return self.file(name, text % {"here": self.directory}, mode)

    def read(self, name):
        wait_until(lambda: os.path.exists(f"{self.directory}/{name}"), f"{name} is written")
        with open(f"{self.directory}/{name}") as file:
            return file.read()

    def start(self, *names):
        for name, error, text in busctl(*CALL[1:], "StartMany", "asa{sv}", str(len(names)), *names, "0")[0]:
            self.assertEqual(error, "", (name, text))

    def supervisord(self):
        os.mkdir(f"{self.directory}/recorder")
        self.file("conf.d/night.conf", INCLUDED)
        return self.file("supervisord.conf", SUPERVISORD)

    def test_supervisord(self):
        path = self.supervisord()
        files = sections(import_files("supervisord", path).stdout)
        self.assertEqual(
            list(files)[1:], ["recorder.role", "ZWO_CCD.role", "guider@.role", "odd0.role", "odd1.role"]
        )
        recorder = files["recorder.role"]
        for line in (
            "[Role]",
            "Environment=SITE=north",
            'Environment="MODE=dark,\\nflat" EMPTY=',
            f"WorkingDirectory={self.directory}/recorder",
            "RoleGroups=night_sky",
            "AutoStart=yes",
            "Restart=no",
            "KillSignal=SIGINT",
            "TimeoutStopSec=7s",
            "StandardOutput=null",
            "StopTo=main",
            f"# {path}:32: favourite=blue: it is no key of a program that supervisord knows",
            f"# {path}:33: priority=10: a later line sets it again",
        ):
            self.assertIn(line, recorder)
        for key in "stderr_logfile", "stdout_logfile_maxbytes", "startretries", "redirect_stderr":
            self.assertTrue(any(f" {key}=" in line and line[0] == "#" for line in recorder), key)
        self.assertIn('# Its name was "ZWO CCD".', files["ZWO_CCD.role"])
        self.assertIn("Command=sh -c 'umask 027; exec \"$@\"' sh sleep infinity", files["ZWO_CCD.role"])
        self.assertIn("After=recorder", files["ZWO_CCD.role"])
        self.assertNotIn("AutoStart=yes", files["ZWO_CCD.role"])
        guider = files["guider@.role"]
        # The one that does not start by itself orders nothing, so the one before it does, too.
        for line in (
            "Instances=08..10",
            "After=recorder ZWO_CCD",
            "Restart=always",
            "StartLimitIntervalSec=30s",
            "StartLimitBurst=4",
        ):
            self.assertIn(line, guider)
        self.assertTrue(any("process_name=" in line and "named after the program" in line for line in guider))
        self.assertTrue(any("sleep infinity' 1 01" in line for line in files["odd1.role"]))
        self.assertTrue(any("0 is a success, too" in line for line in files["odd1.role"]))
        # Nothing is dropped, but secrets.
        notes = "\n".join(files[""])
        for text in "[inet_http_server]", "port=127.0.0.1:9001", "[eventlistener:mail]", "events=", "logfile=":
            self.assertIn(text, notes)
        self.assertNotIn("sesame", notes)

        import_files("supervisord", "--install", path)
        self.start("@night_sky", "guider-08", "guider-09", "guider-10", "odd0")
        expected = "0027\nnorth dark,\nflat 100%\n"
        wait_until(lambda: self.read("recorder/out") == expected, "the recorder has its environment and mask")
        wait_until(lambda: self.read("conf.d/09") == "09 guider guider\n", "the guider has its number")

    def test_writes(self):
        path = self.file("s.conf", "[program:a]\ncommand=true\n[unix_http_server]\nfile=/x\n")
        output = f"{self.directory}/out"
        done = import_files("supervisord", f"--output={output}", path)
        self.assertEqual(os.listdir(output), ["a.role"])
        self.assertEqual(stat.S_IMODE(os.stat(f"{output}/a.role").st_mode), 0o644)
        self.assertEqual(done.stderr, f"Wrote {output}/a.role.\n")
        # What belongs to no role is on stdout, since it is in no file.
        self.assertIn("file=/x", done.stdout)
        self.assertNotIn("command", done.stdout)
        self.assertEqual(run("architectctl", "verify", f"{output}/a.role").stderr, "")
        self.assertIn("--force replaces it", import_files("supervisord", f"--output={output}", path, status=1).stderr)
        import_files("supervisord", "--force", f"--output={output}", path)
        import_files("-q", "supervisord", "--install", path)
        self.assertEqual([item[0] for item in busctl(*CALL[1:], "ListDefinitions")[0]], ["a"])
        user = run("setpriv", "--reuid=nobody", "--clear-groups", "--",
                   "architectctl", "import", "supervisord", "--install", "--force", path, check=False)
        self.assertEqual(user.returncode, 5)
        self.assertIn("Permission denied", user.stderr)

    def test_environment(self):
        path = self.file("s.conf", "[program:a]\ncommand=%(ENV_TOOL)s\n")
        self.assertIn(
            f"{path}:2: command= has %(ENV_TOOL)s, and TOOL is not in the environment; give it by --setenv=TOOL=VALUE",
            import_files("supervisord", path, status=1).stderr,
        )
        files = sections(import_files("supervisord", "--setenv=TOOL=/bin/x y%", path).stdout)
        self.assertIn("Command=/bin/x y%%", files["a.role"])
        self.assertIn('Environment="TOOL=/bin/x y%%"', files["a.role"])
        self.assertIn("no such variable", import_files("supervisord", "--setenv=NO_SUCH", path, status=2).stderr)

    def test_processes_without_a_name(self):
        path = self.file("s.conf", "[program:a]\ncommand=sleep %(process_num)d\nnumprocs=2\n")
        files = sections(import_files("supervisord", path).stdout)
        self.assertIn("Instances=0..1", files["a@.role"])
        self.assertIn("Command=sleep %i", files["a@.role"])

    def test_procserv(self):
        self.file("st.cmd", ST_CMD, 0o755)
        path = self.template("iocs.sh", IOCS)
        files = sections(import_files("procserv", path).stdout)
        self.assertIn(f"# {path}:3: ulimit -c 0: it starts no procServ", files[""])
        camera, sleep = files["Guide_camera.role"], files["sleep.role"]
        for line in "StandardInput=pty", "Restart=always", "RestartSec=2s", "StartLimitBurst=0", "AutoStart=yes":
            self.assertIn(line, camera)
        for option in "--ignore=^G", "--logport=20001", "--port=20000":
            self.assertTrue(any(option in line and line[0] == "#" for line in camera), option)
        for line in (
            "Command=sleep 100000",
            "User=nobody",
            'Environment="EPICS_TZ=a b"',
            "KillSignal=SIGINT",
            "TimeoutStopSec=4s",
            "Restart=no",
        ):
            self.assertIn(line, sleep)
        self.assertNotIn("AutoStart=yes", sleep)

        import_files("procserv", "--install", path)
        self.start("Guide_camera", "sleep")
        run(*CALL, "SendInput", "ss", "Guide_camera", "dbl")
        wait_until(lambda: "got dbl" in self.read("gcam.log"), "the IOC answers")
        self.assertRegex(self.read("gcam.log"), r"(?m)^\d{4}-\d\d-\d\dT[\d:.]{15}Z got dbl")
        # It comes back, after its delay.
        os.kill(pid_of("Guide_camera"), signal.SIGKILL)
        wait_until(lambda: self.read("gcam.log").count("epics>") == 2, "the IOC comes back")
        # Ctrl-C does not end it.
        terminal = ("architectctl", "attach", "--escape=none", "Guide_camera")
        run("sh", "-c", f"printf '\\003dbr\\n\\004' | timeout 30 {' '.join(terminal)}", check=False)
        wait_until(lambda: "dbr" in self.read("gcam.log"), "the keys have arrived")
        self.assertIn("got \x03dbr", self.read("gcam.log").replace("^C", "\x03"))

    def test_procserv_utils(self):
        self.file("st.cmd", ST_CMD, 0o755)
        path = self.template("procs.conf", PROCS)
        done = import_files("procserv", "--install", path)
        self.assertIn("the section has instance=no", done.stdout)
        self.start("weather")
        with open(f"{ROLE_FILES}/weather.role") as file:
            text = file.read()
        self.assertIn("User=nobody\n", text)
        self.assertIn("port=4052: architectctl attach", text)
        self.assertIn("'two words'", text)

    def test_procserv_unit(self):
        unit = "[Service]\nRestart=no\nUser=nobody\nExecStart=/usr/bin/procServ -f -n x%p -c /tmp 4051 sleep 1%%\n"
        files = sections(import_files("procserv", self.file("ioc.service", unit)).stdout)
        for line in "Command=sleep 1%%", "Description=xioc", "Restart=always", "User=nobody":
            self.assertIn(line, files["ioc.role"])
        self.assertTrue(any("Restart=no: it is about the program" in line for line in files["ioc.role"]))

    def test_systemd(self):
        reader = self.template("reader.service", READER)
        broker = self.template("broker.service", BROKER)
        self.template("camera@.service", CAMERA)
        self.file("reader.service.d/50-nice.conf", "[Service]\nNice=7\n")
        camera = f"{self.directory}/camera@a.service"
        done = import_files("systemd", reader, broker, camera)
        files = sections(done.stdout)
        self.assertEqual(list(files)[1:], ["reader.role", "broker.role", "camera-a.role"])
        for line in (
            "Requires=broker",
            "After=broker",
            "Type=notify",
            "ExecStartPre=-/bin/false",
            "StopTo=main",
            "Nice=7",
            "AutoStart=yes",
            "StandardInput=null",
            "TimeoutStopSec=90s",
        ):
            self.assertIn(line, files["reader.role"])
        text = "\n".join(files["reader.role"])
        for line in (
            "Requires=network-online.target: it is no role",
            "LimitCORE=0:infinity: ",
            "ProtectSystem=strict: it has no counterpart",
            "Owner=dome: it is for other programs",
        ):
            self.assertIn(line, text)
        self.assertIn("After=broker", files["camera-a.role"])
        # What the reader of the service refuses is a comment, and is said.
        self.assertTrue(any(line.startswith("# TimeoutStartSec=3: ") for line in files["camera-a.role"]))
        self.assertIn("camera-a.role: TimeoutStartSec=3 is left out", done.stderr)
        self.assertTrue(any("PIDFile=" in line and line[0] == "#" for line in files["camera-a.role"]))

        import_files("systemd", "--install", reader, broker, camera)
        self.start("reader", "camera-a")
        self.assertEqual(self.read("broker"), "one\ntwo\n")
        self.assertEqual(self.read("camera"), "camera@a.service a\n")
        words = self.read("reader").splitlines()
        self.assertEqual(words[:-1], ["two words", "two", "words", "reader", "it's $"])
        state = busctl("get-property", CALL[2], path_of("reader"), f"{CALL[2]}.Role", "State")
        self.assertEqual(state, "running")

    def test_installed_drop_in(self):
        """What is wrong in a drop-in that is installed is no line of the file that is written."""
        write(f"{ROLE_FILES}/refused.role.d/a.conf", "[Role]\nRoleGroups=night\nNice=much\n")
        done = import_files("supervisord", self.file("refused", "[program:refused]\ncommand=true"), status=1)
        self.assertIn(f"its role file would be refused: {ROLE_FILES}/refused.role.d/a.conf: ", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_bad_input(self):
        """No file stops the others from being read, and each error has its place."""
        os.mkfifo(f"{self.directory}/fifo")
        os.mkdir(f"{self.directory}/x.service")
        bad = (
            ("supervisord", "[program:a\ncommand=x", ":1: the section header does not end in"),
            ("supervisord", "command=x", ":1: there is no section header"),
            ("supervisord", "[program:a]\ncommand", ":2: the line is neither"),
            ("supervisord", "[program:a]\n\x01\x02", ":2: the line has a control character"),
            ("supervisord", "[program:a]\n", ":1: [program:a] has no command="),
            ("supervisord", "[program:a]\ncommand=x %(y)s", ":2: command= has %(y)s, which stands for nothing"),
            ("supervisord", "[program:a]\ncommand=x 5%", ":2: command= has a % that is no"),
            ("supervisord", "[program:a]\ncommand=x\npriority=high", ":3: priority=high is no number"),
            ("supervisord", "[program:a]\ncommand=x\nautostart=perhaps", ":3: autostart=perhaps is neither"),
            ("supervisord", "[program:a]\ncommand=x\nautorestart=perhaps", ":3: autorestart=perhaps is none of"),
            ("supervisord", "[program:a]\ncommand=x\nenvironment=A", ":3: environment= is not a list"),
            ("supervisord", "[program:a]\ncommand=x\nnumprocs=0", ":3: numprocs=0 must be"),
            ("supervisord", "[program:a]\ncommand=x\numask=9", ":3: umask=9 is no octal number"),
            ("supervisord", "[program:a]\ncommand='x", ":1: its role file would be refused"),
            ("supervisord", "[program:*]\ncommand=x", ":1: [program:*] has no letter or digit"),
            ("supervisord", "[program:a b]\ncommand=x\n[program:a*b]\ncommand=x", ":3: [program:a*b] would be the role"),
            ("supervisord", "[group:g]\nprograms=a", ':2: programs= names "a", and there is no [program:a]'),
            ("supervisord", "[include]\nfiles=nothing.conf", ":2: "),
            ("supervisord", "[include]\nfiles=fifo", "fifo: it is not a regular file"),
            ("procserv", "procServ -n", ":1: -n needs a value"),
            ("procserv", "procServ --new 1 a", ":1: procServ has no option --new"),
            ("procserv", "procServ 1", ":1: procServ has no command"),
            ("procserv", "procServ 1 'a", ":1: The quote ' is not closed"),
            ("procserv", "procServ -n $IOC 1 a", ":1: a shell would replace"),
            ("procserv", "[a]\nport=1", ":1: [a] has no command="),
            ("systemd", "[Service]\nExecStart", ":2: the line is neither a section header nor an assignment"),
            ("systemd", "", ": it has no assignment"),
            ("systemd", "[Service]\nExecStart='x", ":2: the command cannot be imported"),
            ("systemd", "[Service]\nUser=nobody", ": Command= is missing"),
        )
        for i, (kind, text, expected) in enumerate(bad):
            with self.subTest(text):
                name = f"bad{i}.service" if kind == "systemd" else f"bad{i}"
                done = import_files(kind, self.file(name, text), status=1)
                self.assertIn(expected, done.stderr)
        for kind, name, expected in (
            ("supervisord", "nothing", "it cannot be read: No such file or directory"),
            ("supervisord", "x.service", "it is not a regular file"),
            ("procserv", "fifo", "it is not a regular file"),
            ("systemd", "x.service", "it is not a regular file"),
            ("systemd", "nothing.service", "it does not exist"),
            ("systemd", "fifo", "a service is imported"),
        ):
            with self.subTest(name):
                self.assertIn(expected, import_files(kind, f"{self.directory}/{name}", status=1).stderr)
        with open(f"{self.directory}/binary", "wb") as file:
            file.write(bytes(range(256)) * 64)
        for kind in "supervisord", "procserv":
            done = import_files(kind, f"{self.directory}/binary", status=1)
            self.assertIn("/binary", done.stderr)
        huge = self.file("huge", "[program:a]\ncommand=" + "x" * 2_000_000)
        self.assertIn("more than 1048576 bytes", import_files("supervisord", huge, status=1).stderr)
        # A good one among bad ones.
        good = self.file("good", "[program:good]\ncommand=true")
        done = import_files("supervisord", huge, good, status=1)
        self.assertIn("good.role", done.stdout)
        self.assertIn("cannot be imported: there are supervisord", import_files("runit", good, status=2).stderr)
        self.assertIn("import needs", import_files("supervisord", status=2).stderr)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The methods of the Python ArchitectNode, as calls to architect-node over D-Bus.

A manager that was written for the original changes its import and names the machine of the node:

    from architectnode import ArchitectNode

    node = ArchitectNode()                          # this machine
    node = ArchitectNode(host="root@camera1")       # another one, by ssh
    node.start("guider", ["/opt/cam/guider", "-v"], env_vars={"CCD": "2"})
    node.send_input("guider track M31")
    print(node.poll())                              # {'guider': 'running'}

A call that fails raises an ArchitectNodeError (a RuntimeError), whose class and dbus_name identify
the error. Methods may be called from any thread. If the connection is lost, the call that is under
way fails with ConnectionLost and the next call connects again. No call is ever repeated
automatically, and the roles are not affected.

It needs Python 3.9 and PyGObject (Debian: python3-gi). For another machine it needs an ssh client
here, and there an ssh server and systemd-stdio-bridge (part of systemd). Calls that change
something are reserved to root there, so log in as root.

architectnode.md in the directory above this file lists every function of the original, what
corresponds to it here, and the same with busctl.
"""

import logging
import math
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

__all__ = ["ArchitectNode", "ArchitectNodeError", "handle_pipes"]  # and the errors below

NAME = "org.architect.Node"
PATH = "/org/architect/Node"
INTERFACE = "org.architect.Node"
NO_TIMEOUT = 2**31 - 1

# These make ssh detect a dead network. They follow the caller's ssh options, which override them.
SSH_OPTIONS = ("-oConnectTimeout=15", "-oServerAliveInterval=10", "-oServerAliveCountMax=3")


class ArchitectNodeError(RuntimeError):
    """An error; its message is that of the service."""

    dbus_name = None

    def __init__(self, message, dbus_name=None):
        super().__init__(message)
        self.message = message
        if dbus_name:
            self.dbus_name = dbus_name

    def __str__(self):
        return self.message


_errors = {}


def _error(name, *bases, prefix="org.architect.Node.Error.", dbus=None):
    """Make an exception for a bus error; BASES are the classes that Python scripts catch.

    DBUS is the name on the bus, if a class of that name would hide one of Python's.
    """
    error = type(
        name,
        (ArchitectNodeError, *bases),
        {"dbus_name": prefix + (dbus or name), "__module__": __name__},
    )
    _errors[error.dbus_name] = error
    __all__.append(name)
    return error


NoSuchRole = _error("NoSuchRole", KeyError)
NoSuchDefinition = _error("NoSuchDefinition", KeyError)
BadDefinition = _error("BadDefinition", ValueError)
RoleExists = _error("RoleExists")
RoleNotRunning = _error("RoleNotRunning")
RoleRunning = _error("RoleRunning")
RoleFrozen = _error("RoleFrozen")
InvalidRoleName = _error("InvalidRoleName", ValueError)
StartCancelled = _error("StartCancelled")
StartTimedOut = _error("StartTimedOut")
DependencyFailed = _error("DependencyFailed")
StartFailed = _error("StartFailed")
StopTimedOut = _error("StopTimedOut")
NoSuchLease = _error("NoSuchLease", KeyError)
LeaseTaken = _error("LeaseTaken")
LeaseRequired = _error("LeaseRequired")
StaleToken = _error("StaleToken")
NoInput = _error("NoInput")
InputFull = _error("InputFull")
NoTerminal = _error("NoTerminal")
NoSuchVariable = _error("NoSuchVariable", KeyError)
NoSuchPort = _error("NoSuchPort")
PortsUnavailable = _error("PortsUnavailable")
SetupFailed = _error("SetupFailed")
ExecFailed = _error("ExecFailed")
ScopeFailed = _error("ScopeFailed")
KeeperUnavailable = _error("KeeperUnavailable")
ShuttingDown = _error("ShuttingDown")
LimitReached = _error("LimitReached")
InvalidArgs = _error("InvalidArgs", ValueError, prefix="org.freedesktop.DBus.Error.")
AccessDenied = _error("AccessDenied", prefix="org.freedesktop.DBus.Error.")
InteractiveAuthorizationRequired = _error(
    "InteractiveAuthorizationRequired", prefix="org.freedesktop.DBus.Error."
)
NotSupported = _error("NotSupported", prefix="org.freedesktop.DBus.Error.")
InputOutputError = _error(
    "InputOutputError", OSError, prefix="org.freedesktop.DBus.Error.", dbus="IOError"
)
# There is no such node, and the bus cannot start one.
ServiceUnknown = _error("ServiceUnknown", prefix="org.freedesktop.DBus.Error.")
# The node exited before it replied. It is not known whether the call had an effect.
NoReply = _error("NoReply", prefix="org.freedesktop.DBus.Error.")
_errors["org.freedesktop.DBus.Error.NameHasNoOwner"] = ServiceUnknown
_errors["org.freedesktop.systemd1.NoSuchUnit"] = ServiceUnknown  # it is not enabled


class ConnectionLost(ArchitectNodeError):
    """There is no connection with the bus. It is not known whether the call had an effect."""


__all__.append("ConnectionLost")

# The types of the options of Start, see org.architect.Node(5).
OPTION_TYPES = {
    option: kind
    for kind, options in {
        "s": "product version provider working-directory user group stdin output exit-type type "
        "notify-access stop-to on-monitor-loss restart cpu-affinity lease managed-by",
        "as": "setup-args xterm-args success-exit-status restart-prevent-exit-status role-groups "
        "after wants requires binds-to part-of "
        "environment-file",
        "aas": "exec-start-pre exec-stop exec-stop-post",
        "a(ss)": "eups-list",
        "a{ss}": "env",
        "a{st}": "limits",
        "aq": "tcp-ports udp-ports release-ports",
        "b": "xterm output-timestamps ignore-sigpipe remove delegate",
        "i": "stop-signal watchdog-signal nice oom-score-adjust",
        "t": "stop-timeout-usec timeout-start-usec watchdog-usec memory-max tasks-max cpu-quota "
        "restart-usec restart-max-delay-usec start-limit-interval-usec cpu-weight io-weight memory-high "
        "fencing-token",
        "u": "restart-steps start-limit-burst",
    }.items()
    for option in options.split()
}

# Python's levels are 10 apart. A level in between selects the next higher level of the service.
_LEVELS = ((10, "debug"), (20, "info"), (25, "notice"), (30, "warning"), (40, "err"), (50, "crit"))
_LEVEL_NAMES = {name.upper(): name for _, name in _LEVELS} | {
    "NOTSET": "debug",
    "WARN": "warning",
    "ERROR": "err",
    "CRITICAL": "crit",
    "FATAL": "crit",
    "ALERT": "alert",
    "EMERG": "emerg",
}
# The reverse, from the numbers of syslog, 0 to 7.
_PRIORITIES = (50, 50, 50, 40, 30, 20, 20, 10)


def _log_level(level):
    """Return the service's name for a level of Python's logging, given by name or number."""
    if isinstance(level, str):
        if level.strip().upper() in _LEVEL_NAMES:
            return _LEVEL_NAMES[level.strip().upper()]
        if not level.strip().isdigit():
            raise ValueError(
                f"{level!r} is not a log level; use DEBUG, INFO, WARNING, ERROR, CRITICAL"
                " or a number"
            )
        level = int(level)
    if not isinstance(level, int) or isinstance(level, bool):
        raise TypeError(f"a log level must be a name or a number, not {level!r}")
    if level < 0:
        raise ValueError(f"{level} is not a log level, because it is negative")
    return next((name for number, name in _LEVELS if level <= number), "alert")


def _strings(what, value):
    """Check a list of strings. A single string is refused, as it is a list of its letters."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{what} must be a list of strings, not the string {value!r}")
    value = [os.fspath(item) if isinstance(item, os.PathLike) else item for item in value]
    for item in value:
        if not isinstance(item, str):
            raise TypeError(f"{what} must contain strings only, not {item!r}")
    return value


def _variables(value):
    """Return variables as a dictionary of strings; numbers are converted by str()."""
    variables = {}
    for name, text in dict(value).items():
        if isinstance(text, bool) or not isinstance(text, (str, int, float, os.PathLike)):
            raise TypeError(f"the variable {name} must be a string or a number, not {text!r}")
        variables[name] = os.fspath(text) if isinstance(text, os.PathLike) else str(text)
    return variables


def _products(value):
    """Return [("idlutils", "v5_5"), "tools", "desiutil 1.9"] as pairs (product, version)."""
    pairs = []
    for item in [value] if isinstance(value, str) else value:
        words = item.split() if isinstance(item, str) else [word or "" for word in item]
        if not 1 <= len(words) <= 2 or not words[0]:
            raise ValueError(f"{item!r} is neither a product nor a product and its version")
        pairs.append((words[0], words[1] if len(words) == 2 else ""))
    return pairs


def _ports(value):
    """Return ports, a list, a number, or the string of bind_tcp(), as a list of numbers."""
    if value is None:
        return []
    if isinstance(value, int):
        return [value]
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    return [int(port) for port in value]


def _one_of(function, name, value, other_name, other):
    """Return the argument that was given by one of its two names."""
    if (value is None) == (other is None):
        reason = "both, which are the same" if other is not None else "neither"
        raise TypeError(f"{function} needs {name} or {other_name}, and got {reason}")
    return other if value is None else value


def _timeout_usec(seconds):
    """Return a monitor_timeout in microseconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"monitor_timeout must be a number of seconds, not {seconds!r}")
    usec = round(seconds * 1000000) if 0 <= seconds < math.inf else -1
    if not 0 <= usec < 2**64 - 1 or (usec == 0 and seconds != 0):
        raise ValueError(
            f"monitor_timeout must be 0 (off) or a number of seconds, at least 1e-06, not {seconds!r}"
        )
    return usec


def handle_pipes(signum=None, frame=None):
    """Redirect a standard output or standard error that nobody reads any more to /dev/null.

    A handler of SIGPIPE and SIGHUP, for the manager itself; the service does the same on its own.
    """
    broken = select.poll()
    for fd in (1, 2):
        broken.register(fd, 0)
    for fd, events in broken.poll(0):
        if events & (select.POLLERR | select.POLLHUP):
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, fd)
            os.close(null)


def _done(event):
    """Handle the event argument of the original: an object with set() is set after the call."""
    if hasattr(event, "set"):
        event.set()


_BUS = (
    Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
)


def _connect_address(address):
    # Gio.bus_get() has a shared connection, which ends the program when the bus ends.
    return Gio.DBusConnection.new_for_address_sync(address, _BUS, None, None), None


def _connect_ssh(command):
    # This is what busctl --host does. GDBus does not support "unixexec:", but accepts any stream.
    ssh = _Ssh(command)
    try:
        return Gio.DBusConnection.new_sync(ssh.stream, None, _BUS, None, None), ssh
    except GLib.Error as error:
        ssh.stream.close()
        reason = ssh.reason(error.message)
        ssh.close()
        raise OSError(reason) from None


class _Ssh:
    """The process that connects to the bus of another machine."""

    def __init__(self, command):
        ours, theirs = socket.socketpair()
        self._words = tempfile.TemporaryFile()
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=self._words
            )
        socket_of_ours = Gio.Socket.new_from_fd(ours.detach())
        self.stream = socket_of_ours.connection_factory_create_connection()

    def reason(self, otherwise):
        """Return the last line that the process printed, the reason why its stream ended."""
        try:
            self._process.wait(5)
            self._words.seek(0)
            words = self._words.read().decode(errors="replace").strip().splitlines()
        except (subprocess.TimeoutExpired, ValueError):
            return otherwise  # the process has not ended, or another thread has called close()
        return words[-1].strip() if words else f"ssh ended with status {self._process.returncode}"

    def close(self):
        """Wait for the end of the process. Called after the stream was closed."""
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()


class _Link:
    """One connection to a bus, and the thread in which its signals arrive."""

    def __init__(self, name, where, connect, on_log):
        self._name = name
        self._where = where
        self._connect = connect
        self._on_log = on_log
        self._context = GLib.MainContext.new()
        self._changed = threading.Condition()
        self._closed = self._shutting_down = self._gone = self._stopped = False
        self._ssh = self.connection = self._problem = None
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="architectnode", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._problem:
            raise self._problem

    def _run(self, ready):
        # GDBus delivers signals in the context that created the connection and subscribed to them.
        self._context.push_thread_default()
        try:
            self.connection, self._ssh = self._connect()
            self._subscribe()
        except (GLib.Error, OSError) as error:
            message = error.message if isinstance(error, GLib.Error) else error
            self._problem = ConnectionLost(f"cannot connect to {self._where}: {message}")
        except Exception as error:
            self._problem = error
        finally:
            ready.set()
        while not self._stopped and not self._problem:
            self._context.iteration(True)
        self._context.pop_thread_default()

    def _subscribe(self):
        bus = "org.freedesktop.DBus"
        for sender, member, path, arg0, callback in (
            (self._name, "LogMessage", PATH, None, self._on_log),
            (self._name, "ShuttingDown", PATH, None, self._on_shutting_down),
            (bus, "NameOwnerChanged", "/org/freedesktop/DBus", self._name, self._on_name_owner),
        ):
            interface = bus if sender == bus else INTERFACE
            self.connection.signal_subscribe(
                sender, interface, member, path, arg0, Gio.DBusSignalFlags.NONE,
                lambda *args: args[-1](*args[5].unpack()), callback,
            )  # fmt: skip
        self.connection.connect("closed", self._on_closed)

    def _on_shutting_down(self, _reason, _details):
        with self._changed:
            self._shutting_down = True
            self._changed.notify_all()

    def _on_name_owner(self, _name, _old, new):
        with self._changed:
            self._gone = new == ""
            if new:
                self._shutting_down = False
            self._changed.notify_all()

    def _on_closed(self, _connection, _vanished, _error):
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def lost(self, message):
        if self._ssh:
            message = self._ssh.reason(message)
        return ConnectionLost(f"the connection to {self._where} is lost: {message}")

    def is_closed(self):
        return self._closed or self.connection.is_closed()

    def settle(self):
        """Return when all signals that arrived before the last reply were handled."""
        seen = threading.Event()
        source = GLib.idle_source_new()
        source.set_callback(lambda *_: seen.set())
        source.attach(self._context)
        while not seen.wait(0.5) and self._thread.is_alive():
            pass

    def wait_for_end(self, stopping):
        """Wait until the node has sent ShuttingDown and has exited. A restart does not count."""
        self.settle()
        with self._changed:
            self._shutting_down = self._shutting_down or stopping
            self._changed.wait_for(lambda: self._closed or (self._shutting_down and self._gone))
            if self._closed and not self._gone:
                raise self.lost("the bus has closed it")

    def close(self):
        if not self.connection.is_closed():
            try:
                self.connection.close_sync(None)
            except GLib.Error:
                pass  # it was closed already
        self._stopped = True
        self._context.wakeup()
        self._thread.join()
        if self._ssh:
            self._ssh.close()


class ArchitectNode:
    """The node of one machine.

    The original's constructor was the node itself. The node is a service now, and this class calls
    it. If the service does not run, a call starts it (the instance main only, while it is enabled).

    instance_name       the node of the machine; the bus name is org.architect.Node.INSTANCE,
                        for main without the last part
    pyro_name           has no meaning without Pyro; it is accepted and logged
    logger              receives the messages of log_to_sve(); defaults to "architectnode"
    monitor_timeout     in seconds, applied at once; 0 turns the monitor off; None keeps the
                        configuration of the node (30 s)
    max_threadpool_size is accepted and logged as not applied; it is MaxConcurrentStarts= in
                        architect-node.conf(5) now

    The original does not have:

    host            selects the node of another machine, as [USER@]HOST or a name known to ssh
    ssh             the command before that, for example ("ssh", "-p", "2222")
    address         a D-Bus address instead of the system bus, for example of a forwarded socket
    user_bus        the user's bus instead of the system bus, for a node of "architect-node --user"
    start_options   options of Start for every start(), for example {"user": "desi"}
    """

    def __init__(
        self,
        instance_name="main",
        pyro_name=None,
        logger=None,
        monitor_timeout=None,
        max_threadpool_size=None,
        *,
        host=None,
        ssh=("ssh",),
        address=None,
        user_bus=False,
        start_options=None,
    ):
        self.instance_name = instance_name or "main"
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", self.instance_name):
            raise ValueError(
                f"{instance_name!r} is not a valid instance name, it must be a letter or '_', then up"
                " to 31 of A-Za-z0-9_"
            )
        if host and address:
            raise ValueError("host and address cannot be used together")
        timeout_usec = None if monitor_timeout is None else _timeout_usec(monitor_timeout)
        self.bus_name = NAME if self.instance_name == "main" else f"{NAME}.{self.instance_name}"
        self.logger = logger if logger is not None else logging.getLogger("architectnode")
        self._options = {
            key: self._option(key, value) for key, value in (start_options or {}).items()
        }
        self._local = not host and not address
        self._where = (
            f"the bus of {host}" if host else f"the bus at {address}" if address else "the bus"
        )
        if host:
            command = [*ssh, "-xT", *SSH_OPTIONS, "--", host, "systemd-stdio-bridge"]
            command += ["--user"] if user_bus else []
            self._connect_how = lambda: _connect_ssh(command)
        else:
            bus_type = Gio.BusType.SESSION if user_bus else Gio.BusType.SYSTEM
            self._connect_how = lambda: _connect_address(
                address or Gio.dbus_address_get_for_bus_sync(bus_type, None)
            )
        self._link = None
        self._lock = threading.Lock()
        try:
            self._property("Version")
            if pyro_name is not None:
                self.logger.info(
                    "pyro_name %r has no meaning here: the node is %s on the bus",
                    pyro_name,
                    self.bus_name,
                )
            if max_threadpool_size is not None:
                self.logger.warning(
                    "max_threadpool_size=%s is not applied: it is MaxConcurrentStarts= in"
                    " architect-node.conf(5)",
                    max_threadpool_size,
                )
            if timeout_usec is not None:
                self._call("SetMonitorTimeout", "(t)", timeout_usec)
        except BaseException:
            self.close()
            raise

    # -- the connection ---------------------------------------------------------------------------

    def _get_link(self):
        with self._lock:
            if self._link and self._link.is_closed():
                self._link.close()
                self._link = None
            if not self._link:
                self._link = _Link(self.bus_name, self._where, self._connect_how, self._log)
            return self._link

    def _call(self, method, signature=None, *args, interface=INTERFACE, start=True):
        link = self._get_link()
        flags = Gio.DBusCallFlags.NONE if start else Gio.DBusCallFlags.NO_AUTO_START
        parameters = GLib.Variant(signature, args) if signature else None
        try:
            reply = link.connection.call_sync(
                self.bus_name, PATH, interface, method, parameters, None, flags, NO_TIMEOUT, None
            ).unpack()
        except GLib.Error as error:
            name = Gio.dbus_error_get_remote_error(error)
            if not name:
                raise link.lost(error.message) from None
            message = error.message.removeprefix(f"GDBus.Error:{name}: ")
            kind = _errors.get(name, ArchitectNodeError)
            if kind is ServiceUnknown:
                message = f"there is no {self.bus_name} on {self._where}: {message}"
            raise kind(message, name) from None
        return reply[0] if len(reply) == 1 else reply or None

    def _property(self, name, start=True):
        return self._call(
            "Get",
            "(ss)",
            INTERFACE,
            name,
            interface="org.freedesktop.DBus.Properties",
            start=start,
        )

    def close(self):
        """Close the connection; the next call opens another one. The roles are not affected."""
        with self._lock:
            if self._link:
                self._link.close()
                self._link = None

    _pyroRelease = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the node ---------------------------------------------------------------------------------

    def handle_pipes(self, signum=None, frame=None):
        """Do what the function of this module does, for the process of the caller.

        The service survives the loss of its standard output by itself.
        """
        handle_pipes(signum, frame)

    def beat(self):
        """Report that the manager is alive. The first beat arms the monitor."""
        self._call("Beat")

    def pyro_run_loop(self):
        """Return when the node has shut down, as the original's loop did.

        A restart of the service does not count. Raises ConnectionLost if the end of the node cannot
        be observed any more.
        """
        link = self._get_link()
        try:
            state = self._property("State", start=False)
        except (ServiceUnknown, NoReply):
            return  # the node exited before the call or during it
        link.wait_for_end(state == "stopping")

    def get_env(self, var):
        """Return a variable of the environment that all roles begin with, None if it is not set."""
        try:
            return self._call("GetEnv", "(s)", var)
        except NoSuchVariable:
            return None

    def set_env(self, var, value):
        """Set a variable for roles that are started from now on."""
        self._call("SetEnv", "(ss)", var, _variables({var: value})[var])

    def get_pgrp(self):
        """Return the process group of the service."""
        return self._call("GetPgrp")

    def set_log_level(self, level):
        """Set the level, one of Python's logging, by name ("DEBUG") or number (logging.ERROR)."""
        self._call("SetLogLevel", "(s)", _log_level(level))

    def log_to_sve(self):
        """From now on pass the service's log messages to the constructor's logger.

        A thread of this module passes them. A record has the service's time, and the journal fields
        as the dictionary record.architect_fields.
        """
        self._call("SetLogToSve", "(b)", True)

    def _log(self, realtime_usec, priority, message, fields):
        level = _PRIORITIES[priority] if 0 <= priority < len(_PRIORITIES) else logging.INFO
        if not self.logger.isEnabledFor(level):
            return
        if fields.get("ARCHITECT_DROPPED", "0") != "0":
            message += f" ({fields['ARCHITECT_DROPPED']} messages before this one were not sent)"
        record = self.logger.makeRecord(
            self.logger.name,
            level,
            "(architect-node)",
            0,
            message,
            (),
            None,
            extra={"architect_fields": fields},
        )
        record.created = realtime_usec / 1000000
        record.msecs = realtime_usec // 1000 % 1000
        self.logger.handle(record)

    def shutdown(self, reason=None):
        """Stop all roles and end the service. Returns at once; pyro_run_loop() waits for it."""
        self._call("Shutdown", "(s)", "" if reason is None else str(reason))

    # -- ports ------------------------------------------------------------------------------------

    # The service refuses a call for no port; in the original it had no effect.
    def _bind(self, method, num_ports, as_string):
        numbers, string = self._call(method, "(u)", num_ports) if num_ports else ([], "")
        return string if as_string else numbers

    def _release(self, method, ports):
        numbers = _ports(ports)
        if numbers:
            self._call(method, "(aq)", numbers)

    def bind_tcp(self, num_ports=1, as_string=True):
        """Reserve TCP ports on the node's machine. Returns a string, or a list of numbers."""
        return self._bind("BindTCP", num_ports, as_string)

    def bind_udp(self, num_ports=1, as_string=True):
        """Do the same as bind_tcp(), for UDP."""
        return self._bind("BindUDP", num_ports, as_string)

    def release_tcp(self, ports):
        """Free ports of bind_tcp(), given as its string, a list of numbers, or a number."""
        self._release("ReleaseTCP", ports)

    def release_udp(self, ports):
        """Do the same as release_tcp(), for UDP."""
        self._release("ReleaseUDP", ports)

    # -- roles ------------------------------------------------------------------------------------

    @staticmethod
    def _option(key, value):
        if key not in OPTION_TYPES:
            raise ValueError(
                f"{key!r} is not an option of Start; the options are {', '.join(OPTION_TYPES)}"
            )
        return value if isinstance(value, GLib.Variant) else GLib.Variant(OPTION_TYPES[key], value)

    # The names and defaults of the arguments are the original's. The lists are never modified.
    def start(
        self,
        role,
        command_as_list=None,
        product=None,
        version=None,
        setup_args=None,
        env_vars=None,
        xterm=False,
        xterm_args=[],
        eups_list=None,
        *,
        command=None,
    ):
        """Start a command as a role. Return when it runs, or raise the error that prevented it.

        command is another name of command_as_list. An empty list stands for the command and the
        options of the role's definition, of which each one that is given here replaces its own.
        setup_args is a list, or a string that is split as a shell would split it.
        eups_list contains further products, as pairs of name and version, or as strings "name" or
        "name version". Without a version it is the current one.
        xterm_args are used with xterm only. A window of the node of this machine opens on the
        caller's DISPLAY, unless env_vars or the node's environment contain one.
        """
        command = _one_of("start()", "command_as_list", command_as_list, "command", command)
        options = dict(self._options)
        env = _variables(env_vars or {})
        if xterm:
            options["xterm"] = self._option("xterm", True)
            if xterm_args:
                options["xterm-args"] = self._option(
                    "xterm-args", _strings("xterm_args", xterm_args)
                )
            if self._local and "DISPLAY" not in env and self.get_env("DISPLAY") is None:
                env.update(
                    (name, os.environ[name])
                    for name in ("DISPLAY", "XAUTHORITY")
                    if name in os.environ
                )
        if env:
            options["env"] = self._option(
                "env", {**(options["env"].unpack() if "env" in options else {}), **env}
            )
        if product:
            options["product"] = self._option("product", product)
        if version:
            options["version"] = self._option("version", version)
        if setup_args:
            words = (
                shlex.split(setup_args)
                if isinstance(setup_args, str)
                else _strings("setup_args", setup_args)
            )
            options["setup-args"] = self._option("setup-args", words)
        if eups_list:
            options["eups-list"] = self._option("eups-list", _products(eups_list))
        self._call("Start", "(sasa{sv})", role, _strings("command_as_list", command), options)

    def send_input(self, command=None, event=None, *, role=None, input=None):
        """Write a line to a role. COMMAND is "ROLE text", split once at the first white space.

        The two may also be given as role="ROLE", input="text".
        """
        command = _one_of("send_input()", "command", command, "role", role)
        role, text = (command.split(None, 1) + ["", ""])[:2]
        if not role:
            raise ValueError("send_input() needs the name of a role, followed by its input")
        if input is not None and text:
            raise TypeError(f"send_input() got an input beside that of {command!r}")
        self._call("SendInput", "(ss)", role, text if input is None else input)
        _done(event)

    def poll(self, role_list=None):
        """Return {role: "running" or "exit N"}, for all roles if none is named.

        A negative N is the signal that killed it; "exit unknown" means that the status was lost. A
        role that does not exist raises NoSuchRole, which is a KeyError.
        """
        if role_list is None:
            return dict(sorted(self._call("Poll", "(as)", []).items()))
        roles = [role_list] if isinstance(role_list, str) else _strings("role_list", role_list)
        # The node returns all roles for an empty list.
        return dict(sorted(self._call("Poll", "(as)", roles).items())) if roles else {}

    def stop(self, role, event=None):
        """Send SIGTERM to the main process of the role; poll() then returns its state.

        When that process ends, the node stops the processes that it left. If the role has ended
        already, nothing happens.
        """
        try:
            self._call("Signal", "(ssi)", role, "main", signal.SIGTERM)
        except RoleNotRunning:
            if self.poll([role])[role] == "running":
                raise  # the role is being started, and would run on
        _done(event)

    def kill(self, role):
        """Send SIGKILL to all processes of the role, and return when they are gone."""
        self._call("Kill", "(s)", role)

    def purge(self, role=None):
        """Forget a role that has ended, or all of them if role is None. Return the names.

        Nothing happens to a role that runs.
        """
        if role is None:
            return self._call("Purge", "(as)", [])
        purged = []
        for name in [role] if isinstance(role, str) else _strings("role", role):
            try:
                purged += self._call("Purge", "(as)", [name])
            except RoleRunning:
                pass
        return purged

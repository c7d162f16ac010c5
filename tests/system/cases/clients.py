#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox: unified
"""Five D-Bus stacks that share no code with sd-bus start a role, read it, get its end, and stop it.

GDBus (by python3-gi and by dasbus), libdbus (by Perl), dbus-fast and jeepney, which have the protocol
themselves. Each program gets the name of the role and prints what it has seen.
"""

import json
import re

from systemcase import Case, main, path_of, run

GIO = """
import json, sys
from gi.repository import Gio, GLib

name, path, role = "org.architect.Node", "/org/architect/Node", sys.argv[1]
flags = Gio.DBusProxyFlags.NONE
node = Gio.DBusProxy.new_for_bus_sync(Gio.BusType.SYSTEM, flags, None, name, path, name, None)
loop, told = GLib.MainLoop(), {}

def on_signal(proxy, sender, signal, parameters):
    if signal == "RoleExited" and parameters.unpack()[0] == role:
        told["exited"] = parameters.unpack()
        loop.quit()

node.connect("g-signal", on_signal)
options = {
    "user": GLib.Variant("s", "nobody"),
    "env": GLib.Variant("a{ss}", {"CCD": "2"}),
    "stop-timeout-usec": GLib.Variant("t", 3000000),
}
try:
    node.Start("(sasa{sv})", role, ["/there/is/nothing"], options)
except GLib.Error as error:
    told["error"] = [Gio.DBusError.get_remote_error(error), error.message]
told["path"] = node.Start("(sasa{sv})", role, ["sleep", "infinity"], options)
of_role = Gio.DBusProxy.new_for_bus_sync(
    Gio.BusType.SYSTEM, flags, None, name, told["path"], name + ".Role", None)
told["properties"] = {key: of_role.get_cached_property(key).unpack()
                      for key in ("State", "User", "MainPID", "Command", "StopTimeoutUSec")}
node.Stop("(s)", role)
loop.run()
print(json.dumps(told))
"""

DASBUS = """
import json, sys
from dasbus.connection import SystemMessageBus
from dasbus.error import DBusError
from dasbus.loop import EventLoop
from dasbus.typing import Dict, Str, UInt64, get_native, get_variant

bus, role = SystemMessageBus(), sys.argv[1]
node = bus.get_proxy("org.architect.Node", "/org/architect/Node")
loop, told = EventLoop(), {}

def on_exited(name, path, code, status, details):
    if name == role:
        told["exited"] = [name, path, code, status, get_native(details)]
        loop.quit()

node.RoleExited.connect(on_exited)
options = {
    "user": get_variant(Str, "nobody"),
    "env": get_variant(Dict[Str, Str], {"CCD": "2"}),
    "stop-timeout-usec": get_variant(UInt64, 3000000),
}
try:
    node.Start(role, ["/there/is/nothing"], options)
except DBusError as error:
    told["error"] = [error.dbus_name, str(error)]
told["path"] = node.Start(role, ["sleep", "infinity"], options)
of_role = bus.get_proxy("org.architect.Node", told["path"])
told["properties"] = {key: getattr(of_role, key)
                      for key in ("State", "User", "MainPID", "Command", "StopTimeoutUSec")}
node.Stop(role)
loop.run()
print(json.dumps(told))
"""

DBUS_FAST = """
import asyncio, json, sys
from dbus_fast import BusType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    name, path, role = "org.architect.Node", "/org/architect/Node", sys.argv[1]
    node = bus.get_proxy_object(name, path, await bus.introspect(name, path)).get_interface(name)
    ended, told = asyncio.Event(), {}

    def on_exited(exited, path, code, status, details):
        if exited == role:
            details = {key: value.value for key, value in details.items()}
            told["exited"] = [exited, path, code, status, details]
            ended.set()

    node.on_role_exited(on_exited)
    options = {
        "user": Variant("s", "nobody"),
        "env": Variant("a{ss}", {"CCD": "2"}),
        "stop-timeout-usec": Variant("t", 3000000),
    }
    try:
        await node.call_start(role, ["/there/is/nothing"], options)
    except DBusError as error:
        told["error"] = [error.type, error.text]
    told["path"] = path = await node.call_start(role, ["sleep", "infinity"], options)
    of_role = bus.get_proxy_object(name, path, await bus.introspect(name, path))
    properties = of_role.get_interface("org.freedesktop.DBus.Properties")
    everything = await properties.call_get_all(name + ".Role")
    told["properties"] = {key: everything[key].value
                          for key in ("State", "User", "MainPID", "Command", "StopTimeoutUSec")}
    await node.call_stop(role)
    await ended.wait()
    print(json.dumps(told))

asyncio.run(main())
"""

JEEPNEY = """
import json, sys
from jeepney import DBusAddress, MatchRule, Properties, message_bus, new_method_call
from jeepney.io.blocking import Proxy, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

name, path, role = "org.architect.Node", "/org/architect/Node", sys.argv[1]
node, bus, told = DBusAddress(path, name, name), open_dbus_connection(bus="SYSTEM"), {}
rule = MatchRule(type="signal", interface=name, member="RoleExited", path=path)
Proxy(message_bus, bus).AddMatch(rule)

def call(message):
    return unwrap_msg(bus.send_and_get_reply(message))

def start(command):
    options = {
        "user": ("s", "nobody"),
        "env": ("a{ss}", {"CCD": "2"}),
        "stop-timeout-usec": ("t", 3000000),
    }
    return call(new_method_call(node, "Start", "sasa{sv}", (role, command, options)))[0]

with bus.filter(rule) as signals:
    try:
        start(["/there/is/nothing"])
    except DBusErrorResponse as error:
        told["error"] = [error.name, error.data[0]]
    told["path"] = start(["sleep", "infinity"])
    everything = call(Properties(DBusAddress(told["path"], name, name + ".Role")).get_all())[0]
    told["properties"] = {key: everything[key][1]
                          for key in ("State", "User", "MainPID", "Command", "StopTimeoutUSec")}
    call(new_method_call(node, "Stop", "s", (role,)))
    while "exited" not in told:
        signal = bus.recv_until_filtered(signals, timeout=30).body
        if signal[0] == role:
            details = {key: value[1] for key, value in signal[4].items()}
            told["exited"] = [*signal[:4], details]
print(json.dumps(told))
"""

PERL = """
use strict;
use JSON::PP;
use Net::DBus;
use Net::DBus::Reactor;

my ($role) = @ARGV;
my $service = Net::DBus->system->get_service("org.architect.Node");
my $node = $service->get_object("/org/architect/Node", "org.architect.Node");
my ($reactor, %told) = (Net::DBus::Reactor->main);
$node->connect_to_signal("RoleExited", sub {
    my ($name, $path, $code, $status, $details) = @_;
    return if $name ne $role;
    $told{exited} = [$name, $path, $code, $status + 0, $details];
    $reactor->shutdown;
});
my $options = { user => "nobody", env => { CCD => "2" }, "stop-timeout-usec" => 3000000 };
eval { $node->Start($role, ["/there/is/nothing"], $options) };
$told{error} = [$@->name, $@->message];
$told{path} = $node->Start($role, ["sleep", "infinity"], $options);
my $of_role = $service->get_object($told{path}, "org.freedesktop.DBus.Properties");
my $all = $of_role->GetAll("org.architect.Node.Role");
$told{properties} = { map { $_ => $all->{$_} } qw(State User MainPID Command StopTimeoutUSec) };
$_ += 0 for @{$told{properties}}{qw(MainPID StopTimeoutUSec)};
$node->Stop($role);
$reactor->run unless $told{exited};
print encode_json(\\%told);
"""

PROGRAMS = {
    "gio": ("/usr/bin/python3", "-B", "-c", GIO),
    "dasbus": ("/usr/bin/python3", "-B", "-c", DASBUS),
    "dbus-fast": ("/usr/bin/python3", "-B", "-c", DBUS_FAST),
    "jeepney": ("/usr/bin/python3", "-B", "-c", JEEPNEY),
    "perl": ("perl", "-w", "-e", PERL),
}


class Clients(Case):
    def check(self, stack):
        role = self.role(re.sub("-", "_", stack))
        done = run(*PROGRAMS[stack], role, timeout=120)
        self.assertEqual(done.stderr, "")
        told = json.loads(done.stdout)
        path = path_of(role)
        self.assertEqual(told["path"], path)
        self.assertIn('"/there/is/nothing": No such file', told["error"][1])
        self.assertEqual(told["error"][0], "org.architect.Node.Error.ExecFailed")
        self.assertGreater(told["properties"].pop("MainPID"), 1)
        self.assertEqual(
            told["properties"],
            {
                "State": "running",
                "User": "nobody",
                "Command": ["sleep", "infinity"],
                "StopTimeoutUSec": 3000000,
            },
        )
        *head, details = told["exited"]
        self.assertEqual(head, [role, path, "killed", 15])
        self.assertEqual(details["cause"], "stop")

    def test_gio(self):
        self.check("gio")

    def test_dasbus(self):
        self.check("dasbus")

    def test_dbus_fast(self):
        self.check("dbus-fast")

    def test_jeepney(self):
        self.check("jeepney")

    def test_perl(self):
        self.check("perl")


if __name__ == "__main__":
    main()

#!/usr/bin/gjs -m
// SPDX-License-Identifier: LGPL-2.1-or-later
// Starts a role, waits for its end and forgets it, with Gio in JavaScript (Debian's gjs).

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const [NAME, PATH] = ['org.architect.Node', '/org/architect/Node'];
const NO_SUCH_ROLE = 'org.architect.Node.Error.NoSuchRole';

const role = System.programArgs[0] ?? 'hello';
const bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, null);
const loop = new GLib.MainLoop(null, false);
let end = null;

function call(method, signature, ...args) {
    // Stop returns when nothing is left of the role, which may take longer than the default of 25 s.
    return bus.call_sync(NAME, PATH, NAME, method, new GLib.Variant(signature, args), null,
        Gio.DBusCallFlags.NONE, 60000, null);
}

function onSignal(connection, sender, path, iface, signal, args) {
    if (signal === 'RoleStarted') {
        print(`${role} started`);
    } else if (signal === 'RoleExited') {
        // The code is exited, killed, dumped or lost. Only the status of "exited" is an exit status.
        const [, , code, status] = args.deepUnpack();
        end = `${code} ${status}`;
        print(`${role} ${end}`);
        loop.quit();
    }
}

function main() {
    // First the signals, then the start, because a short command may have ended when Start returns. The
    // name of the role is the first argument of each of its signals.
    bus.signal_subscribe(NAME, NAME, null, PATH, role, Gio.DBusSignalFlags.NONE, onSignal);
    // Without the option user the role runs as root.
    const options = {user: new GLib.Variant('s', 'nobody')};
    call('Start', '(sasa{sv})', role, ['sh', '-c', 'echo hello; exit 3'], options);
    // A program that asks ListRoles instead must take an unknown state for "running".
    loop.run();
    // RoleExited reports the main process. Stop waits for those that it may have left.
    call('Stop', '(s)', role);
    call('Purge', '(as)', [role]);
    try {
        call('GetRole', '(s)', role);
    } catch (error) {
        if (!(error instanceof GLib.Error) || Gio.DBusError.get_remote_error(error) !== NO_SUCH_ROLE)
            throw error;
        print(`${role} purged`);
    }
    return end === 'exited 3' ? 0 : 1;
}

let status = 1;
try {
    status = main();
} catch (error) {
    printerr(error.message);
}
System.exit(status);

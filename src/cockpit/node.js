/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One instance of the service and its roles, as it was told them last. Its object manager has all of them in one
 * reply, and its signals what has changed since. Changes are passed on once for each picture of the browser,
 * however many there were. */

/* global cockpit */

export const PATH = "/org/architect/Node";
export const NODE = "org.architect.Node";
export const ROLE = "org.architect.Node.Role";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const MANAGER = "org.freedesktop.DBus.ObjectManager";

/* What is kept of events that nobody has taken yet, for example while the page is not shown. */
const MAX_EVENTS = 2000;

const MANY = 100;

const EVENTS = [
    "RoleStarted", "RoleExited", "RoleRestarting", "RoleFailed", "RolePurged", "MonitorTimedOut",
    "LeaseExpired", "ShuttingDown",
];
/* How many of the arguments of a signal come before its details. */
const EVENT_ARGS = {
    RoleStarted: 4, RoleExited: 4, RoleRestarting: 4, RoleFailed: 3, RolePurged: 2, MonitorTimedOut: 1,
    LeaseExpired: 2, ShuttingDown: 1,
};

function plain(values) {
    const object = {};
    for (const key in values)
        object[key] = values[key].v;
    return object;
}

export class Node {
    /* flush(changes) gets { reset, node, roles: Set of roles, removed: Set of paths, events } */
    constructor(flush) {
        this.flush = flush;
        this.client = null;
        this.generation = 0;
        this.clear();
    }

    clear() {
        this.ready = false;
        this.props = {};
        this.roles = new Map();         /* by path */
        this.byName = new Map();
        this.changes = null;
    }

    get state() {
        return !this.client ? "away" : this.props.State ?? "";
    }

    /* -- changes -- */

    note() {
        if (!this.changes) {
            this.changes = { reset: false, node: false, roles: new Set(), removed: new Set(), events: [], lost: false };
            const generation = this.generation;
            requestAnimationFrame(() => {
                if (generation !== this.generation || !this.changes)
                    return;
                const changes = this.changes;
                this.changes = null;
                this.flush(changes);
            });
        }
        return this.changes;
    }

    noteReset() {
        const changes = this.note();
        changes.reset = changes.node = true;
    }

    /* -- the connection -- */

    /* owner is the unique name, or null if there is none. */
    connect(owner) {
        this.close();
        if (owner) {
            const client = cockpit.dbus(owner, { bus: "system", superuser: "try" });
            const generation = this.generation;

            this.client = client;
            client.addEventListener("close", (event, options) => {
                if (generation !== this.generation)
                    return;
                this.problem = options?.message || options?.problem || null;
                this.close();
                this.noteReset();
            });
            client.subscribe({ path_namespace: PATH }, (path, iface, member, args) => {
                if (generation === this.generation)
                    this.onSignal(path, iface, member, args);
            });
            this.load(generation);
        }
        this.noteReset();
    }

    close() {
        const client = this.client;

        this.generation++;
        this.client = null;
        this.clear();
        client?.close();
    }

    async load(generation) {
        try {
            const [[list], [props]] = await Promise.all([
                this.call("ListRoles", "", []), this.callAt(PATH, PROPERTIES, "GetAll", "s", [NODE]),
            ]);
            if (generation !== this.generation)
                return;
            this.props = plain(props);
            /* All properties of hundreds of roles take the bridge longer than people wait for a first picture. */
            if (list.length > MANY)
                this.setList(list);
            const [objects] = await this.callAt(PATH, MANAGER, "GetManagedObjects", "", []);
            if (generation !== this.generation)
                return;
            this.setObjects(objects);
            this.problem = null;
        } catch (error) {
            if (generation !== this.generation)
                return;
            this.problem = error.message;
            this.noteReset();
        }
    }

    setList(list) {
        for (const [name, state, pid, code, status, scope, path] of list)
            this.setRole(path, {
                Name: name, State: state, MainPID: pid, ExitCode: code, ExitStatus: status, Scope: scope, partial: true,
            });
        this.ready = true;
        this.noteReset();
    }

    setObjects(objects) {
        for (const path in objects)
            if (objects[path][ROLE])
                this.setRole(path, { ...plain(objects[path][ROLE]), partial: false });
        if (this.ready) {
            const changes = this.note();
            changes.node = true;
            for (const role of this.roles.values())
                changes.roles.add(role);
        } else {
            this.ready = true;
            this.noteReset();
        }
    }

    /* -- signals -- */

    setRole(path, props) {
        const old = this.roles.get(path);
        const role = old ? Object.assign(old, props) : props;

        role.path = path;
        this.roles.set(path, role);
        this.byName.set(role.Name, role);
        return role;
    }

    onSignal(path, iface, member, args) {
        if (iface === PROPERTIES && member === "PropertiesChanged")
            this.onProperties(path, args[0], args[1], args[2]);
        else if (iface === MANAGER && member === "InterfacesAdded" && args[1][ROLE])
            this.note().roles.add(this.setRole(args[0], plain(args[1][ROLE])));
        else if (iface === MANAGER && member === "InterfacesRemoved" && args[1].includes(ROLE))
            this.onRemoved(args[0]);
        else if (iface === NODE && EVENTS.includes(member))
            this.onEvent(member, args);
    }

    onProperties(path, iface, changed, invalidated) {
        if (iface === NODE) {
            Object.assign(this.props, plain(changed));
            this.note().node = true;
        } else if (iface === ROLE && this.roles.has(path)) {
            /* A role whose first properties have not come yet has these among them. */
            const role = Object.assign(this.roles.get(path), plain(changed));
            if (this.ready)
                this.note().roles.add(role);
        }
        if (invalidated?.length && iface === ROLE)
            this.reread(path);
    }

    async reread(path) {
        const generation = this.generation;
        const [props] = await this.callAt(path, PROPERTIES, "GetAll", "s", [ROLE]).catch(() => [null]);

        if (props && generation === this.generation && this.roles.has(path))
            this.note().roles.add(this.setRole(path, plain(props)));
    }

    onRemoved(path) {
        const role = this.roles.get(path);

        if (!role)
            return;
        this.roles.delete(path);
        this.byName.delete(role.Name);
        const changes = this.note();
        changes.roles.delete(role);
        changes.removed.add(path);
    }

    onEvent(name, args) {
        const n = EVENT_ARGS[name];
        const details = args[n] ?? {};
        const changes = this.note();

        changes.events.push({
            seq: details.seq?.v ?? 0,
            epoch: details.epoch?.v ?? "",
            usec: details["exit-realtime-usec"]?.v ?? details["realtime-usec"]?.v ?? Date.now() * 1000 + this.skew,
            name,
            role: name.startsWith("Role") ? args[0] : "",
            details,
        });
        if (changes.events.length > MAX_EVENTS) {
            changes.events.splice(0, changes.events.length - MAX_EVENTS);
            changes.lost = true;
        }
    }

    /* -- calls -- */

    callAt(path, iface, method, type, args) {
        if (!this.client)
            return Promise.reject(new Error("The service does not run."));
        return this.client.call(path, iface, method, args, { type });
    }

    call(method, type, args) {
        return this.callAt(PATH, NODE, method, type, args);
    }

    async get(name) {
        const [value] = await this.callAt(PATH, PROPERTIES, "Get", "ss", [NODE, name]);
        this.props[name] = value.v;
        return value.v;
    }

    /* The clock of the host, which need not be that of the browser. */
    skew = 0;

    now() {
        return Date.now() * 1000 + this.skew;
    }
}

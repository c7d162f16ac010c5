/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which services there are on the system bus, and who the user is there. To look at a service must not start
 * it, and every channel that cockpit opens for a name starts its owner. So the owner is asked of the bus, and a
 * channel is opened for its unique name, which nothing can start. */

/* global cockpit */

const PREFIX = "org.architect.Node";
export const MAIN = "main";

export function busName(instance) {
    return instance === MAIN ? PREFIX : `${PREFIX}.${instance}`;
}

/* The command line of architectctl for that instance. */
export function architectctl(instance, ...words) {
    return ["architectctl", ...(instance === MAIN ? [] : [`--instance=${instance}`]), ...words];
}

function instanceOf(name) {
    if (name === PREFIX)
        return MAIN;
    return name.startsWith(`${PREFIX}.`) ? name.slice(PREFIX.length + 1) : null;
}

/* Calls changed() after every change of owners, which maps instances to unique names. */
export class Instances {
    constructor(changed) {
        this.owners = new Map();
        this.known = false;
        this.changed = changed;
        this.open();
    }

    open() {
        const bus = cockpit.dbus("org.freedesktop.DBus", { bus: "system" });

        bus.addEventListener("close", (event, options) => {
            this.owners.clear();
            this.known = true;
            this.changed(options?.message || options?.problem || "disconnected");
        });
        bus.subscribe({ path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus", member: "NameOwnerChanged" },
            (path, iface, member, args) => this.setOwner(args[0], args[2]));
        this.bus = bus;
        this.call("ListNames", "", []).then(([names]) => {
            const found = names.filter(name => instanceOf(name) !== null);
            return Promise.all(found.map(name => this.call("GetNameOwner", "s", [name])
                .then(([owner]) => this.owners.set(instanceOf(name), owner), () => {})));
        }).then(() => {
            this.known = true;
            this.changed();
        }, error => {
            this.known = true;
            this.changed(error.message);
        });
    }

    call(method, type, args) {
        return this.bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus", method, args, { type });
    }

    setOwner(name, owner) {
        const instance = instanceOf(name);

        if (instance === null)
            return;
        if (owner)
            this.owners.set(instance, owner);
        else
            this.owners.delete(instance);
        if (this.known)
            this.changed();
    }
}

/* Cockpit's administrative access. Its bridge says on a bus of its own whether there is one, and asks for the
 * password, if need be. */
export class Superuser {
    constructor(changed) {
        this.current = null;
        this.methods = [];
        const proxy = cockpit.dbus(null, { bus: "internal" }).proxy("cockpit.Superuser", "/superuser");
        const update = () => {
            const current = proxy.Current ?? "none";
            this.methods = Object.keys(proxy.Methods ?? {});
            if (!this.methods.length)
                this.methods = proxy.Bridges ?? [];
            if (current === this.current || current === "init")
                return;
            this.current = current;
            changed();
        };
        this.proxy = proxy;
        proxy.addEventListener("changed", update);
        proxy.wait(update);
    }

    /* Whether anything is known yet. */
    get known() {
        return this.current !== null;
    }

    get active() {
        return this.known && this.current !== "none";
    }

    get available() {
        return this.known && !this.active && this.methods.length > 0;
    }

    /* Calls ask(message, prompt, echo, error), which returns the promise of an answer, or null to give up. */
    async start(ask) {
        const proxy = this.proxy;
        let given = false;
        const prompt = async (event, message, text, value, echo, error) => {
            const answer = await ask(message, text, echo, error);
            if (answer === null) {
                given = true;
                await proxy.Stop();
            } else {
                await proxy.Answer(answer);
            }
        };

        proxy.addEventListener("Prompt", prompt);
        try {
            await proxy.Start(this.methods.includes("sudo") ? "sudo" : this.methods[0]);
            return true;
        } catch (error) {
            if (given)
                return false;
            throw error;
        } finally {
            proxy.removeEventListener("Prompt", prompt);
        }
    }
}

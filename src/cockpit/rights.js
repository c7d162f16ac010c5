/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the user may do, as GetPermissions says it: yes, auth (with a password) or no. The service asks polkit for
 * each role, so only those are asked for that somebody sees, a few at a time, and the answers are kept until the
 * user gets or loses administrative access. */

const ACTION = "org.architect.node.";
const AT_A_TIME = 4;
const ORDER = { no: 0, auth: 1, yes: 2 };

function better(a, b) {
    return ORDER[a] > ORDER[b] ? a : b;
}

export class Rights {
    constructor(node, changed) {
        this.node = node;
        this.changed = changed;
        this.clear();
    }

    clear() {
        this.generation = (this.generation ?? 0) + 1;
        this.roles = new Map();
        this.general = null;
        this.queue = new Map();
        this.asking = 0;
    }

    /* Of start-defined-role, start-role, start-role-as, monitor, shutdown and others. Resolves to whether they are
     * those of this connection still. */
    async loadGeneral() {
        const generation = this.generation;
        const [permissions] = await this.node.call("GetPermissions", "sa{sv}", ["", {}]);

        if (generation !== this.generation)
            return false;
        this.general = permissions;
        this.changed(null);
        return true;
    }

    may(action) {
        return this.general?.[ACTION + action] ?? null;
    }

    /* yes, auth or no; null until it is known, and changed(role) follows. */
    manage(role) {
        if (role.partial)
            return null;
        /* Whose a role is decides about it, and another run may be somebody else's. */
        const key = `${role.Name} ${role.Owner}`;
        const known = this.roles.get(key);

        if (known === undefined && !this.queue.has(key)) {
            this.queue.set(key, role);
            this.next();
        }
        return known ?? null;
    }

    next() {
        for (const [key, role] of this.queue) {
            if (this.asking >= AT_A_TIME)
                return;
            if (role.asked === this.generation)
                continue;
            role.asked = this.generation;
            this.ask(key, role);
        }
    }

    async ask(key, role) {
        const generation = this.generation;
        let answer = "no";

        this.asking++;
        try {
            const [p] = await this.node.call("GetPermissions", "sa{sv}", [role.Name, {}]);
            answer = better(p[`${ACTION}manage-own`] ?? "no", p[`${ACTION}manage-roles`] ?? "no");
        } catch (error) {
            /* It has been purged meanwhile, or there is no connection any more. */
        }
        if (generation !== this.generation)
            return;
        this.asking--;
        this.queue.delete(key);
        this.roles.set(key, answer);
        role.asked = 0;
        this.changed(role);
        this.next();
    }
}

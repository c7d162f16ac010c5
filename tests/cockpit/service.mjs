// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The service as its other clients see it: what a test sets up and verifies behind the page's back.

import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";

const execute = promisify(execFile);

export async function run(program, ...args) {
    const { stdout } = await execute(program, args, { maxBuffer: 64 << 20, timeout: 60_000 });
    return stdout.trim();
}

export const ctl = (...args) => run("architectctl", ...args);
export const systemctl = (...args) => run("systemctl", ...args);

// {"camera": "running", ...}
export async function poll() {
    return JSON.parse(await run("busctl", "--json=short", "call", "org.architect.Node", "/org/architect/Node",
        "org.architect.Node", "Poll", "as", "0")).data[0];
}

// For what no event reports.
export async function until(condition, everyMs = 20) {
    for (const end = performance.now() + 30_000; !await condition(); await setTimeout(everyMs)) {
        if (performance.now() > end)
            throw new Error(`it did not become true: ${condition}`);
    }
}

const ROLES = "/etc/architect-node/main.roles.d";

// define({camera: ["Command=sleep infinity"], ...}) writes role files and has them read. One may be refused.
export async function define(roles) {
    mkdirSync(ROLES, { recursive: true });
    for (const [name, lines] of Object.entries(roles))
        writeFileSync(`${ROLES}/${name}.role`, ["[Role]", ...lines, ""].join("\n"));
    defined = null;
    await ctl("reload").catch(() => {});
}

let defined = null;

// The service runs, with these definitions only and without a role.
export async function defineOnly(roles) {
    await systemctl("start", "architect-node.service");
    if (defined !== roles) {
        rmSync(ROLES, { recursive: true, force: true });
        await define(roles);
        defined = roles;
    }
    await clear();
}

// No role.
export async function clear() {
    if (Object.keys(await poll()).length === 0)
        return;
    await ctl("kill", "--all");
    await ctl("purge", "--all");
}

// 500 roles that run, and some that end and start again, with three events each time: together 20 a second.
export const MANY = 500;
export const TICKS = Array.from({ length: 4 }, (_, i) => `tick-${i}`);

export function many() {
    const roles = {};
    for (let i = 0; i < MANY; i++)
        roles[`role-${String(i).padStart(3, "0")}`] = ["Command=sleep infinity", "RoleGroups=many"];
    for (const name of TICKS)
        roles[name] = ["Command=true", "Restart=always", "RestartSec=600ms", "StartLimitIntervalSec=0",
            "RoleGroups=ticks"];
    return roles;
}

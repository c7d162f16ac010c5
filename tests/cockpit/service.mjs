// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The service as its other clients see it: what a test sets up and verifies behind the page's back.

import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";

const execute = promisify(execFile);

export async function run(program, ...args) {
    const { stdout } = await execute(program, args, { maxBuffer: 64 << 20 });
    return stdout.trim();
}

export const ctl = (...args) => run("architectctl", ...args);
export const systemctl = (...args) => run("systemctl", ...args);

// {"camera": "running", ...}
export async function poll() {
    return JSON.parse(await run("busctl", "--json=short", "call", "org.architect.Node", "/org/architect/Node",
        "org.architect.Node", "Poll", "as", "0")).data[0];
}

const ROLES = "/etc/architect-node/main.roles.d";

// define({camera: ["Command=sleep infinity"], ...}) writes role files and has them read.
export async function define(roles) {
    mkdirSync(ROLES, { recursive: true });
    for (const [name, lines] of Object.entries(roles))
        writeFileSync(`${ROLES}/${name}.role`, ["[Role]", ...lines, ""].join("\n"));
    await ctl("reload");
}

// No role, and no role file.
export async function clear() {
    mkdirSync(ROLES, { recursive: true });
    for (const file of readdirSync(ROLES))
        rmSync(`${ROLES}/${file}`);
    await systemctl("start", "architect-node.service");
    await ctl("kill", "--all").catch(() => {});
    await ctl("purge", "--all").catch(() => {});
    await ctl("reload");
}

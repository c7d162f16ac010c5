// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Every button, by a user with administrative access.

import assert from "node:assert/strict";

import { button, cell, confirm, details, dialog, gone, row, shows, testsWith } from "./browser.mjs";
import { ctl, define, poll, run } from "./service.mjs";

const pageTest = testsWith({
    camera: ["Command=sleep infinity", "User=nobody", "Description=The camera", "RoleGroups=night"],
    guider: ["Command=sleep infinity"],
    managed: ["Command=sleep infinity", "ManagedBy=pacemaker:dome"],
    wrong: ["Command=true"],
    refused: ["Command=sleep infinity", "NoSuchKey=1"],
});

const state = (page, role) => cell(page, role, "state");
const alerts = page => page.locator("#alerts [role=alert]");

pageTest("start and stop in the list", "admin", async page => {
    await ctl("start", "camera");
    await ctl("stop", "camera");
    await button(row(page, "camera"), "start").click();
    await shows(state(page, "camera"), "running");
    await button(row(page, "camera"), "stop").click();
    await shows(dialog(page, "stop"), /Stop camera\?.*SIGTERM.*SIGKILL after/);
    await dialog(page, "stop").locator("[data-cancel]").click();
    await gone(dialog(page, "stop"));
    assert.deepEqual(await poll(), { camera: "running" });
    await button(row(page, "camera"), "stop").click();
    await confirm(page, "stop");
    await shows(state(page, "camera"), "ended");
    assert.deepEqual(await poll(), { camera: "exit -15" });
});

const MISSING = /cannot execute "\/opt\/no\/such": No such file or directory/;

pageTest("a start that fails says why, as the service does", "admin", async page => {
    await ctl("start", "wrong");
    await shows(cell(page, "wrong", "exit"), /exit 0/);
    await define({ wrong: ["Command=/opt/no/such"] });
    await button(row(page, "wrong"), "start").click();
    await shows(alerts(page), MISSING);
    // The earlier run is still what the list shows, and the message goes when it is closed.
    await shows(cell(page, "wrong", "exit"), /exit 0/);
    await alerts(page).getByRole("button", { name: "Close this message" }).click();
    await gone(alerts(page));
});

// Without a definition there is nothing to start but the command, which is offered.
pageTest("a command that has ended is started again", "admin", async page => {
    await ctl("start", "once", "sleep", "0");
    await shows(cell(page, "once", "exit"), /exit 0/);
    await button(row(page, "once"), "start").click();
    const command = dialog(page, "start-command").locator("[name=command]");
    assert.equal(await command.inputValue(), "sleep 0");
    await command.fill("/opt/no/such");
    await dialog(page, "start-command").locator("[data-confirm]").click();
    await shows(dialog(page, "start-command").getByRole("alert"), MISSING);
    await command.fill("sleep infinity");
    await confirm(page, "start-command");
    await shows(state(page, "once"), "running");
});

// What is still alive is named until nobody is, and the dialog does not hold anybody up.
pageTest("a stop shows who is still alive", "admin", async page => {
    await ctl("start", "stubborn", "-p", "TimeoutStopSec=1h", "sh", "-c", "trap '' TERM; exec sleep infinity");
    await button(row(page, "stubborn"), "stop").click();
    await shows(dialog(page, "stop"), /SIGKILL after 1h/);
    await dialog(page, "stop").locator("[data-confirm]").click();
    const pid = await cell(page, "stubborn", "pid").textContent();
    await shows(dialog(page, "stop").locator("[data-alive]"), `Still alive: ${pid} sleep`);
    await shows(state(page, "stubborn"), "stopping");
    await dialog(page, "stop").locator("[data-cancel]").click();
    await gone(dialog(page, "stop"));

    const panel = await details(page, "stubborn");
    await button(panel, "kill").click();
    await confirm(page, "kill");
    await shows(panel.locator("[data-field=exit]"), "SIGKILL, cause kill");
    assert.equal(await alerts(page).count(), 0);
});

pageTest("freeze, thaw, restart, kill and purge of one role", "admin", async page => {
    await ctl("start", "camera");
    const panel = await details(page, "camera");
    const field = name => panel.locator(`[data-field="${name}"]`);
    const pid = await field("pid").textContent();

    await button(panel, "freeze").click();
    await shows(field("state"), "running (frozen)");
    assert.equal(await button(panel, "freeze").isDisabled(), true);
    await button(panel, "thaw").click();
    await shows(field("state"), "running");

    await button(panel, "restart").click();
    await confirm(page, "restart");
    await shows(field("pid"), new RegExp(`^(?!${pid}$)\\d+$`));
    await shows(field("state"), "running");

    await button(panel, "kill").click();
    await confirm(page, "kill");
    await shows(field("exit"), "SIGKILL, cause kill");
    for (const action of ["stop", "kill", "freeze", "thaw"])
        assert.equal(await button(panel, action).isDisabled(), true, action);

    await button(panel, "start").click();
    await shows(field("state"), "running");
    await button(panel, "stop").click();
    await confirm(page, "stop");
    await button(panel, "purge").click();
    await confirm(page, "purge");
    await shows(panel, /no role "camera" now/);
    assert.deepEqual(await poll(), {});
});

pageTest("what a role is, in its details", "admin", async page => {
    await ctl("start", "camera");
    const panel = await details(page, "camera");
    const expected = {
        state: "running", user: "nobody", command: "sleep infinity", groups: "night",
            unit: "architect-main-camera.scope",
        definition: /camera\.role$/, ready: "yes", since: /; \d+s ago$/,
    };
    for (const [name, text] of Object.entries(expected))
        await shows(panel.locator(`[data-field="${name}"]`), text);
    assert.match(page.url(), /#\/role\/camera$/);
    await panel.getByRole("link", { name: /All roles/ }).click();
    await row(page, "camera").waitFor();
});

pageTest("a definition is started from the list of definitions", "admin", async page => {
    await ctl("start", "guider");
    await shows(state(page, "guider"), "running");
    await define({ wrong: ["Command=/opt/no/such"] });
    await button(page, "start-definition").click();
    await dialog(page, "start-definition").waitFor();
    const options = await dialog(page, "start-definition").locator("option").evaluateAll(list => list.map(o =>
        `${o.textContent}${o.disabled ? " -" : ""}`));
    assert.deepEqual(options, ["camera", "guider (running) -", "managed", "refused (refused) -", "wrong"]);
    await shows(dialog(page, "start-definition"), /The camera.*camera\.role.*groups: night/);
    await confirm(page, "start-definition");
    await shows(state(page, "camera"), "running");

    await button(page, "start-definition").click();
    await dialog(page, "start-definition").locator("select").selectOption("wrong");
    await dialog(page, "start-definition").locator("[data-confirm]").click();
    await shows(dialog(page, "start-definition").getByRole("alert"), /Role "wrong" failed to start \(exec\)/);
    await page.keyboard.press("Escape");
    await gone(dialog(page, "start-definition"));
});

pageTest("a command is started with its options", "admin", async page => {
    await button(page, "start-command").click();
    const form = dialog(page, "start-command");
    const field = name => form.locator(`[name="${name}"]`);
    const submit = form.locator("[data-confirm]");

    // What the browser itself checks is not sent.
    await submit.click();
    await field("role").and(page.locator(":invalid")).waitFor();
    await field("role").fill("sequence 7");
    await field("command").fill("sh -c 'sleep \"$1\"' sh 'in");
    await submit.click();
    await field("role").and(page.locator(":invalid")).waitFor();
    await field("role").fill("sequence-7");
    await submit.click();
    await shows(form.getByRole("alert"), /quote/);
    await field("command").fill("sh -c 'sleep \"$1\"' sh infinity");
    await field("user").fill("nosuchuser");
    await field("directory").fill("/tmp");
    await field("stdin").selectOption("null");
    await submit.click();
    await shows(form.getByRole("alert"), /nosuchuser/);
    await field("user").fill("nobody");
    await confirm(page, "start-command");

    await shows(state(page, "sequence-7"), "running");
    const role = JSON.parse(await ctl("-j", "show", "sequence-7"));
    const properties = Array.isArray(role) ? role[0] : role;
    for (const [name, value] of Object.entries({ Command: ["sh", "-c", 'sleep "$1"', "sh", "infinity"],
        User: "nobody", WorkingDirectory: "/tmp", Stdin: "null" }))
        assert.deepEqual(properties[name] ?? properties["sequence-7"]?.[name], value, name);
});

// Whoever manages a role decides about it, and would be surprised.
pageTest("what somebody else manages needs a tick", "admin", async page => {
    await ctl("start", "managed");
    await button(row(page, "managed"), "stop").click();
    await shows(dialog(page, "stop"), /"managed" is managed by pacemaker:dome/);
    await dialog(page, "stop").locator("[data-confirm]").click();
    await dialog(page, "stop").locator("input:invalid").check();
    await confirm(page, "stop");
    await shows(state(page, "managed"), "ended");
});

pageTest("a role of a lease, which has another rule", "admin", async page => {
    const call = (...args) => run("busctl", "call", "org.architect.Node", "/org/architect/Node",
        "org.architect.Node", ...args);
    await call("AcquireLease", "stt", "night", "1", "3600000000");
    try {
        await call("Start", "sasa{sv}", "leased", "2", "sleep", "infinity", "2", "lease", "s", "night",
            "fencing-token", "t", "1");
        await shows(cell(page, "leased", "beat"), /^night, (59min|1h)/);
        await shows(page.locator("#monitor [data-beat='lease night']"), /root beats; next beat due in (59min|1h)/);
        await button(row(page, "leased"), "stop").click();
        await shows(dialog(page, "stop"), /belongs to lease "night"/);
        await dialog(page, "stop").getByRole("checkbox").check();
        await confirm(page, "stop");
        await shows(state(page, "leased"), "ended");
        const panel = await details(page, "leased");
        await button(panel, "purge").click();
        await dialog(page, "purge").getByRole("checkbox").check();
        await confirm(page, "purge");
        assert.deepEqual(await poll(), {});
    } finally {
        await call("ReleaseLease", "st", "night", "1");
    }
});

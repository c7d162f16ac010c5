// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The service goes away and comes back, in every way, and the page is right afterwards without a reload.

import assert from "node:assert/strict";

import { button, cell, gone, row, shows, testsWith } from "./browser.mjs";
import { clear, ctl, poll, run, systemctl, until } from "./service.mjs";

const pageTest = testsWith({ camera: ["Command=sleep infinity"], guider: ["Command=sleep infinity"] });

const state = page => page.locator("#service-state");
const nRestarts = () => systemctl("show", "-P", "NRestarts", "architect-node.service");
const owner = () => run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
    "org.freedesktop.DBus",
    "GetNameOwner", "s", "org.architect.Node");

pageTest("a stop and a start by systemctl", "admin", async page => {
    await ctl("start", "camera");
    await shows(cell(page, "camera", "state"), "running");
    await systemctl("stop", "architect-node.service");
    await shows(state(page), "away");
    await shows(page.locator("#away"), /does not run/);
    assert.equal(await row(page, "camera").isVisible(), false);
    assert.equal(await button(page, "start-command").isDisabled(), true);

    // That somebody looks at the page starts nothing, even with a page that is loaded meanwhile.
    await page.reload();
    await shows(state(page), "away");
    assert.equal(await systemctl("show", "-P", "ActiveState", "architect-node.service"), "inactive");

    await systemctl("start", "architect-node.service");
    await shows(state(page), "running");
    await shows(page.locator("#view"), /No roles/);
    await ctl("start", "guider");
    await shows(cell(page, "guider", "state"), "running");
    await clear();
    await gone(row(page, "guider"));
});

pageTest("a start of the service by its button", "admin", async page => {
    await systemctl("stop", "architect-node.service");
    await button(page, "start-service").click();
    await shows(state(page), "running");
    assert.equal(await systemctl("is-active", "architect-node.service"), "active");
});

pageTest("a kill of the service, which its roles survive", "admin", async page => {
    await ctl("start", "camera", "guider");
    await shows(cell(page, "guider", "state"), "running");
    const [pid, restarts, before] = [await cell(page, "camera", "pid").textContent(), await nRestarts(),
        await owner()];

    await systemctl("kill", "--kill-whom=main", "--signal=KILL", "architect-node.service");
    await until(async () => await nRestarts() !== restarts);
    await systemctl("start", "architect-node.service");
    await ctl("stop", "guider");
    await shows(cell(page, "guider", "state"), "ended");
    await shows(cell(page, "camera", "state"), "running");
    await shows(state(page), "running");
    assert.notEqual(await owner(), before);
    assert.equal(await cell(page, "camera", "pid").textContent(), pid);

    // The buttons work on the new connection.
    await button(row(page, "guider"), "start").click();
    await shows(cell(page, "guider", "state"), "running");
    await clear();
    await gone(row(page, "guider"));
});

pageTest("a restart of the service", "admin", async page => {
    await ctl("start", "camera");
    await shows(cell(page, "camera", "state"), "running");
    const pid = await cell(page, "camera", "pid").textContent();
    await systemctl("restart", "architect-node.service");
    await ctl("start", "guider");
    await shows(cell(page, "guider", "state"), "running");
    assert.equal(await cell(page, "camera", "pid").textContent(), pid);
    assert.deepEqual(await poll(), { camera: "running", guider: "running" });
});

// The page says so while the roles are stopped.
pageTest("a shutdown that takes a while", "admin", async page => {
    await ctl("start", "stubborn", "-p", "TimeoutStopSec=1h", "sh", "-c", "trap '' TERM; exec sleep infinity");
    await shows(cell(page, "stubborn", "state"), "running");
    const pid = Number(await cell(page, "stubborn", "pid").textContent());
    try {
        await systemctl("--no-block", "stop", "architect-node.service");
        await shows(state(page), "stopping");
        await shows(cell(page, "stubborn", "state"), "stopping");
    } finally {
        process.kill(pid, "SIGKILL");
    }
    await shows(state(page), "away");
    await systemctl("start", "architect-node.service");
    await shows(state(page), "running");
});

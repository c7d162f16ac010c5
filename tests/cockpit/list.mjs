// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the lists show, and that they follow the service.

import assert from "node:assert/strict";

import { button, cell, gone, load, row, shows, testsWith, view } from "./browser.mjs";
import { clear, ctl, systemctl } from "./service.mjs";

const pageTest = testsWith({
    mount: ["Command=sleep infinity", "RoleGroups=night"],
    camera: ["Command=sleep infinity", "User=nobody", "After=mount", "RoleGroups=night day"],
    hub: ["Command=sleep infinity", "Requires=mount", "BindsTo=camera"],
    dome: ["Command=sh -c 'exit 3'"],
    waiting: ["Command=sh -c 'exit 4'", "Restart=on-failure", "RestartSec=1h"],
    notifier: ["Command=sh -c 'systemd-notify --status=\"Opening the shutter\"; sleep infinity'",
        "Type=notify", "NotifyAccess=all",
        "TimeoutStartSec=1h"],
});

const value = (role, property) => ctl("show", "-p", property, "--value", role);

pageTest("a role appears, changes and disappears as the service says it", "admin", async page => {
    await shows(page.locator("#service-state"), "running");
    assert.equal(await page.locator("tr[data-role]").count(), 0);
    await shows(page.locator("#view"), /No roles/);

    await ctl("start", "camera");
    await shows(cell(page, "camera", "state"), "running");
    await shows(cell(page, "camera", "ready"), "yes");
    await shows(cell(page, "camera", "user"), "nobody");
    await shows(cell(page, "camera", "pid"), await value("camera", "MainPID"));
    await shows(cell(page, "camera", "since"), /^\d+s$/);
    await shows(cell(page, "camera", "restarts"), "0");
    await shows(cell(page, "camera", "next"), "-");
    await shows(cell(page, "camera", "exit"), "-");
    await shows(cell(page, "camera", "cpu"), /^\d+\.\d%$/);
    await shows(cell(page, "camera", "beat"), "-");
    await shows(page.locator("#summary"), "1 role, 1 running, 0 failed");
    await button(row(page, "camera"), "stop").waitFor();

    await ctl("stop", "camera");
    await shows(cell(page, "camera", "state"), "ended");
    await shows(cell(page, "camera", "exit"), "SIGTERM, cause stop");
    await shows(cell(page, "camera", "pid"), "-");
    await button(row(page, "camera"), "start").waitFor();

    await ctl("purge", "camera");
    await gone(row(page, "camera"));
    await shows(page.locator("#summary"), "0 roles, 0 running, 0 failed");
});

pageTest("how roles end, wait and report", "admin", async page => {
    await ctl("start", "dome");
    await shows(cell(page, "dome", "exit"), "exit 3, cause self");
    assert.equal(await cell(page, "dome", "exit").getAttribute("title"), "it ended by itself");
    await ctl("start", "waiting");
    await shows(cell(page, "waiting", "next"), /^in (5\dmin|1h)/);
    ctl("start", "notifier").catch(() => {});       // it never gets ready
    await shows(cell(page, "notifier", "ready"), "no");
    await shows(row(page, "notifier").locator(".status-text"), "Opening the shutter");
    await shows(page.locator("#summary"), "3 roles, 1 running, 1 failed, 1 to be restarted");
    await ctl("freeze", "notifier");
    await shows(cell(page, "notifier", "state"), /\(frozen\)$/);
});

pageTest("the beats of the monitor", "admin", async page => {
    await ctl("monitor-timeout", "off");
    await ctl("start", "camera");
    await shows(page.locator("#monitor [data-beat=monitor]"), /off/);
    await ctl("monitor-timeout", "1h");
    await ctl("beat");
    await shows(page.locator("#monitor [data-beat=monitor]"), /next beat due in (59min \d+s|1h) \(limit 1h\)/);
    // What was not read yet is not said, not even for a moment.
    await page.addInitScript(() => addEventListener("DOMContentLoaded", () => {
        window.said = [];
        new MutationObserver(() => window.said.push(document.getElementById("monitor").textContent))
            .observe(document.getElementById("monitor"), { childList: true, subtree: true, characterData: true });
    }));
    await page.reload();
    await shows(page.locator("#monitor [data-beat=monitor]"), /next beat due/);
    assert.doesNotMatch((await page.evaluate(() => window.said)).join("; "), /not armed/);
    await shows(cell(page, "camera", "beat"), /^monitor, (59min|1h)/);
    await ctl("monitor-timeout", "off");
    await shows(page.locator("#monitor [data-beat=monitor]"), /off/);
});

pageTest("a filter by name and by state", "admin", async page => {
    const visible = () => page.locator("tr[data-role]:visible").evaluateAll(rows => rows.map(r =>
        r.dataset.role).join());

    await ctl("start", "camera", "mount", "hub", "dome");
    await shows(cell(page, "dome", "state"), "ended");
    await row(page, "hub").waitFor();
    assert.equal(await visible(), "camera,dome,hub,mount");
    await page.locator("#filter-text").fill("OM");
    assert.equal(await visible(), "dome");
    await page.locator("#filter-text").fill("");
    await page.locator("#filter-state").selectOption("failed");
    assert.equal(await visible(), "dome");
    await page.locator("#filter-state").selectOption("running");
    assert.equal(await visible(), "camera,hub,mount");
    // What is filtered out comes back when it fits, and the other way round.
    await ctl("kill", "hub");
    await row(page, "hub").waitFor({ state: "hidden" });
    await page.locator("#filter-text").fill("nothing is called so");
    await shows(page.locator("#view"), /No role matches/);
});

pageTest("groups, with what changes", "admin", async page => {
    await ctl("start", "@night", "dome");
    const panel = await view(page, "groups");
    const roles = group => panel.locator(`tbody[data-group="${group}"] tr[data-role]`).evaluateAll(rows =>
        rows.map(r => r.dataset.role).join());

    await shows(panel.locator("tbody[data-group=night]"), /2 roles, 2 running, 0 failed/);
    assert.equal(await roles("night"), "camera,mount");
    assert.equal(await roles("day"), "camera");
    await panel.locator("tbody").filter({ hasText: "In no group" }).waitFor();
    await ctl("stop", "camera");
    await shows(panel.locator("tbody[data-group=night]"), /2 roles, 1 running, 0 failed/);
    await shows(panel.locator("tbody[data-group=day] [data-field=state]"), "ended");
    await shows(panel.locator("tbody[data-group=night] tr[data-role=camera] [data-field=state]"), "ended");
    await clear();
    await shows(panel, /No roles/);
});

pageTest("dependencies, with the kinds of each", "admin", async page => {
    await ctl("start", "hub");
    const panel = await view(page, "dependencies");

    await shows(row(panel, "mount").first(), /requires/);
    const tree = await panel.locator("tr[data-role]").evaluateAll(rows =>
        rows.map(r => `${r.getAttribute("aria-level") ?? 1} ${r.dataset.role} ${r.querySelector(".kind").textContent}`.trim()));
    assert.deepEqual(tree, ["1 hub", "2 mount requires", "2 camera binds-to", "3 mount after"]);
});

pageTest("the address keeps the view over a reload", "admin", async page => {
    await ctl("start", "camera");
    await view(page, "groups");
    assert.match(page.url(), /#\/groups$/);
    await page.reload();
    await page.locator("#view[data-view=groups] tr[data-role=camera]").first().waitFor();
    await page.goBack();
    await page.locator("#view[data-view=roles] tr[data-role=camera]").waitFor();
});

pageTest("another instance", "admin", async page => {
    await systemctl("start", "architect-node@obs.service");
    await page.locator("#instance").selectOption("obs");
    await shows(page.locator("#view"), /No roles/);
    await ctl("--instance=obs", "start", "elsewhere", "sleep", "infinity");
    await shows(cell(page, "elsewhere", "state"), "running");
    await load(page);
    assert.equal(await row(page, "elsewhere").count(), 0);
    await ctl("--instance=obs", "kill", "--all");
    await systemctl("stop", "architect-node@obs.service", "architect-keeper@obs.socket",
        "architect-keeper@obs.service").catch(() => {});
    await page.locator("#instance-field").waitFor({ state: "hidden" });
});

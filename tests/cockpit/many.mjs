// SPDX-License-Identifier: LGPL-2.1-or-later
//
// 500 roles. How fast this is on a quiet machine is measured by tools/bench cockpit; here it has to be right.

import assert from "node:assert/strict";

import { cell, row, shows, testsWith, view } from "./browser.mjs";
import { MANY, TICKS, ctl, many, poll } from "./service.mjs";

const pageTest = testsWith(many());

pageTest("500 roles, and 20 events a second", "admin", async page => {
    await ctl("start", "@many");
    await shows(page.locator("#summary"), `${MANY} roles, ${MANY} running, 0 failed`);
    assert.equal(await page.locator("tr[data-role]").count(), MANY);
    await page.reload();
    await shows(page.locator("#summary"), `${MANY} roles, ${MANY} running, 0 failed`);
    assert.equal(await page.locator("tr[data-role]").count(), MANY);

    // Rows that nobody sees follow, too, and while events come the page answers.
    await ctl("start", "@ticks");
    await shows(cell(page, TICKS[0], "restarts"), /^[1-9]\d*$/);
    await page.locator("#filter-text").fill("role-499");
    assert.deepEqual(await page.locator("tr[data-role]:visible").evaluateAll(rows => rows.map(r =>
        r.dataset.role)), ["role-499"]);
    await ctl("stop", "role-499");
    await shows(cell(page, "role-499", "state"), "ended");
    await page.locator("#filter-text").fill("");
    await shows(page.locator("#summary"), new RegExp(`^${MANY + TICKS.length} roles, `));

    // A new row has its place by its name.
    await ctl("stop", "role-250");
    await ctl("purge", "role-250");
    await row(page, "role-250").waitFor({ state: "detached" });
    await ctl("start", "role-250");
    await shows(cell(page, "role-250", "state"), "running");
    const names = await page.locator("tr[data-role]").evaluateAll(rows => rows.map(r => r.dataset.role));
    assert.deepEqual(names, [...names].sort());
    const panel = await view(page, "groups");
    await shows(panel.locator("tbody[data-group=many] .note"), `${MANY} roles, ${MANY - 1} running, 0 failed`);

    // In one state with the service when there is nothing more to come.
    await ctl("stop", "@ticks");
    await ctl("kill", "@many");
    await view(page, "roles");
    await shows(page.locator("#summary"), new RegExp(`^${MANY + TICKS.length} roles, 0 running, 0 failed$`));
    const shown = Object.fromEntries(await page.locator("tr[data-role]").evaluateAll(rows =>
        rows.map(r => [r.dataset.role, r.querySelector("[data-field=exit]").textContent])));
    for (const [role, end] of Object.entries(await poll()))
        assert.equal(shown[role], role === "role-499" ? "SIGTERM, cause stop" : end === "exit -9" ? "SIGKILL, cause kill" : shown[role], role);
});

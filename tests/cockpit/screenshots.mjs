// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The pictures of docs/cockpit.md: an observatory whose roles run, wait and have failed. tools/screenshot-cockpit
// runs this, and takes the pictures out of the sandbox.

import { mkdirSync } from "node:fs";

import { PAGE, closeBrowser, details, load, newPage, shows, view } from "./browser.mjs";
import { ctl, defineOnly, run, until } from "./service.mjs";

const PICTURES = "/var/tmp/cockpit-pictures";
const SIZE = { width: 1200, height: 640 };
// So long the observatory runs for the time line.
const NIGHT_MS = 100_000;

const notify = (status, work = "sleep infinity") => `sh -c 'systemd-notify --ready --status="$1"; ${work}' sh "${status}"`;
const TCS = "sh -c 'echo TCS 7.0; while printf \"tcs> \" && read -r word rest; do case $word in status) " +
    "echo \"Tracking $target, altitude 61.4, azimuth 118.2\";; track) target=$rest; echo \"Slewing to $target\";; " +
    "*) echo \"There is no command $word\";; esac; done'";

await run("sh", "-c", "getent passwd observatory || useradd --system observatory");
await defineOnly({
    camera: [`Command=${notify("Exposure 17 of 60, 120 s", "while :; do head -c 9M /dev/urandom | sha256sum >/dev/null; sleep 0.5; done")}`,
        "User=observatory", "Type=notify", "NotifyAccess=all", "Requires=hub", "RoleGroups=night"],
    dome: ["Command=sh -c 'echo Opening the shutter; sleep 2; echo No answer from axis 2, giving up; exit 3'", "User=observatory",
        "RoleGroups=night"],
    flats: ["Command=sleep 8", "User=observatory", "RoleGroups=night"],
    focuser: [`Command=${notify("At 1243 um, 8.4 C")}`, "User=observatory", "Type=notify", "NotifyAccess=all", "After=camera", "RoleGroups=night"],
    guider: [`Command=${notify("0.42 arcsec rms", "sleep 19; exit 1")}`, "User=observatory", "Type=notify", "NotifyAccess=all", "BindsTo=camera",
        "Restart=on-failure", "RestartSec=3s", "StartLimitIntervalSec=0", "RoleGroups=night"],
    hub: ["Command=sleep infinity", "User=observatory", "Requires=tcs", "RoleGroups=night"],
    logger: ["Command=sleep infinity", "RoleGroups=site"],
    sequence: ["Command=sh -c 'echo Waiting for twilight; exit 75'", "User=observatory", "Restart=on-failure", "RestartSec=20min", "After=camera guider",
        "RoleGroups=night"],
    tcs: [`Command=${TCS}`, "User=observatory", "StandardInput=pty", "RoleGroups=night"],
    weather: [`Command=${notify("Clear, humidity 41 %, wind 12 km/h")}`, "User=observatory", "Type=notify", "NotifyAccess=all", "RoleGroups=site"],
});
mkdirSync(PICTURES, { recursive: true });
const began = performance.now();
await ctl("start", "@site", "@night");
await ctl("monitor-timeout", "30min");
await ctl("beat");

// Some of them come and go.
await ctl("wait", "flats");
for (let i = 0; performance.now() - began < NIGHT_MS; i++) {
    await ctl("start", "flats");
    await ctl("wait", "flats");
    if (i % 3 === 1)
        await ctl("start", "dome").catch(() => {});
    if (i === 2)
        await ctl("restart", "focuser");
    if (i === 4)
        await ctl("freeze", "logger");
}
await until(async () => JSON.parse(await ctl("-j", "list", "guider"))[0]?.state === "running");

const picture = (page, name) => page.screenshot({ path: `${PICTURES}/cockpit-${name}.png` });

// In Cockpit's own frame.
let page = await newPage("admin", { viewport: SIZE });
await page.goto("/architect");
const frame = page.frameLocator("iframe[name='cockpit1:localhost/architect']");
await frame.locator("[data-role=camera] [data-field=cpu]").filter({ hasText: "%" }).waitFor();
await frame.locator("[data-role=camera] button[data-right=yes]").first().waitFor();
await picture(page, "roles");
await page.context().close();

page = await newPage("admin", { viewport: SIZE });
await load(page, PAGE);
const panel = await view(page, "events");
await panel.locator("#events-range").selectOption("all");
await panel.locator("[data-lane=guider] [data-look=bad]").first().waitFor();
await picture(page, "events");
await page.context().close();

page = await newPage("admin", { viewport: SIZE, colorScheme: "dark" });
await load(page, PAGE);
await details(page, "tcs");
await page.locator("[data-terminal] :focus").waitFor({ state: "attached" });
for (const line of ["track M 31", "status"]) {
    await page.keyboard.type(line);
    await page.keyboard.press("Enter");
}
await shows(page.locator("[data-terminal]"), /altitude 61\.4/);
await shows(page.locator("[data-log]"), /tcs/);
await page.locator("article button[data-right=yes]").first().waitFor();
await picture(page, "role");
await page.context().close();
await closeBrowser();

// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The pictures of docs/cockpit.md: an observatory whose roles run, wait and have failed. tools/screenshot-cockpit
// runs this, and takes the pictures out of the sandbox.

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { deflateSync } from "node:zlib";

import { PAGE, closeBrowser, details, load, newPage, shows, view } from "./browser.mjs";
import { ctl, defineOnly, run, until } from "./service.mjs";

const PICTURES = "/var/tmp/cockpit-pictures";
const SIZE = { width: 1280, height: 700 };
// So long the observatory runs for the time line.
const NIGHT_MS = 100_000;

const notify = (status, work = "sleep infinity") => `sh -c 'systemd-notify --ready --status="$1"; ${work}' sh "${status}"`;
const TCS = `#!/bin/bash
echo "TCS 7.0, type help"
while read -erp "tcs> " word rest; do
        case $word in
        track)  target=$rest; echo "Slewing to $target" ;;
        status) echo "Tracking $target, altitude 61.4, azimuth 118.2" ;;
        *)      echo "track NAME, status" ;;
        esac
done
`;

await run("sh", "-c", "getent passwd obs || useradd --system obs");
writeFileSync("/usr/local/bin/tcs", TCS);
chmodSync("/usr/local/bin/tcs", 0o755);
await defineOnly({
    camera: [`Command=${notify("Exposure 17 of 60, 120 s", "while :; do head -c 9M /dev/urandom | sha256sum >/dev/null; sleep 0.5; done")}`,
        "User=obs", "Type=notify", "NotifyAccess=all", "Requires=hub", "RoleGroups=night"],
    dome: ["Command=sh -c 'echo Opening the shutter; sleep 2; echo No answer from axis 2, giving up; exit 3'",
        "User=obs",
        "RoleGroups=night"],
    flats: ["Command=sleep 8", "User=obs", "RoleGroups=night"],
    focuser: [`Command=${notify("At 1243 um, 8.4 C")}`, "User=obs", "Type=notify", "NotifyAccess=all",
        "After=camera", "RoleGroups=night"],
    guider: [`Command=${notify("0.42 arcsec rms", "sleep 19; exit 1")}`, "User=obs", "Type=notify",
        "NotifyAccess=all", "BindsTo=camera",
        "Restart=on-failure", "RestartSec=3s", "StartLimitIntervalSec=0", "RoleGroups=night"],
    hub: ["Command=sleep infinity", "User=obs", "Requires=tcs", "RoleGroups=night"],
    logger: ["Command=sleep infinity", "RoleGroups=site"],
    sequence: ["Command=sh -c 'echo Waiting for twilight; exit 75'", "User=obs", "Restart=on-failure",
        "RestartSec=20min", "After=camera guider",
        "RoleGroups=night"],
    tcs: ["Command=/usr/local/bin/tcs --site north", "User=obs", "StandardInput=pty", "RoleGroups=night"],
    weather: [`Command=${notify("Clear, humidity 41 %%, wind 12 km/h")}`, "User=obs", "Type=notify",
        "NotifyAccess=all", "RoleGroups=site"],
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
}
await until(async () => JSON.parse(await ctl("-j", "list", "guider"))[0]?.state === "running");

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++)
            crc = crc & 1 ? crc >>> 1 ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc;
}

// A picture of text needs no more than 256 colours, and has a third of the bytes then.
async function picture(page, name) {
    const shot = (await page.screenshot()).toString("base64");
    const { width, height, palette, indices } = await page.evaluate(async data => {
        const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))]));
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        canvas.drawImage(bitmap, 0, 0);
        const pixels = canvas.getImageData(0, 0, bitmap.width, bitmap.height).data;
        const counts = new Map();
        for (let i = 0; i < pixels.length; i += 4) {
            const color = pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2];
            counts.set(color, (counts.get(color) ?? 0) + 1);
        }
        const colors = [...counts].sort((a, b) => b[1] - a[1]).map(([color]) => color);
        const used = colors.slice(0, 256);
        const distance = (a, b) => ((a >> 16) - (b >> 16)) ** 2 + ((a >> 8 & 255) - (b >> 8 & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;
        const index = new Map(colors.map(color => [color,
            used.reduce((best, other, i) => distance(color, other) < distance(color, used[best]) ? i : best, 0)]));
        let text = "";
        for (let i = 0; i < pixels.length; i += 4)
            text += String.fromCharCode(index.get(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]));
        return { width: bitmap.width, height: bitmap.height, palette: used, indices: btoa(text) };
    }, shot);
    const rows = Buffer.from(indices, "base64");
    const lines = Buffer.alloc((width + 1) * height);       // before each line the number of its filter: none
    for (let y = 0; y < height; y++)
        rows.copy(lines, y * (width + 1) + 1, y * width, (y + 1) * width);
    const number = n => { const b = Buffer.alloc(4); b.writeUInt32BE(n >>> 0); return b };
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type), data]);
        return Buffer.concat([number(data.length), body, number(crc32(body))]);
    };
    writeFileSync(`${PICTURES}/cockpit-${name}.png`, Buffer.concat([
        Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
        chunk("IHDR", Buffer.concat([number(width), number(height), Buffer.from([8, 3, 0, 0, 0])])),
        chunk("PLTE", Buffer.from(palette.flatMap(c => [c >> 16, c >> 8 & 255, c & 255]))),
        chunk("IDAT", deflateSync(lines, { level: 9 })),
        chunk("IEND", Buffer.alloc(0)),
    ]));
}

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
await shows(page.locator("#monitor"), /next beat due/);
await picture(page, "events");
await page.context().close();

page = await newPage("admin", { viewport: { ...SIZE, height: 820 }, colorScheme: "dark" });
await load(page, PAGE);
await details(page, "tcs");
await page.locator("[data-terminal] :focus").waitFor({ state: "attached" });
for (const [line, answer] of [["track M 31", /Slewing to M 31/], ["status", /altitude 61\.4/]]) {
    await page.keyboard.type(line);
    await page.keyboard.press("Enter");
    await shows(page.locator("[data-terminal]"), answer);
}
await shows(page.locator("[data-log]"), /tcs/);
await page.locator("article button[data-right=yes]").first().waitFor();
await shows(page.locator("article [data-field=cpu]"), /%/);
await shows(page.locator("#monitor"), /next beat due/);
await page.evaluate(() => scrollTo(0, 0));
await picture(page, "role");
await page.context().close();
await closeBrowser();

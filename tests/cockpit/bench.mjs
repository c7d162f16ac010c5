// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tools/bench cockpit: how long the page takes with 500 roles, beside Cockpit's own page of services, and how late
// the browser is while 20 events a second arrive, beside itself without any. It prints figures beside goals, and
// fails only if something goes wrong.

import { ADDRESS, PAGE, closeBrowser, newPage, ready } from "./browser.mjs";
import { MANY, TICKS, ctl, defineOnly, many } from "./service.mjs";

const ROUNDS = 11;
const SECONDS = 15;
const SERVICES = "/cockpit/@localhost/system/services.html";

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];
const number = x => x.toFixed(x >= 100 || Number.isInteger(x) ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 3);

// As bench_row() prints a line.
function row(what, values, unit, { reference, references, goal } = {}) {
    const ratio = references && median(values.map((v, i) => v / references[i]));
    const judged = references ? ratio : median(values);
    let line = `${what}: ${number(median(values))}`;
    if (values.length > 1)
        line += ` (${number(Math.min(...values))} to ${number(Math.max(...values))})`;
    line += ` ${unit}`;
    if (references)
        line += `; ${reference} ${number(median(references))} ${unit}, ratio ${number(ratio)}`;
    if (goal !== undefined)
        line += `; goal at most ${goal}: ${judged <= goal ? "met" : "not met"}`;
    console.log(line);
}

// The time of the first picture with a row, from the moment that the browser begins to load the page.
async function firstPicture(page, path, selector) {
    await page.goto("about:blank");
    await page.goto(ADDRESS + path);
    await page.locator(selector).first().waitFor();
    return page.evaluate(() => window.firstPicture);
}

function watchFirstPicture(selectors) {
    const look = () => {
        if (!document.querySelector(selectors))
            return;
        observer.disconnect();
        // After the picture that has it.
        window.firstPicture = new Promise(resolve => requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = () => resolve(performance.now());
            channel.port2.postMessage(0);
        }));
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { childList: true, subtree: true, attributes: true });
}

// For some seconds, the time from each picture to the next, and the tasks that held the browser up.
const watchPictures = (page, seconds) => page.evaluate(duration => new Promise(resolve => {
    const gaps = [], tasks = [];
    const observer = new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration)));
    observer.observe({ entryTypes: ["longtask"] });
    const begin = performance.now();
    let last;
    const next = now => {
        if (last !== undefined)
            gaps.push(now - last);
        last = now;
        if (performance.now() - begin < duration) {
            requestAnimationFrame(next);
        } else {
            observer.disconnect();
            gaps.sort((a, b) => a - b);
            resolve({ worst: gaps.at(-1), p99: gaps[Math.floor(gaps.length * 0.99)], tasks });
        }
    };
    requestAnimationFrame(next);
}), seconds * 1000);

const restarts = async page => (await page.locator(TICKS.map(t =>
    `[data-role="${t}"] [data-field=restarts]`).join()).allTextContents())
    .reduce((sum, text) => sum + Number(text), 0);

await defineOnly(many());
await ctl("start", "@many");

const ours = "tr[data-role]", theirs = "[data-goto-unit]";
const loading = await newPage("admin");
await loading.addInitScript(watchFirstPicture, `html[data-ready] ${ours}, ${theirs}`);
const [pages, services] = [[], []];
for (let i = -1; i < ROUNDS; i++) {
    const [a, b] = [await firstPicture(loading, PAGE, ours), await firstPicture(loading, SERVICES, theirs)];
    // The first ones load the files into memory.
    if (i >= 0) {
        pages.push(a);
        services.push(b);
    }
}
row(`first picture of ${MANY} roles`, pages, "ms", { goal: 1000 });
row(`first picture of ${MANY} roles`, pages, "ms", { reference: "Cockpit's page of services",
    references: services, goal: 1 });
await loading.context().close();

const page = await newPage("admin");
await page.goto(PAGE);
await ready(page);
await page.locator("tr[data-role]").nth(MANY - 1).waitFor({ state: "attached" });
const idle = await watchPictures(page, SECONDS);
await ctl("start", "@ticks");
await page.locator(`[data-role="${TICKS[0]}"]`).waitFor({ state: "attached" });
const before = await restarts(page);
const busy = await watchPictures(page, SECONDS);
const events = 3 * (await restarts(page) - before) / SECONDS;
row(`worst time from picture to picture in ${SECONDS} s of 20 events a second`, [busy.worst], "ms", { goal: 100 });
row("the same", [busy.worst], "ms", { reference: "without events", references: [idle.worst] });
row("99th percentile of that", [busy.p99], "ms", { reference: "without events", references: [idle.p99], goal: 1.5 });
row("longest task that held the browser up", [Math.max(0, ...busy.tasks)], "ms", { goal: 100 });
console.log(`there were ${events.toFixed(1)} events a second, ${busy.tasks.length} tasks longer than 50 ms (${idle.tasks.length} without events)`);
await closeBrowser();
if (events < 15)
    throw new Error("these are too few events");

// SPDX-License-Identifier: LGPL-2.1-or-later
//
// For everybody: with the keyboard alone, with a screen reader, on a telephone, in the dark. And what roles say is
// text.

import assert from "node:assert/strict";

import { button, cell, details, dialog, gone, load, row, shows, testsWith, view } from "./browser.mjs";
import { ctl, poll } from "./service.mjs";

const MARKUP = "<img src=x onerror=\"document.title='taken over'\"><b>bold</b> &amp;";
const quoted = MARKUP.replaceAll('"', '\\"');

const pageTest = testsWith({
    camera: ["Command=sleep infinity", "User=nobody", "RoleGroups=night"],
    dome: ["Command=sh -c 'exit 3'", "RoleGroups=night", "After=camera"],
    waiting: ["Command=sh -c 'exit 4'", "Restart=on-failure", "RestartSec=1h"],
    markup: [`Command=sh -c 'systemd-notify --ready --status="$1"; echo "$1"; sleep infinity' sh "${quoted}"`,
        "Type=notify", "NotifyAccess=all",
        `Description=${MARKUP}`],
});
const start = () => ctl("start", "camera", "dome", "waiting", "markup");

// Presses Tab until this has the focus, as somebody who has no mouse does.
async function tabTo(page, locator) {
    for (let i = 0; i < 60; i++) {
        if (await locator.evaluate(e => e === document.activeElement))
            return;
        await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not reach ${locator}`);
}

pageTest("with the keyboard alone", "admin", async page => {
    const tab = name => page.locator(`[role=tab][data-tab=${name}]`);

    await tabTo(page, button(page, "start-definition"));
    await page.keyboard.press("Enter");
    await dialog(page, "start-definition").waitFor();
    await page.keyboard.press("Escape");
    await gone(dialog(page, "start-definition"));
    assert.equal(await button(page, "start-definition").evaluate(e => e === document.activeElement), true,
        "the focus is back");
    await page.keyboard.press("Enter");
    await dialog(page, "start-definition").locator("select:focus").waitFor();
    await tabTo(page, dialog(page, "start-definition").locator("[data-confirm]"));
    await page.keyboard.press("Enter");
    await shows(cell(page, "camera", "state"), "running");
    await gone(dialog(page, "start-definition"));

    await tabTo(page, button(row(page, "camera"), "stop"));
    await page.keyboard.press("Space");
    await dialog(page, "stop").waitFor();
    await tabTo(page, dialog(page, "stop").locator("[data-confirm]"));
    await page.keyboard.press("Enter");
    await gone(dialog(page, "stop"));
    await shows(cell(page, "camera", "state"), "ended");

    // The tabs are one stop, and the arrows go from one to the next.
    await page.locator("#tab-roles").focus();
    for (const name of ["groups", "dependencies", "events"]) {
        await page.keyboard.press("ArrowRight");
        await page.locator(`[role=tabpanel][data-view=${name}]`).waitFor();
        assert.equal(await tab(name).getAttribute("aria-selected"), "true");
        assert.equal(await tab(name).evaluate(e => e === document.activeElement), true);
    }
    await page.keyboard.press("Home");
    await tabTo(page, row(page, "camera").getByRole("link", { name: "camera" }));
    await page.keyboard.press("Enter");
    await page.locator("[role=tabpanel][data-view=details]").waitFor();
});

// Every button, link and field has a name; two of one list have different ones.
pageTest("a name for whatever can be used", "admin", async page => {
    await start();
    await shows(cell(page, "dome", "state"), "ended");
    const nameless = async () => page.locator("button, a[href], input, select, [role=tab], [role=log]").evaluateAll(all => all
        .filter(e => e.checkVisibility() && !(e.getAttribute("aria-label") || e.textContent.trim() || e.title ||
            e.labels?.length))
        .map(e => e.outerHTML));
    const snapshot = async () => page.locator("body").ariaSnapshot();

    const names = [...(await snapshot()).matchAll(/button "([^"]*)"/g)].map(m => m[1]);
    for (const name of ["Start dome", "Stop camera", "Log of camera", "Start a command"])
        assert.ok(names.includes(name), `a button "${name}" among ${names}`);
    assert.deepEqual(names.filter((name, i) => names.indexOf(name) !== i), [], "no two of the same name");
    assert.deepEqual(await nameless(), []);
    for (const name of ["groups", "dependencies", "events"]) {
        await view(page, name);
        assert.doesNotMatch(await snapshot(), /- (button|link|textbox|combobox|checkbox)(:|$| \[)/m);
        assert.deepEqual(await nameless(), []);
    }
    await view(page, "roles");
    await details(page, "camera");
    assert.deepEqual(await nameless(), []);
    await button(page, "stop").click();
    await page.getByRole("dialog", { name: "Stop camera?" }).waitFor();
    assert.match(await page.getByRole("dialog").ariaSnapshot(), /button "Stop"/);
});

pageTest("what roles say is text", "admin", async page => {
    await start();
    await shows(row(page, "markup").locator(".status-text"), MARKUP);
    const panel = await details(page, "markup");
    await shows(panel.locator("[data-field=status]"), MARKUP);
    await shows(panel.locator("[data-field=command]"), new RegExp("<img src=x"));
    await shows(panel.locator("[data-log]"), new RegExp("<img src=x.*<b>bold</b> &amp;"));
    await ctl("stop", "markup");
    await button(page, "start-definition").click();
    await dialog(page, "start-definition").locator("select").selectOption("markup");
    await shows(dialog(page, "start-definition"), /<img src=x/);
    await page.keyboard.press("Escape");
    await view(page, "events");
    assert.equal(await page.locator("img, b").count(), 0);
    assert.equal(await page.title(), "Architect");
});

// A name that no role can have, from the address.
pageTest("what the address says is text", "admin", async page => {
    await load(page, `/cockpit/@localhost/architect/index.html#/role/${encodeURIComponent(MARKUP)}`);
    await shows(page.locator("#view h2"), MARKUP);
    assert.equal(await page.locator("img, b").count(), 0);
    page.complaints.length = 0;
});

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

pageTest("on a telephone nothing has to be moved sideways", "admin", async page => {
    const check = async what => {
        const { scroll, client, wide } = await page.evaluate(() => ({
            scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
            wide: [...document.querySelectorAll("body *")].filter(e =>
                e.getBoundingClientRect().right > innerWidth + 1 &&
                !e.closest(".lines, [data-terminal], .hidden-text")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)),
        }));
        assert.ok(scroll <= client, `${what}: ${scroll} of ${client} px: ${wide.join("; ")}`);
    };

    await start();
    await shows(cell(page, "dome", "state"), "ended");
    await check("roles");
    for (const name of ["groups", "dependencies", "events"]) {
        await view(page, name);
        await check(name);
    }
    await view(page, "roles");
    await details(page, "markup");
    await check("details");
    // A finger needs some space.
    await button(page, "stop").tap();
    await dialog(page, "stop").waitFor();
    await check("dialog");
    const { width, height } = await dialog(page, "stop").locator("[data-confirm]").boundingBox();
    assert.ok(width >= 40 && height >= 24, `${width} x ${height}`);
    await dialog(page, "stop").locator("[data-confirm]").tap();
    await gone(dialog(page, "stop"));
    assert.equal((await poll()).markup, "exit -15");
}, PHONE);

// In a window of any size, also beside Cockpit's menu.
pageTest("buttons are in reach at every width", "admin", async page => {
    await ctl("monitor-timeout", "1h");
    await ctl("beat");
    await start();
    await shows(cell(page, "camera", "beat"), /^monitor/);
    for (const width of [390, 600, 768, 900, 936, 980, 981, 1024, 1101, 1241, 1280, 1920]) {
        await page.setViewportSize({ width, height: 700 });
        const cut = await page.locator("tr[data-role] button:visible, header button:visible").evaluateAll(all => all
            .filter(e => {
                const box = e.getBoundingClientRect(),
                    around = e.closest("table, header, nav").getBoundingClientRect();
                return box.right > Math.min(innerWidth, around.right) + 1 || box.left < 0;
            }).map(e => `${e.getAttribute("aria-label") ?? e.textContent} up to ${Math.round(e.getBoundingClientRect().right)}`));
        assert.deepEqual(cut, [], `${width} px`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
            `${width} px: it has to be moved sideways`);
    }
    await ctl("monitor-timeout", "off");
});

// The contrast of each text to what is behind it, as WCAG computes it.
const contrasts = page => page.evaluate(() => {
    const parse = color => color.match(/[\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
    const luminance = color => color.map(c => c / 255).map(c =>
        c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const background = e => {
        const below = e.parentElement ? background(e.parentElement) : [255, 255, 255];
        return over(parse(getComputedStyle(e).backgroundColor), below);
    };
    const bad = [];
    let n = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement;
        // What cannot be used is grey.
        if (!walker.currentNode.data.trim() || !e.checkVisibility() ||
            e.closest("button:disabled, option, script, [data-terminal], .hidden-text"))
            continue;
        const behind = background(e);
        const [a, b] = [luminance(over(parse(getComputedStyle(e).color), behind)), luminance(behind)]
            .sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        n++;
        if (ratio < 4.5)
            bad.push(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)} (${e.tagName} ${e.className})`);
    }
    return { n, bad };
});

for (const colorScheme of ["light", "dark"]) {
    pageTest(`text that can be read, ${colorScheme}`, "admin", async page => {
        await start();
        await shows(cell(page, "dome", "state"), "ended");
        const dark = await page.locator("body").evaluate(e => getComputedStyle(e).backgroundColor.match(/\d+/g).every(c => c < 60));
        assert.equal(dark, colorScheme === "dark");
        const check = async what => {
            const { n, bad } = await contrasts(page);
            assert.deepEqual(bad, [], what);
            assert.ok(n > 10, `${what}: ${n} texts`);
        };
        await check("roles");
        for (const name of ["groups", "dependencies", "events"]) {
            await view(page, name);
            await check(name);
        }
        await view(page, "roles");
        await details(page, "dome");
        await check("details");
        await button(page, "purge").click();
        await check("dialog");
    }, { colorScheme });
}

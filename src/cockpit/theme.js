/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Light or dark, as the user has chosen it in Cockpit's own menu, which keeps it where all of its pages can read
 * it, or as the browser has it. */

const KEY = "shell:style";

export function followTheme() {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const update = style => {
        const chosen = style ?? window.localStorage.getItem(KEY) ?? "auto";
        const dark = chosen === "dark" || (chosen === "auto" && system.matches);
        document.documentElement.dataset.theme = dark ? "dark" : "light";
    };

    system.addEventListener("change", () => update());
    window.addEventListener("storage", event => {
        if (event.key === KEY)
            update();
    });
    /* What the shell tells the pages that it shows at the moment. */
    window.addEventListener("cockpit-style", event => update(event.detail?.style));
    update();
}

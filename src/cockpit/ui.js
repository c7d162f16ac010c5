/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small things of the page: elements, messages, dialogs. */

export function make(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const key in attributes) {
        if (attributes[key] !== null && attributes[key] !== undefined && attributes[key] !== false)
            e.setAttribute(key, attributes[key] === true ? "" : attributes[key]);
    }
    e.append(...children);
    return e;
}

/* Changes it only if it is another one, and then the text alone, which is cheaper than a new one. */
export function setText(e, text) {
    if (e.firstChild?.nodeType === Node.TEXT_NODE && !e.firstChild.nextSibling) {
        if (e.firstChild.data !== text)
            e.firstChild.data = text;
    } else {
        e.textContent = text;
    }
}

export function byId(id) {
    return document.getElementById(id);
}

/* -- messages -- */

const MAX_ALERTS = 5;

/* An error, which stays until somebody closes it. A screen reader says it at once. */
export function alertError(text) {
    const box = byId("alerts");
    const close = make("button", { type: "button", class: "plain", "aria-label": "Close this message" }, "\u00d7");
    const message = make("div", { class: "alert", role: "alert" }, make("span", {}, text), close);

    close.addEventListener("click", () => message.remove());
    for (const old of box.querySelectorAll(".alert"))
        if (old.firstChild.textContent === text)
            old.remove();
    box.append(message);
    while (box.children.length > MAX_ALERTS)
        box.firstChild.remove();
}

/* What has happened, for those who cannot see it. */
export function say(text) {
    byId("said").textContent = text;
}

/* -- dialogs -- */

let lastId = 0;

export function field(label, input, help) {
    const id = input.id || `field-${++lastId}`;
    input.id = id;
    const wrap = make("div", { class: "field" }, make("label", { for: id }, label), input);
    if (help) {
        const helpId = `${id}-help`;
        input.setAttribute("aria-describedby", helpId);
        wrap.append(make("div", { class: "help", id: helpId }, help));
    }
    return wrap;
}

/* A modal dialog. Its form is submitted by the button "confirm"; confirmed() returns a promise, and an error of it
 * is shown in the dialog, which stays open. With false instead of a promise it stays open, too. */
export function openDialog({ name, title, body, confirm, danger, confirmed, closed, cancel }) {
    const titleId = `dialog-title-${++lastId}`;
    const error = make("div", { class: "dialog-error" });
    const cancelButton = make("button", { type: "button", "data-cancel": true }, cancel ?? "Cancel");
    const confirmButton = confirm
        ? make("button", { type: "submit", class: danger ? "danger" : "primary", "data-confirm": true }, confirm) : "";
    const form = make("form", { method: "dialog" },
        make("h2", { id: titleId }, title), ...body, error,
        make("div", { class: "dialog-buttons" }, confirmButton, cancelButton));
    const dialog = make("dialog", { "data-dialog": name, "aria-labelledby": titleId }, form);
    const result = { dialog, confirmButton, cancelButton };

    cancelButton.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
        dialog.remove();
        closed?.();
    });
    form.addEventListener("submit", async event => {
        event.preventDefault();
        error.replaceChildren();
        confirmButton.disabled = true;
        try {
            if (await confirmed(result) !== false)
                dialog.close();
        } catch (e) {
            error.replaceChildren(make("div", { class: "alert", role: "alert" }, e.message ?? String(e)));
        }
        confirmButton.disabled = false;
    });
    document.body.append(dialog);
    dialog.showModal();
    return result;
}

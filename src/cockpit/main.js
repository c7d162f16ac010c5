/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The page: which instance and which view are shown, and what is told to them. src/cockpit/README.md describes the
 * parts. */

/* global cockpit */

import * as words from "./words.js";
import { Instances, Superuser, MAIN } from "./bus.js";
import { Node } from "./node.js";
import { Rights } from "./rights.js";
import { Monitor } from "./monitor.js";
import { Actions } from "./actions.js";
import { Usage } from "./usage.js";
import { RolesView, GroupsView, DependenciesView } from "./views.js";
import { DetailsView } from "./details.js";
import { EventsView } from "./events.js";
import { followTheme } from "./theme.js";
import { byId, make, setText, alertError } from "./ui.js";

const SECOND_MS = 1000;
const AGAIN_MS = 3000;

const VIEWS = {
    roles: RolesView,
    groups: GroupsView,
    dependencies: DependenciesView,
    events: EventsView,
    details: DetailsView,
};

const TABS = ["roles", "groups", "dependencies", "events"];

class Page {
    constructor() {
        this.node = new Node(changes => this.onChanges(changes));
        this.rights = new Rights(this.node, role => this.onRights(role));
        this.monitor = new Monitor(this.node);
        this.usage = new Usage(this.node);
        this.actions = new Actions(this);
        this.view = null;
        this.viewKey = null;
        this.owner = undefined;
        this.waiting = [];
        this.instance = cockpit.location.options.instance ?? MAIN;
        this.superuser = new Superuser(() => this.onSuperuser());
        this.instances = new Instances(problem => this.onOwners(problem));
        this.listen();
        setInterval(() => this.onSecond(), SECOND_MS);
    }

    listen() {
        document.addEventListener("click", event => this.onClick(event));
        byId("tabs").addEventListener("keydown", event => this.onTabKey(event));
        byId("filter-text").addEventListener("input", () => this.view?.filter?.());
        byId("filter-state").addEventListener("change", () => this.view?.filter?.());
        byId("instance").addEventListener("change", event => {
            cockpit.location.go(["roles"], event.target.value === MAIN ? {} : { instance: event.target.value });
        });
        byId("skip").addEventListener("click", event => {
            event.preventDefault();
            byId("content").focus();
        });
        cockpit.addEventListener("locationchanged", () => this.onLocation());
    }

    /* -- who is there -- */

    onOwners(problem) {
        if (problem)
            alertError(`The system bus: ${problem}`);
        this.showInstances();
        /* Who has administrative access shall not be asked for what he may do without. */
        if (!this.superuser.known)
            return;
        const owner = this.instances.owners.get(this.instance) ?? null;
        if (owner !== this.owner)
            this.connect(owner);
    }

    onSuperuser() {
        if (this.instances?.known)
            this.connect(this.instances.owners.get(this.instance) ?? null);
        this.showTools();
    }

    connect(owner) {
        this.owner = owner;
        this.connectedAs = this.superuser.current;
        this.rights.clear();
        this.monitor.clear();
        this.node.connect(owner);
    }

    /* If the service is still there after a moment, what was between it and the page has failed. */
    connectAgain(problem) {
        const { owner } = this;

        clearTimeout(this.again);
        this.again = setTimeout(() => {
            if (!owner || owner !== this.owner || this.node.ready)
                return;
            alertError(`There is no connection with the service: ${problem}`);
            this.connect(owner);
        }, AGAIN_MS);
    }

    showInstances() {
        const names = [...new Set([MAIN, this.instance, ...this.instances.owners.keys()])].sort((a, b) =>
            (b === MAIN) - (a === MAIN) || (a < b ? -1 : 1));
        const select = byId("instance");

        if (names.join() !== [...select.options].map(o => o.value).join())
            select.replaceChildren(...names.map(name => make("option", { value: name }, name)));
        select.value = this.instance;
        byId("instance-field").hidden = names.length < 2;
    }

    /* Resolves when there is a list of roles, with the rights of administrative access. */
    whenReady() {
        if (this.rights.general && this.superuser.active && this.connectedAs === this.superuser.current)
            return Promise.resolve(true);
        return new Promise(resolve => { this.waiting.push(resolve) });
    }

    /* -- where we are -- */

    onLocation() {
        const instance = cockpit.location.options.instance ?? MAIN;

        if (instance !== this.instance) {
            this.instance = instance;
            this.onOwners();
        }
        this.showView();
    }

    go(path) {
        cockpit.location.go(path, this.instance === MAIN ? {} : { instance: this.instance });
    }

    showView() {
        const [first, role, part] = cockpit.location.path;
        const kind = first === "role" && role ? "details" : TABS.includes(first) ? first : "roles";
        const key = kind === "details" ? `role/${role}` : kind;

        if (!this.node.ready)
            return;
        if (key !== this.viewKey)
            this.makeView(kind, key, role);
        if (part)
            this.view.focusPart?.(part);
        /* The address of an action of the desktop, which only asks what to start. */
        if (first === "start" && this.rights.general) {
            this.go([]);
            this.onAction(document.querySelector("[data-action=start-definition]"));
        }
    }

    makeView(kind, key, role) {
        const place = byId("view");

        this.view?.destroy();
        this.viewKey = key;
        place.dataset.view = kind;
        place.setAttribute("aria-labelledby", kind === "details" ? "details-title" : `tab-${kind}`);
        /* A role is reached from the lists, and is below them. */
        for (const tab of byId("tabs").children) {
            const selected = tab.dataset.tab === (kind === "details" ? "roles" : kind);
            tab.setAttribute("aria-selected", String(selected));
            tab.tabIndex = selected ? 0 : -1;
        }
        byId("filter").hidden = kind === "events" || kind === "details";
        this.view = new VIEWS[kind](this, role);
        const lost = place.contains(document.activeElement);
        place.replaceChildren(this.view.element);
        /* What had the focus is gone, so what has come in its place gets it. */
        if (lost) {
            place.focus({ preventScroll: true });
            window.scrollTo(0, 0);
        }
        this.view.shown?.();
        this.usage.soon();
    }

    onTabKey(event) {
        const tabs = [...byId("tabs").children];
        const i = tabs.indexOf(document.activeElement);
        const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];

        if (i < 0 || to === undefined)
            return;
        event.preventDefault();
        const tab = tabs[(to + tabs.length) % tabs.length];
        tab.focus();
        this.go([tab.dataset.tab]);
    }

    /* -- what has changed -- */

    onChanges(changes) {
        if (changes.reset)
            this.onReset();
        if (changes.node)
            this.showService();
        if (!changes.reset && this.node.ready) {
            this.view?.update(changes);
            if (changes.roles.size || changes.removed.size || changes.node)
                this.showSummary();
        }
    }

    onReset() {
        const { node } = this;

        this.view?.destroy();
        this.view = this.viewKey = null;
        byId("view").replaceChildren();
        this.showTools();
        if (node.ready) {
            this.monitor.read().then(() => this.monitor.show());
            this.rights.loadGeneral().then(current => {
                if (!current)
                    return;
                for (const resolve of this.waiting.splice(0))
                    resolve(true);
                this.showView();
            }, error => alertError(error.message));
            this.showView();
            this.showSummary();
        } else if (node.problem) {
            this.connectAgain(node.problem);
        }
        if (node.ready || !node.client)
            this.setReady();
    }

    setReady() {
        if (this.painted)
            return;
        this.painted = true;
        /* The next frame begins when this one has been painted. */
        requestAnimationFrame(() => requestAnimationFrame(() => {
            document.documentElement.dataset.ready = "1";
            performance.mark("architect-first-picture");
        }));
    }

    showService() {
        const { node, instance } = this;
        const state = node.state;
        const away = !node.client;
        const badge = byId("service-state");

        setText(badge, state);
        badge.dataset.state = state;
        byId("away").hidden = !away;
        byId("view").hidden = away;
        if (away)
            byId("away-text").textContent = `architect-node${instance === MAIN ? "" : `@${instance}`}.service does not run on ` +
                "this host. When it does, its roles are shown here. To look does not start it.";
        byId("warnings").replaceChildren(...(node.props.Warnings ?? []).map(text => make("li", {}, text)));
        this.monitor.show();
    }

    showSummary() {
        let [running, failed, waiting] = [0, 0, 0];
        let partial = false;

        for (const role of this.node.roles.values()) {
            running += role.State !== "ended" ? 1 : 0;
            failed += words.roleHasFailed(role) ? 1 : 0;
            waiting += role.NextStartUSec ? 1 : 0;
            partial ||= role.partial;
        }
        const n = this.node.roles.size;
        const text = this.node.ready ? `${n} role${n === 1 ? "" : "s"}, ${running} running` +
            (partial ? "" : `, ${failed} failed`) + (waiting ? `, ${waiting} to be restarted` : "") : "";
        setText(byId("summary"), text);
    }

    showTools() {
        const { actions, superuser } = this;

        actions.greyGeneral(document.querySelector("[data-action=start-definition]"), "start-defined-role");
        actions.greyGeneral(document.querySelector("[data-action=start-command]"), "start-role");
        document.querySelector("[data-action=superuser]").hidden = !superuser.available;
    }

    onRights(role) {
        if (!role)
            this.showTools();
        this.view?.updateRights?.(role);
    }

    async onSecond() {
        if (document.hidden || !this.node.ready)
            return;
        await this.monitor.read();
        this.monitor.show();
        await this.usage.read(this.view);
        this.view?.tick?.();
    }

    onVisible() {
        this.usage.soon();
    }

    /* -- buttons -- */

    onClick(event) {
        const link = event.target.closest("a[href^='#/']");
        const tab = event.target.closest("[role=tab]");
        const button = event.target.closest("button[data-action]");

        if (link) {
            event.preventDefault();
            this.go(link.getAttribute("href").slice(2).split("/").map(decodeURIComponent));
        } else if (tab?.dataset.tab) {
            this.go([tab.dataset.tab]);
        } else if (button) {
            this.onAction(button);
        }
    }

    async onAction(button) {
        if (button.disabled)
            return;
        const { action } = button.dataset;
        const name = button.closest("[data-role]")?.dataset.role;

        if (action === "superuser")
            await this.actions.unlock();
        else if (action === "start-service")
            await this.startService();
        else if (action === "start-definition" || action === "start-command")
            await this.startSomething(action, button);
        else if (name && (action === "log" || action === "terminal"))
            this.go(["role", name, action]);
        else if (name && this.node.byName.has(name))
            await this.actions.run(action, this.node.byName.get(name), button);
    }

    async startSomething(action, button) {
        if (!await this.actions.permitted(button))
            return;
        if (action === "start-definition")
            await this.actions.startDefinition();
        else
            this.actions.startCommand();
    }

    /* systemctl, and not a call on the bus, since an instance that is disabled or masked is to stay away. */
    async startService() {
        const unit = this.instance === MAIN ? "architect-node.service" : `architect-node@${this.instance}.service`;

        try {
            await cockpit.spawn(["systemctl", "start", unit], { superuser: "try", err: "message" });
        } catch (error) {
            alertError(error.message);
        }
    }
}

followTheme();
new Page();

// The networks of a point, page by page, and the training of one of them.

import { film } from "./film.js";
import { h, number, table, whole } from "./dom.js";
import { get } from "./link.js";

export class Networks {
  constructor(list, replay, changed) {
    Object.assign(this, { list, replay, changed, chosen: null, place: null, moving: null });
    for (const part of [list, replay]) {
      part.addEventListener("keydown", (event) => { if (event.key === "Escape") this.back(part); });
    }
  }

  open(key, curve, point, id, panel) {
    this.chosen = id;
    this.path = `/api/outputs/${encodeURIComponent(key)}/cells/${encodeURIComponent(point.cell)}/networks`;
    this.key = key;
    this.cell = point.cell;
    this.name = [panel.title, curve.name === "estimate" ? "" : curve.name, `${panel.abscissa} ${whole(point.x)}`].filter(Boolean).join(", ");
    this.closeReplay();
    this.changed();
    this.show(0);
  }

  close() {
    this.chosen = null;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.closeReplay();
  }

  closeReplay() {
    this.asking?.abort();
    this.moving = null;
    this.replay.hidden = true;
    this.replay.replaceChildren();
  }

  // Leave a part by the keyboard: to where it was opened from.
  back(part) {
    const from = this.chosen, network = this.network;
    if (part === this.replay) {
      this.closeReplay();
      this.list.querySelector(`[data-network="${network}"]`)?.focus();
      return;
    }
    this.close();
    this.changed();
    document.querySelector(`[data-id="${CSS.escape(from)}"]`)?.focus();
  }

  async show(first) {
    const title = h("h2", { tabindex: "-1" }, `Networks: ${this.name}`);
    this.list.hidden = false;
    const close = h("button", { type: "button", class: "close", click: () => this.back(this.list) }, "Close");
    const said = h("p", { class: "quiet", role: "status" }, "reading …");
    this.list.replaceChildren(title, close, said);
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "start", behavior: "auto" });
    const path = this.path;
    try {
      const page = await get(`${path}?first=${first}`);
      if (this.path !== path || this.list.hidden) return;
      said.replaceWith(...this.page(page));
    } catch (error) {
      said.textContent = error.message;
    }
  }

  page(page) {
    const turn = (label, first) => h("button", { type: "button", disabled: first === null, click: () => this.show(first) }, label);
    const told = `${whole(page.first)} to ${whole(page.end - 1)} of ${whole(page.total)}, from block ${whole(page.block)} of ${page.label}`;
    const turns = h("div", { class: "turns" }, turn("Back", page.before), turn("Next", page.end < page.total ? page.end : null), h("span", { class: "quiet" }, told));
    if (!page.there) return [turns, h("p", null, "This block is not there yet.")];
    const rows = page.rows.map((row) => row.map((value, k) => (k ? number(value, 6) : this.button(value))));
    const alike = Object.entries(page.alike).map(([name, value]) => `${name} ${number(value, 6)}`).join(", ");
    return [turns, table(page.columns, rows, "Networks"), h("p", { class: "quiet" }, alike ? `All of these: ${alike}.` : "")];
  }

  button(network) {
    return h("button", { type: "button", class: "link", "data-network": network, "aria-label": `Show the training of network ${network}`, click: () => this.train(network) }, whole(network));
  }

  async train(network) {
    this.closeReplay();
    this.network = network;
    this.asking = new AbortController();
    const title = h("h2", { tabindex: "-1" }, `Training of network ${whole(network)}: ${this.name}`);
    const close = h("button", { type: "button", class: "close", click: () => this.back(this.replay) }, "Close");
    const said = h("p", { class: "quiet", role: "status" }, "Trained once more, and held against its row; at first this takes some seconds …");
    this.replay.hidden = false;
    this.replay.replaceChildren(title, close, said);
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "start", behavior: "auto" });
    try {
      const found = await get(`${this.path}/${network}/replay`, this.asking.signal);
      said.remove();
      this.moving = found.trajectory;
      this.replay.append(h("div", { class: "stage" }), ...this.told(found, network));
      this.resize();
    } catch (error) {
      if (error.name !== "AbortError") said.textContent = error.message;
    }
  }

  told(found, network) {
    const tables = found.sections.flatMap((one) => [
      h("h3", null, one.title),
      one.headings.length ? table(one.headings, one.rows, one.title) : null,
      ...one.remarks.map((text) => h("p", { class: "quiet" }, text)),
    ]).filter(Boolean);
    const pictures = found.drawings.map((name) => h("img", { src: `${this.path}/${network}/figures/${encodeURIComponent(name)}.svg`, alt: `Figure: ${name} of network ${network}` }));
    return [...tables, h("div", { class: "grid pictures" }, pictures)];
  }

  resize() {
    const stage = this.replay.querySelector(".stage");
    if (!stage || !this.moving || stage.dataset.width === String(stage.clientWidth)) return;
    stage.dataset.width = String(stage.clientWidth);
    const width = Math.min(stage.clientWidth, 860);
    stage.replaceChildren(film(this.moving, { width, height: Math.round(Math.min(Math.max(0.52 * width, 260), 420)) }));
  }
}

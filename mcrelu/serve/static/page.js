// The page: asks for what changed, and draws it again.

import { chart, legend, numbers } from "./chart.js";
import { duration, h, number, table, whole } from "./dom.js";
import { follow, get } from "./link.js";
import { Networks } from "./networks.js";

const STATES = {
  running: "running", finished: "finished", unfinished: "unfinished",
  lost: "no sign of life from its run", error: "cannot be read", waiting: "being read",
};
const MIX = ["c2", "c4", "c3", "c5", "c1", "c0"]; // colours of shares, unlike those of the first curves
const MOST_ROWS = 40; // of a table that is shown at once
const part = (id) => document.getElementById(id);

let outputs = [], key = null, value = null, version = null, asked = null, turns = 0;
const drawn = new Map(); // what each part shows, so that only what changed is drawn again
const networks = new Networks(part("networks"), part("replay"), () => {
  drawn.delete("curves");
  drawCurves();
});

// Draw a part unless it shows the same already.
function part_of(id, data, draw) {
  const text = JSON.stringify(data) ?? "";
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  const open = [...part(id).querySelectorAll("details")].map((one) => one.open);
  const children = draw();
  part(id).replaceChildren(...children);
  part(id).hidden = children.length === 0;
  [...part(id).querySelectorAll("details")].forEach((one, k) => { if (open[k] !== undefined) one.open = open[k]; });
}

function stateOf(one) {
  if (one.error) return "error";
  return one.state ?? "waiting";
}

function drawOutputs() {
  part_of("outputs", [key, outputs.map((one) => [one.key, one.name, stateOf(one), one.late, percent(one)])], () => outputs.map((one) =>
    h("a", { href: `#${one.key}`, class: `output is-${stateOf(one)}`, "aria-current": one.key === key ? "page" : null },
      h("span", { class: "name" }, one.name),
      h("span", { class: "told" }, one.late ? "no answer yet" : stateOf(one) === "running" || stateOf(one) === "unfinished" ? percent(one) : STATES[stateOf(one)]))));
  part("outputs").hidden = outputs.length < 2;
}

function percent(one) {
  const progress = one.progress;
  if (!progress || !progress.blocks) return "";
  return `${Math.floor((100 * progress.blocks_done) / progress.blocks)} %`;
}

function facts() {
  const { progress, run, state } = value;
  const about = progress.known ? "" : "at least ";
  const told = [
    `${whole(progress.networks_done)} of ${about}${whole(progress.networks)} networks`,
    `${whole(progress.blocks_done)} of ${about}${whole(progress.blocks)} blocks`,
  ];
  if (state === "finished") told.splice(0, 2, `${whole(progress.networks_done)} networks in ${whole(progress.blocks_done)} blocks`);
  if (state === "running" && run?.networks_per_second) told.push(`${number(run.networks_per_second, 3)} networks/s`);
  if (state === "running" && run?.seconds_left !== null && run?.seconds_left !== undefined) told.push(`about ${duration(run.seconds_left)} left`);
  if (state === "finished" && run?.seconds) told.push(`last run took ${duration(run.seconds)}`);
  return told;
}

function drawHead() {
  const one = value;
  document.title = `${one.name}: mcrelu`;
  part_of("head", [one.name, one.where, one.error, one.title, one.state, one.progress, one.run, one.late, one.failures?.total], () => {
    if (one.error) {
      return [h("h1", null, one.name), h("p", { class: "error", role: "alert" }, one.error)];
    }
    if (!one.state) return [h("h1", null, one.name), h("p", { class: "facts" }, `Reading ${one.where} …`)];
    const state = h("span", { class: `state is-${one.state}`, role: "status" }, STATES[one.state]);
    const failed = one.failures.total ? h("a", { class: "failed", href: "#failures", click: jump("failures") }, `${one.failures.total} failed`) : null;
    const told = facts().map((text) => h("span", null, text));
    const bar = one.state === "finished" ? [] : [h("progress", { max: one.progress.blocks || 1, value: one.progress.blocks_done, "aria-label": "Blocks done" })];
    const go_on = one.state !== "running" && one.run?.go_on ? [h("p", { class: "quiet" }, one.run.go_on)] : [];
    return [
      h("h1", null, one.title),
      h("p", { class: "facts" }, state, failed, told),
      ...bar,
      ...go_on,
      h("p", { class: "where" }, one.where),
    ];
  });
}

function jump(id) {
  return (event) => {
    event.preventDefault();
    part(id).scrollIntoView();
  };
}

function drawCurves() {
  const wide = Math.floor(part("main").clientWidth);
  part_of("curves", [key, value.panels, value.note, wide, networks.chosen, value.growing], () => {
    if (!value.panels) return [];
    if (!value.panels.length) return [h("p", { class: "quiet" }, "No block is complete yet; estimates appear here as soon as one is.")];
    const focused = document.activeElement?.dataset?.id;
    const [first, ...others] = value.panels.map((panel, k) => drawPanel(panel, k, wide));
    if (focused) requestAnimationFrame(() => refocus(focused));
    const many = others.length > 6;
    const rest = others.length ? [h("details", { class: "panels", open: !many }, h("summary", null, `${others.length} more panels`), h("div", { class: "grid" }, others))] : [];
    return [first, h("p", { class: "note" }, value.note), ...rest];
  });
}

// Give the focus back to a point that was drawn again, unless it went elsewhere since.
function refocus(id) {
  if (document.activeElement !== document.body) return;
  part("curves").querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
}

function drawPanel(panel, k, wide) {
  const big = k === 0;
  const columns = wide > 760 ? 2 : 1;
  const width = big ? wide : Math.floor((wide - 32 * (columns - 1)) / columns);
  const height = big ? Math.round(Math.min(Math.max(0.5 * width, 300), 460)) : Math.round(Math.min(0.7 * width, 300));
  const label = `Estimates over the ${panel.abscissa}${panel.title ? ", " + panel.title : ""}. Arrow keys go from point to point.`;
  const pick = (curve, point, id) => networks.open(key, curve, point, id, panel);
  return h("figure", null,
    panel.title ? h("figcaption", null, panel.title) : null,
    legend(panel),
    chart(panel, { width, height, pick, chosen: networks.chosen, label }),
    numbers(panel));
}

function drawCells() {
  part_of("cells", [value.cells, value.mix], () => {
    if (!value.cells) return [];
    const { names, counts } = value.mix;
    const rows = value.cells.map((cell) => h("tr", null,
      h("th", { scope: "row" }, cell.label),
      h("td", { class: "done" },
        h("span", null, isDone(cell) ? whole(cell.networks_done) : `${whole(cell.networks_done)} of ${cell.known ? "" : "at least "}${whole(cell.networks)}`),
        isDone(cell) ? null : h("progress", { max: cell.networks || 1, value: cell.networks_done, "aria-label": `Networks of ${cell.label}` })),
      names.length ? h("td", { class: "mix" }, bar(names, counts[cell.id] ?? [])) : null));
    const key_ = names.length ? h("ul", { class: "legend" }, names.map((name, k) => h("li", null, h("span", { class: `chip ${MIX[k % MIX.length]}` }), name))) : null;
    const body = h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Progress by cell" },
      h("table", { class: "cells" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "cell"), h("th", { scope: "col" }, "networks"), names.length ? h("th", { scope: "col" }, "how they ended") : null)), h("tbody", null, rows)));
    return [h("h2", null, "Cells"), key_, folded(value.cells.length, body)].filter(Boolean);
  });
}

const isDone = (cell) => cell.known && cell.networks_done >= cell.networks;

const folded = (count, body) => count > MOST_ROWS ? h("details", null, h("summary", null, `${count} rows`), body) : body;

function bar(names, counts) {
  const total = counts.reduce((sum, one) => sum + one, 0);
  const text = names.map((name, k) => `${name} ${whole(counts[k] ?? 0)}`).join(", ");
  const parts = counts.map((count, k) => {
    const one = h("span", { class: MIX[k % MIX.length] });
    one.style.flexGrow = String(total ? count / total : 0);
    return one;
  });
  return h("div", { class: "stack", role: "img", "aria-label": text, title: text }, parts);
}

function drawFailures() {
  part_of("failures", [value.failures, value.refused], () => {
    const failures = value.failures;
    if (!failures?.total && !value.refused?.length) return [];
    const items = (failures?.shown ?? []).map((one) => h("details", { class: "failure" },
      h("summary", null, one.error ?? "unknown error"),
      one.cell ? h("p", { class: "quiet" }, `block ${one.block ?? "?"}, seed ${one.seed ?? "?"}, ${Object.entries(one.cell).map(([name, its]) => `${name} ${typeof its === "object" ? JSON.stringify(its) : its}`).join(", ")}`) : null,
      one.replay ? h("p", null, "To repeat it: ", h("code", null, one.replay)) : null,
      one.traceback ? h("pre", { tabindex: "0" }, one.traceback) : null));
    const more = failures && failures.total > failures.shown.length ? [h("p", { class: "quiet" }, `and ${failures.total - failures.shown.length} more under errors/`)] : [];
    const refused = value.refused?.length ? [h("p", null, "Shards that are torn or foreign, and not counted:"), h("ul", null, value.refused.slice(0, 20).map((name) => h("li", null, h("code", null, name))))] : [];
    return [h("h2", null, failures?.total ? `Failed blocks: ${failures.total}` : "Damage"), ...items, ...more, ...refused];
  });
}

function drawSections() {
  part_of("sections", value.sections, () => (value.sections ?? []).flatMap((one) => sectionNodes(one)));
  part_of("figures", [key, value.figures, value.version], () => {
    if (!value.figures?.length) return [];
    const pictures = value.figures.map((name) => h("img", {
      src: `/api/outputs/${encodeURIComponent(key)}/figures/${encodeURIComponent(name)}.svg`, alt: `Figure ${name}`, loading: "lazy",
    }));
    return [h("details", null, h("summary", null, `Figures as written: ${value.figures.join(", ")}`), h("div", { class: "grid pictures" }, pictures))];
  });
  part_of("spec", value.spec, () => value.spec ? [h("details", null, h("summary", null, "Spec"), h("pre", { tabindex: "0" }, value.spec))] : []);
}

function sectionNodes(one) {
  const body = one.headings.length ? [folded(one.rows.length, table(one.headings, one.rows, one.title))] : [];
  return [h("h2", null, one.title), ...body, ...one.remarks.map((text) => h("p", { class: "quiet" }, text))];
}

function draw() {
  drawOutputs();
  if (!value) return;
  drawHead();
  drawCurves();
  drawFailures();
  drawCells();
  drawSections();
}

async function load() {
  const wanted = key, of = outputs.find((one) => one.key === wanted);
  if (!of) return;
  if (of.version === undefined) { value = of; version = null; draw(); return; }
  if (asked === `${wanted} ${of.version}` || (version === of.version && value?.key === wanted)) { draw(); return; }
  asked = `${wanted} ${of.version}`;
  const turn = (turns += 1);
  const found = await get(`/api/outputs/${encodeURIComponent(wanted)}`).catch(() => null);
  if (turn !== turns) return; // a later answer is on its way
  asked = null;
  if (!found || key !== wanted) return; // the link tells when the server is there again
  value = found;
  version = of.version;
  draw();
}

function choose() {
  const named = decodeURIComponent(location.hash.slice(1));
  const next = outputs.find((one) => one.key === named) ?? outputs.find((one) => one.key === key) ?? outputs[0];
  if (!next) return;
  if (next.key !== key) { key = next.key; networks.close(); value = next; version = null; drawn.clear(); }
  load();
}

addEventListener("hashchange", choose);
new ResizeObserver(() => { if (value) drawCurves(); networks.resize(); }).observe(part("main"));

follow((told) => {
  outputs = told.outputs;
  choose();
}, (there) => {
  part("link").textContent = there ? "live" : "the server does not answer; trying again";
  part("link").className = there ? "is-live" : "is-lost";
  if (there) version = null;
});


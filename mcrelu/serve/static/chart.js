// A panel of curves: points with their intervals, beside the paper's, on axes that the server chose.

import { h, number, s, table, whole } from "./dom.js";

const LEFT = 52, RIGHT = 14, TOP = 12, BOTTOM = 44;
const DODGE = 5; // pixels between curves at one place
const MARKERS = [
  "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
  "M-4 -4h8v8h-8Z",
  "M0 -5.2l5 8.8h-10Z",
  "M0 5.2l5-8.8h-10Z",
  "M0 -5.6l5 5.6l-5 5.6l-5-5.6Z",
  "M-1.6 -4.8h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2Z",
];

const marker = (k, attributes) => s("path", { d: MARKERS[k % MARKERS.length], ...attributes });

export const pointId = (curve, point) => `${curve.name}|${point.x}|${point.cell}`;

function scale(axis, from, to) {
  const place = axis.log ? Math.log : (value) => value;
  const low = place(axis.low), span = place(axis.high) - low;
  return (value) => (span ? from + ((place(value) - low) / span) * (to - from) : (from + to) / 2);
}

export function described(point) {
  const of = point.k === null ? `${whole(point.n)} networks` : `${whole(point.k)} of ${whole(point.n)} networks`;
  return `${number(point.y)} (${number(point.low, 3)} to ${number(point.high, 3)}), ${of}`;
}

// The chart as an element. `pick(curve, point)` is called for a point that was chosen.
export function chart(panel, { width, height, pick, chosen, label }) {
  const inner = 26;
  const x = scale(panel.x, LEFT + inner, width - RIGHT - inner);
  const y = scale(panel.y, height - BOTTOM, TOP);
  const floor = height - BOTTOM;
  const clamp = (value) => Math.min(Math.max(value, TOP - 4), floor);
  const at = (value) => (panel.y.log && value <= 0 ? floor : clamp(y(value)));
  const tip = h("p", { class: "tip", "aria-hidden": "true" });
  const svg = s("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  svg.append(axes(panel, x, y, width, height));
  const order = [];
  panel.curves.forEach((curve, k) => {
    const dodge = DODGE * (k - (panel.curves.length - 1) / 2);
    const group = s("g", { class: `curve c${k % MARKERS.length}` });
    group.append(paper(curve, k, x, at, dodge));
    const drawable = curve.points.filter((point) => !panel.y.log || point.y > 0);
    const line = drawable.map((point, j) => `${j ? "L" : "M"}${x(point.x) + dodge} ${at(point.y)}`).join("");
    group.append(s("path", { class: "line", d: line }));
    curve.points.forEach((point) => {
      const left = x(point.x) + dodge;
      const node = pointNode(panel, curve, point, k, left, at, floor);
      const id = pointId(curve, point);
      node.dataset.id = id;
      node.setAttribute("aria-pressed", String(id === chosen));
      const show = () => showTip(tip, svg, panel, curve, point, left, at(point.y), width);
      const hide = () => { tip.classList.remove("shown"); };
      node.addEventListener("pointerenter", show);
      node.addEventListener("pointerleave", hide);
      node.addEventListener("focus", show);
      node.addEventListener("blur", hide);
      node.addEventListener("click", () => pick(curve, point, id));
      node.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(curve, point, id); }
        else walk(event, order, node);
      });
      order.push({ node, k, x: point.x });
      group.append(node);
    });
    svg.append(group);
  });
  const first = order.find((one) => one.node.dataset.id === chosen) ?? order[0];
  if (first) first.node.setAttribute("tabindex", "0");
  return h("div", { class: "plot" }, svg, tip);
}

// Arrow keys go along a curve, and from curve to curve; Tab leaves the chart.
function walk(event, order, node) {
  const here = order.find((one) => one.node === node);
  const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  let next = null;
  if (along) {
    const curve = order.filter((one) => one.k === here.k);
    next = curve[curve.indexOf(here) + along];
  } else if (across) {
    const others = order.filter((one) => one.k === here.k + across);
    next = others.sort((a, b) => Math.abs(Math.log(a.x / here.x)) - Math.abs(Math.log(b.x / here.x)))[0];
  } else if (event.key === "Home" || event.key === "End") {
    const curve = order.filter((one) => one.k === here.k);
    next = curve[event.key === "Home" ? 0 : curve.length - 1];
  } else return;
  event.preventDefault();
  if (!next) return;
  node.setAttribute("tabindex", "-1");
  next.node.setAttribute("tabindex", "0");
  next.node.focus();
}

function axes(panel, x, y, width, height) {
  const floor = height - BOTTOM;
  const group = s("g", { class: "axes", "aria-hidden": "true" });
  for (const tick of panel.y.ticks) {
    group.append(
      s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
      s("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, number(tick, 3)));
  }
  let last = -Infinity;
  for (const tick of panel.x.ticks) {
    const place = x(tick);
    group.append(s("line", { class: "tick", x1: place, x2: place, y1: floor, y2: floor + 4 }));
    const text = widthName(tick, panel.x.high);
    if (place - last < 7 * String(text).length + 8) continue;
    last = place;
    group.append(s("text", { x: place, y: floor + 18, "text-anchor": "middle" }, text));
  }
  group.append(
    s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: floor, y2: floor }),
    s("text", { class: "name", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, panel.abscissa));
  return group;
}

function widthName(value, largest) {
  const power = Math.log2(value);
  if (largest <= 4096 || !Number.isInteger(power)) return whole(value);
  const raised = [...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("");
  return `2${raised}`;
}

function paper(curve, k, x, at, dodge) {
  const group = s("g", { class: "paper", "aria-hidden": "true" });
  const line = curve.paper.map((point, j) => `${j ? "L" : "M"}${x(point.x) + dodge} ${at(point.y)}`).join("");
  group.append(s("path", { class: "line", d: line }));
  for (const point of curve.paper) {
    group.append(marker(k, { transform: `translate(${x(point.x) + dodge} ${at(point.y)})` }));
  }
  return group;
}

function pointNode(panel, curve, point, k, left, at, floor) {
  const name = `${panel.title ? panel.title + ", " : ""}${curve.name}, ${panel.abscissa} ${whole(point.x)}`;
  const node = s("g", {
    class: "point", role: "button", tabindex: "-1",
    "aria-label": `${name}: ${described(point)}. Show its networks`,
  });
  const high = at(point.high), low = at(point.low);
  node.append(s("path", { class: "interval", d: `M${left} ${low}V${high}M${left - 4} ${high}h8` + (low < floor ? `M${left - 4} ${low}h8` : "") }));
  const nothing = panel.y.log && point.y <= 0;
  node.append(
    s("circle", { class: "target", cx: left, cy: at(point.y), r: 14 }),
    marker(k, { class: nothing ? "mark none" : "mark", transform: `translate(${left} ${at(point.y)})` }),
    s("circle", { class: "ring", cx: left, cy: at(point.y), r: 9 }));
  return node;
}

function showTip(tip, svg, panel, curve, point, left, top, width) {
  tip.replaceChildren(
    h("strong", null, `${curve.name === "estimate" ? "" : curve.name + ", "}${panel.abscissa} ${whole(point.x)}`),
    h("span", null, described(point)));
  tip.classList.add("shown");
  const own = tip.offsetWidth;
  tip.style.left = `${Math.min(Math.max(left - own / 2, 0), Math.max(0, width - own))}px`;
  tip.style.top = `${top < 80 ? top + 18 : top - tip.offsetHeight - 14}px`;
}

export function legend(panel) {
  const swatch = (k, kind) =>
    s("svg", { class: `swatch c${k % MARKERS.length}`, width: 30, height: 14, viewBox: "-15 -7 30 14", "aria-hidden": "true" },
      s("g", { class: kind }, s("path", { class: "line", d: "M-14 0H14" }), marker(k, { class: "mark" })));
  const items = panel.curves.length > 1 || panel.curves[0].paper.length
    ? panel.curves.map((curve, k) => h("li", null, swatch(k, "curve"), curve.name))
    : [];
  const first = panel.curves.findIndex((curve) => curve.paper.length);
  if (first >= 0) items.push(h("li", null, swatch(first, "paper"), "paper"));
  return items.length ? h("ul", { class: "legend" }, items) : null;
}

// The same numbers as a table, for whoever does not see the chart.
export function numbers(panel) {
  const many = panel.curves.length > 1, paper = panel.curves.some((curve) => curve.paper.length);
  const headings = [...(many ? ["curve"] : []), panel.abscissa, "estimate", "95 % interval", "networks", ...(paper ? ["paper"] : [])];
  const rows = panel.curves.flatMap((curve) => curve.points.map((point) => {
    const theirs = curve.paper.find((one) => one.x === point.x);
    return [
      ...(many ? [curve.name] : []), whole(point.x), number(point.y),
      `${number(point.low, 3)} .. ${number(point.high, 3)}`, whole(point.n),
      ...(paper ? [theirs ? number(theirs.y) : ""] : []),
    ];
  }));
  return h("details", { class: "numbers" }, h("summary", null, "These numbers as a table"), table(headings, rows, "Estimates"));
}

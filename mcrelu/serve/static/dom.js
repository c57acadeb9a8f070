// Elements from plain values. Data only ever becomes text or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

export const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const s = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A table that scrolls by itself where it is wider than the screen.
export function table(headings, rows, label) {
  const words = headings.map((_, k) => !rows.every((row) => isNumber(row[k])));
  const cell = (tag, value, k) =>
    value instanceof Node
      ? h(tag, { class: words[k] ? "word" : null }, value)
      : h(tag, { class: words[k] ? "word" : null, scope: tag === "th" ? "col" : null }, String(value));
  const head = headings.some((one) => one !== "")
    ? h("thead", null, h("tr", null, headings.map((value, k) => cell("th", value, k))))
    : null;
  const body = h("tbody", null, rows.map((row) => h("tr", null, row.map((value, k) => cell("td", value, k)))));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
    h("table", null, head, body));
}

const isNumber = (value) => /^([-+−]?[0-9.]|infinite|–?$)/.test(String(value instanceof Node ? value.textContent : value));

// Numbers as people read them.
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return whole(value);
  return String(Number(value.toPrecision(digits))).replace("e-", "e−").replace(/^-/, "−");
}

export const whole = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// A network while it trains: its function moving over the data, and where it bends.

import { h, number, s, whole } from "./dom.js";

const LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 34;
const PER_SECOND = 14;
const OUTSIDE = 0.35; // of the range of the data, that is shown beyond it

function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(Number((k * step).toPrecision(6)));
  return found;
}

// Between two places of the grid the function is a line, as well as can be seen.
function valueAt(x, values, place) {
  const span = x[x.length - 1] - x[0], where = ((place - x[0]) / span) * (x.length - 1);
  const k = Math.min(Math.max(Math.floor(where), 0), x.length - 2);
  return values[k] + (where - k) * (values[k + 1] - values[k]);
}

export function film(moving, { width, height }) {
  const { steps, kinks, x, values, data } = moving;
  const reach = Math.max(...data.y) - Math.min(...data.y) || 1;
  const low = Math.min(...data.y, 0) - OUTSIDE * reach, high = Math.max(...data.y, 0) + OUTSIDE * reach;
  const floor = height - BOTTOM;
  const px = (value) => LEFT + ((value - x[0]) / (x[x.length - 1] - x[0])) * (width - RIGHT - LEFT);
  const py = (value) => Math.min(Math.max(floor - ((value - low) / (high - low)) * (floor - TOP), -50), height + 50);
  const line = s("path", { class: "function" });
  const bends = s("g", { class: "bends" });
  const svg = s("svg", { class: "film", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "The function of the network over the data while it trains" });
  const clip = s("clipPath", { id: "film-area" }, s("rect", { x: LEFT, y: TOP, width: width - RIGHT - LEFT, height: floor - TOP }));
  const grid = s("g", { class: "axes", "aria-hidden": "true" });
  for (const tick of ticks(low, high)) {
    grid.append(
      s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: py(tick), y2: py(tick) }),
      s("text", { x: LEFT - 8, y: py(tick) + 4, "text-anchor": "end" }, number(tick)));
  }
  for (const tick of ticks(x[0], x[x.length - 1])) {
    grid.append(s("text", { x: px(tick), y: floor + 18, "text-anchor": "middle" }, number(tick)));
  }
  grid.append(s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: floor, y2: floor }));
  const most = Math.max(...data.share);
  const dots = data.x.map((place, k) => s("circle", {
    class: data.share[k] ? "datum" : "datum unseen", cx: px(place), cy: py(data.y[k]),
    r: data.share[k] ? 4 + 5 * Math.sqrt(data.share[k] / most) : 4,
  }));
  svg.append(clip, grid, s("g", { "clip-path": "url(#film-area)" }, dots, line, bends));

  const told = h("output", { class: "step" });
  const slider = h("input", { type: "range", min: 0, max: steps.length - 1, value: 0, step: 1, "aria-label": "Step of training" });
  const button = h("button", { type: "button", class: "play" }, "Play");
  let frame = 0, timer = null;

  function show(k) {
    frame = k;
    const now = values[k];
    line.setAttribute("d", x.map((place, j) => `${j ? "L" : "M"}${px(place).toFixed(1)} ${py(now[j]).toFixed(1)}`).join(""));
    const inside = kinks[k].filter((place) => place !== null && place >= x[0] && place <= x[x.length - 1]);
    bends.replaceChildren(...inside.map((place) => {
      const up = py(valueAt(x, now, place));
      return s("path", { d: `M${px(place).toFixed(1)} ${(up - 6).toFixed(1)}v12` });
    }));
    const losses = Object.entries(moving.losses).map(([name, loss]) => `${name} ${number(loss[k])}`);
    told.textContent = [`step ${whole(steps[k])}`, ...losses].join(" · ");
    slider.value = String(k);
    slider.setAttribute("aria-valuetext", `step ${steps[k]}`);
    svg.dataset.frame = String(k);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  function play() {
    if (frame === steps.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      if (!svg.isConnected) stop();
      else if (frame < steps.length - 1) show(frame + 1);
      if (frame === steps.length - 1) stop();
    }, 1000 / PER_SECOND);
  }
  button.addEventListener("click", () => (timer ? stop() : play()));
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  show(0);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) setTimeout(() => { if (!timer && !frame) play(); }, 400);
  const key = h("p", { class: "key" },
    h("span", { class: "of-function" }, "function of the network"),
    h("span", { class: "of-bends" }, "its kinks"),
    h("span", { class: "of-data" }, "sample, larger where there is more of it"));
  return h("div", { class: "screen" }, svg, h("div", { class: "controls" }, button, slider), told, key);
}

// Thresholds: one slider for all labels, one for each, over the scores that were found.

import { el, get, iconButton, oncePerFrame, svg } from "./dom.js";
import { chooseAgain, colourClass, FLOOR, fitted, on, state, tell, threshold } from "./store.js";

const BINS = 40;
const HIGHEST = 1;
const MOST_PICTURES = 60; // labels whose scores are drawn
const rows = new Map(); // name of a label, or null for all -> {input, output, reset, bars}

const chooseSoon = oncePerFrame(chooseAgain);

export function start() {
  on("labels found server", build);
  on("thresholds chosen", show);
}

const floor = () => state.found?.floor ?? FLOOR;

function build() {
  rows.clear();
  const counts = scoreCounts();
  const drawn = state.labels.length <= MOST_PICTURES;
  get("thresholds").replaceChildren(
    row(null, "All labels", "all", null),
    ...state.labels.map(({ name, colour }) => row(name, name, colourClass(colour), drawn ? counts.get(name) : null)),
  );
  show();
}

function row(name, title, kind, scores) {
  const input = el("input", {
    type: "range", min: floor(), max: HIGHEST, step: 0.01,
    "aria-label": name === null ? "Threshold of all labels" : `Threshold of ${title}`,
    on: { input: () => change(name, Number(input.value)) },
  });
  const output = el("output", {});
  const reset = iconButton("reset", name === null ? "All as fitted for the model" : `${title} as all labels`, () => {
    change(name, null);
    input.focus();
  });
  const bars = scores ? histogram(scores) : null;
  rows.set(name, { input, output, reset, bars: bars ? [...bars.children] : [] });
  return el(
    "div",
    { class: `threshold ${kind}` },
    el("span", { class: "title", text: title }),
    output,
    reset,
    el("div", { class: "track" }, bars, input),
  );
}

function change(name, value) {
  if (name !== null) {
    if (value === null) state.own.delete(name);
    else state.own.set(name, value);
  } else {
    state.base = value;
    if (value === null) state.own.clear();
  }
  tell("thresholds");
  chooseSoon();
}

function show() {
  for (const [name, { input, output, reset, bars }] of rows) {
    const changed = name === null ? state.base !== null : state.own.has(name);
    const value = name === null ? (state.base ?? state.server?.default_threshold ?? 0.5) : threshold(name);
    input.value = value;
    input.setAttribute("aria-valuetext", name === null && !changed ? "as fitted for the model" : value.toFixed(2));
    input.classList.toggle("idle", name === null && !changed);
    output.textContent = name === null && !changed ? "as fitted" : value.toFixed(2);
    output.classList.toggle("own", changed);
    reset.hidden = name === null ? state.base === null && state.own.size === 0 : !changed;
    if (name !== null) output.title = changed ? "" : state.base === null ? `fitted: ${fitted(name).toFixed(2)}` : "as all labels";
    bars.forEach((bar) => bar.classList.toggle("below", Number(bar.dataset.score) < value));
  }
}

/** By label, how many spans have a score in each of the bins between the floor and 1. */
function scoreCounts() {
  const counts = new Map(state.labels.map(({ name }) => [name, new Uint32Array(BINS)]));
  for (const { candidates } of state.found?.documents ?? []) {
    for (const { type, score } of candidates) {
      const bin = Math.floor(((score - floor()) / (HIGHEST - floor())) * BINS);
      const own = counts.get(type);
      if (own) own[Math.min(Math.max(bin, 0), BINS - 1)]++;
    }
  }
  return counts;
}

function histogram(scores) {
  const most = Math.max(...scores);
  if (!most) return null;
  const step = (HIGHEST - floor()) / BINS;
  return svg(
    "svg",
    { class: "scores", viewBox: `0 0 ${BINS * 4} 18`, preserveAspectRatio: "none", "aria-hidden": "true" },
    [...scores].map((number, bin) => {
      const height = number ? 2 + 16 * Math.sqrt(number / most) : 0;
      return svg("rect", { x: bin * 4 + 0.5, y: 18 - height, width: 3, height, data: { score: (floor() + (bin + 0.999) * step).toFixed(4) } });
    }),
  );
}

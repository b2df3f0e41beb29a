// What the graph relates an entity to, as a picture: relations branch off the entity, neighbours off their relations.

import { el, svg } from "./dom.js";
import { colourClass, state } from "./store.js";

const ROW = 26; // pixels of a neighbour
const GAP = 12; // between relations
const NAME = 12; // pixels of letters, as the stylesheet has them
const RELATION = 11;

/** answer: of /v1/graph/neighbours. width: pixels. walk(id): is called for a neighbour that is chosen. */
export function picture(answer, width, walk) {
  const nodes = new Map(answer.nodes.map((node) => [node.id, node]));
  const groups = grouped(answer);
  const most = width * 0.34;
  for (const group of groups) {
    group.text = short(group.title, most - 38, RELATION);
    group.pill = measure(group.text, RELATION) + 38;
  }
  const pillAt = 44;
  const nodeAt = pillAt + Math.max(...groups.map(({ pill }) => pill)) + 32;
  let y = GAP;
  for (const group of groups) {
    group.top = y;
    y += group.ends.length * ROW + GAP + (group.left ? ROW * 0.8 : 0);
    group.middle = group.top + (group.ends.length * ROW) / 2;
  }
  const height = y;
  const middle = height / 2;
  const lines = svg("g", { class: "lines" });
  const marks = svg("g", {});
  const places = svg("g", {});
  for (const { title, text, pill, out, ends, top, middle: at, left } of groups) {
    lines.append(curve(20, middle, pillAt, at, out ? "out" : "in"));
    ends.forEach((id, number) => lines.append(curve(pillAt + pill, at, nodeAt - 9, top + (number + 0.5) * ROW, out ? "out end" : "in")));
    marks.append(
      svg("rect", { class: "pill", x: pillAt, y: at - 11, width: pill, height: 22, rx: 11 }),
      svg("text", { class: "relation", x: pillAt + pill / 2, y: at + 4 }, `${out ? "" : "← "}${text}${out ? " →" : ""}`, svg("title", { text: title })),
    );
    ends.forEach((id, number) => places.append(node(nodes.get(id), title, out, nodeAt, top + (number + 0.5) * ROW, width - nodeAt, walk)));
    if (left) marks.append(svg("text", { class: "left", x: nodeAt - 3, y: top + ends.length * ROW + ROW * 0.5 }, `and ${left.toLocaleString("en")} more`));
  }
  const own = nodes.get(answer.id);
  return svg(
    "svg",
    { class: "picture", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `What the graph relates ${own.name} to` },
    lines,
    svg("circle", { class: `own ${typeColour(own.type)}`, cx: 13, cy: middle, r: 8 }),
    marks,
    places,
  );
}

/** Relations in order of their number of edges, each with the ids at the other ends. */
function grouped({ id, edges, relations }) {
  const groups = new Map(relations.map(({ relation, direction, count }) => [`${direction} ${relation}`, { title: relation.replaceAll("_", " "), out: direction === "out", count, ends: [] }]));
  for (const { head, relation, tail } of edges) {
    const out = groups.get(`out ${relation}`);
    if (head === id && out && out.ends.length < out.count) out.ends.push(tail);
    else groups.get(`in ${relation}`)?.ends.push(head);
  }
  const shown = [...groups.values()].filter(({ ends }) => ends.length);
  for (const group of shown) group.left = group.count - group.ends.length;
  return shown.sort((a, b) => b.ends.length - a.ends.length);
}

function node({ id, name, type }, relation, out, x, y, width, walk) {
  const said = out ? `${relation} ${name}, ${type}` : `${name}, ${type}, ${relation} this`;
  return svg(
    "g",
    {
      class: `node ${typeColour(type)}`, role: "button", tabindex: 0, "aria-label": said,
      on: {
        click: () => walk(id),
        keydown: (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          walk(id);
        },
      },
    },
    svg("rect", { class: "hit", x: x - 14, y: y - ROW / 2 + 1, width: width + 12, height: ROW - 2, rx: 6 }),
    svg("circle", { cx: x, cy: y, r: 5.5 }),
    svg("text", { x: x + 13, y: y + 4 }, short(name, width - 16, NAME)),
    svg("title", { text: `${name} (${type}) ${id}` }),
  );
}

function curve(x, y, toX, toY, kind) {
  const middle = (x + toX) / 2;
  return svg("path", { class: kind, d: `M${x} ${y}C${middle} ${y} ${middle} ${toY} ${toX} ${toY}` });
}

let canvas;

/** Pixels that a text takes. */
function measure(text, size) {
  canvas ??= document.createElement("canvas").getContext("2d");
  canvas.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return canvas.measureText(text).width;
}

/** A text that takes at most so many pixels, cut where it is longer. */
function short(text, most, size) {
  if (measure(text, size) <= most) return text;
  const letters = [...text].slice(0, 200);
  while (letters.length > 1 && measure(`${letters.join("").trimEnd()}…`, size) > most) letters.pop();
  return `${letters.join("").trimEnd()}…`;
}

/** A colour for a type of the graph: that of the label it is, else one by its letters that no label has. */
export function typeColour(type) {
  const plain = type.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  const label = state.labels.find(({ name }) => name.toLowerCase() === plain);
  if (label) return colourClass(label.colour);
  let sum = 3;
  for (const letter of plain) sum = (sum * 31 + letter.codePointAt(0)) % 1009;
  const used = new Set(state.labels.map(({ colour }) => colour % 10));
  const free = [...Array(10).keys()].filter((hue) => !used.has(hue));
  return colourClass(free.length ? free[sum % free.length] : sum % 10);
}

/** The types of a picture, as a legend. */
export function legend(answer) {
  const types = [...new Set(answer.nodes.map(({ type }) => type))].sort();
  return el("ul", { class: "types", "aria-label": "Types" }, types.map((type) => el("li", { class: typeColour(type) }, el("span", { class: "dot", "aria-hidden": "true" }), type)));
}

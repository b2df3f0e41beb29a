// The panel of an entity: what was found in the text, and what the graph knows of it.

import { ask, Problem } from "./api.js";
import { count, el, get, icon, iconButton, some } from "./dom.js";
import { legend, picture, typeColour } from "./picture.js";
import { colours, state } from "./store.js";

const LIMITS = [12, 30, 100, 300];
const NAMES = 10;
// How a linker finds entities (`kogner.link.candidates`), in words.
const HOW = {
  exact: "same name", casefold: "same name", normalised: "same name, other signs", written: "same name, written otherwise", part: "a part of it",
  near: "a name like it", alias: "called so in texts", vector: "a vector like it", conjunct: "one of the names it is made of",
};
let trail = []; // ids that were looked at, the last one is shown
let mention = null;
let limit = LIMITS[0];
let asking = null;
let neighbours = null;
let back = () => {};

/** closed(): the panel was closed. */
export function start({ closed }) {
  back = closed;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !get("panel").hidden && !event.defaultPrevented && !get("link").open) close();
  });
  new ResizeObserver(() => neighbours && drawPicture()).observe(get("panel"));
}

export const isOpen = () => !get("panel").hidden;

/** Show an entity of a text. document: the one it stands in. */
export function open(entity, document) {
  mention = { entity, document };
  trail = entity.ids.length ? [entity.ids[0].id] : [];
  get("panel").hidden = false;
  get("main").classList.add("with-panel");
  draw();
}

export function close(quiet = false) {
  if (!isOpen()) return;
  asking?.abort();
  neighbours = null;
  get("panel").hidden = true;
  get("main").classList.remove("with-panel");
  if (!quiet) back();
}

function walk(id) {
  trail.push(id);
  draw();
}

function head(title, sub) {
  return el(
    "header",
    {},
    el(
      "div",
      { class: "bar" },
      trail.length > 1 && el("button", { type: "button", class: "quiet", on: { click: () => (trail.pop(), draw()) } }, icon("back"), " Back"),
      trail.length > 2 && el("button", { type: "button", class: "quiet", text: "To the first", on: { click: () => ((trail = trail.slice(0, 1)), draw()) } }),
      iconButton("close", "Close (Escape)", () => close()),
    ),
    el("h2", { id: "panel-title", tabindex: -1, text: title }),
    sub,
  );
}

async function draw() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  neighbours = null;
  const { entity } = mention;
  const id = trail[trail.length - 1];
  const first = trail.length <= 1;
  const found = first ? ofText() : null;
  const text = entity.text.replace(/\s+/g, " ");
  const known = entity.ids.find((one) => one.id === id);
  show(head(first ? (known?.name ?? text) : id, null), found, id && el("p", { class: "waiting", text: "Asking the graph …" }));
  focusTitle();
  if (!state.server?.graph) {
    show(head(text, null), found, el("p", { class: "none", text: "This server has no graph, so there is nothing to say about what this is. Its owner can start it with --graph." }));
  } else if (!id) {
    show(head(text, null), found, el("p", { class: "none", text: "No entity of the graph has a name like this, so it has no id." }));
  } else {
    try {
      const [about, around] = await Promise.all([ask(`v1/entities/${id.split("/").map(encodeURIComponent).join("/")}`, undefined, signal), ask(neighboursOf(id), undefined, signal)]);
      neighbours = around;
      show(head(about.name, badge(about)), found, description(about), names(about), ids(about), neighbourhood(around));
      drawPicture();
    } catch (error) {
      if (error.name === "AbortError") return;
      const said = error instanceof Problem ? error.message : "Something went wrong on this page.";
      show(head(known?.name ?? id, null), found, el("p", { class: "none", role: "alert" }, `The graph does not answer: ${said} `, el("button", { type: "button", text: "Try again", on: { click: draw } })));
      if (!(error instanceof Problem)) throw error;
    }
  }
  focusTitle();
}

const neighboursOf = (id) => `v1/graph/neighbours?id=${encodeURIComponent(id)}&limit=${limit}`;

function show(top, ...parts) {
  get("panel").replaceChildren(top, el("div", { class: "body" }, parts));
}

function focusTitle() {
  get("panel-title")?.focus({ preventScroll: true });
}

function ofText() {
  const { entity, document } = mention;
  const readings = (links, said) =>
    links.length > 0 &&
    el("details", { class: "others" }, el("summary", { text: said }), el("ul", {}, links.map((one) => el("li", {}, el("button", { type: "button", class: "plain", text: one.name, on: { click: () => ((trail = [one.id]), draw()) } }), " ", el("span", { class: "score", text: one.score.toFixed(2) }), el("small", { text: why(one) })))));
  const other = ({ id }) => id !== trail[trail.length - 1];
  const named = entity.ids.slice(0, entity.together ?? 1).filter(other);
  const rest = entity.ids.slice(entity.together ?? 1).filter(other);
  const single = (entity.together ?? 1) === 1; // then what is not shown may be the first
  return el(
    "section",
    { class: "found", "aria-label": "In the text" },
    el("blockquote", {}, ...context(entity, document)),
    el(
      "dl",
      { class: "facts" },
      fact("Found as", el("span", { class: `type ${colours(entity.type)}` }, el("span", { class: "dot", "aria-hidden": "true" }), entity.type)),
      fact("Score", entity.score.toFixed(3)),
      fact("Place", `${count(entity.start)}–${count(entity.end)}`),
      entity.ids.length && fact("Linked by", known(entity.ids.find(({ id }) => id === trail[0]))),
    ),
    !single && readings(named, `names ${some(named.length, "more entity", "more entities")} at once`),
    readings(single ? [...named, ...rest] : rest, some(single ? named.length + rest.length : rest.length, "other reading", "other readings")),
  );
}

const fact = (name, value) => el("div", {}, el("dt", { text: name }), el("dd", {}, value));
const known = (link) => el("span", { title: why(link) }, `${HOW[link.how] ?? link.how}, ${link.score.toFixed(2)}`);
const why = ({ how, matched, likeness }) => [HOW[how] ?? how, matched && `“${matched}”`, typeof likeness === "number" && `vectors ${likeness.toFixed(2)}`].filter(Boolean).join(": ");

/** The line that an entity stands in, or what is near it of a long one. */
function context({ from, to, type }, { text }) {
  const before = text.slice(text.lastIndexOf("\n", from - 1) + 1, from);
  const after = text.slice(to).split("\n", 1)[0];
  const left = before.length > 80 ? `… ${before.slice(before.indexOf(" ", before.length - 70) + 1)}` : before;
  const space = after.indexOf(" ", 70);
  const right = after.length > 90 && space >= 0 ? `${after.slice(0, Math.min(space, 90))} …` : after.slice(0, 200);
  return [left, el("b", { class: colours(type), text: text.slice(from, to) }), right];
}

function badge({ id, type, also }) {
  return [
    el("p", { class: "badge" }, el("span", { class: `type ${typeColour(type)}` }, el("span", { class: "dot", "aria-hidden": "true" }), type), el("code", { text: id }), iconButton("copy", `Copy ${id}`, (event) => copy(id, event.currentTarget))),
    also.length > 0 && el("p", { class: "also", text: `${some(also.length, "other entity has", "other entities have")} this id too: ${also.join(", ")}` }),
  ];
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  } catch {
    get("status").textContent = `It cannot be copied here: ${text}`; // no clipboard without https
  }
}

const description = ({ description: text }) => text && el("p", { class: "description", text });

function names({ synonyms }) {
  return listed("Also called", synonyms, (name) => el("li", { text: name }), "names");
}

function ids({ ids: elsewhere }) {
  return listed("Ids elsewhere", elsewhere, (id) => el("li", {}, el("code", { text: id })), "ids");
}

function listed(title, all, item, kind) {
  if (!all.length) return null;
  const list = el("ul", { class: kind }, all.slice(0, NAMES).map(item));
  const more = all.length > NAMES && el("button", { type: "button", class: "plain", text: `Show all ${count(all.length)}`, on: { click: () => (list.replaceChildren(...all.map(item)), more.remove()) } });
  return el("section", {}, el("h3", { text: title }), list, more);
}

function neighbourhood({ total, nodes }) {
  if (!total) return el("section", {}, el("h3", { text: "In the graph" }), el("p", { class: "none", text: "The graph relates it to nothing." }));
  const choice = el("select", { "aria-label": "How many relations", on: { change: changeLimit } }, LIMITS.map((one) => el("option", { value: one, selected: one === limit, text: `${Math.min(one, total)}` })).filter((_, at) => at === 0 || LIMITS[at - 1] < total));
  return el(
    "section",
    { class: "neighbourhood" },
    el("h3", {}, "In the graph"),
    el("p", { class: "of" }, total > LIMITS[0] ? [choice, ` of ${count(total)} relations`] : some(total, "relation", "relations")),
    el("div", { class: "drawing" }),
    legend({ nodes }),
  );
}

async function changeLimit({ target }) {
  limit = Number(target.value);
  const { signal } = asking;
  try {
    neighbours = await ask(neighboursOf(trail[trail.length - 1]), undefined, signal);
    drawPicture();
    get("panel").querySelector(".types").replaceWith(legend(neighbours));
  } catch (error) {
    if (error.name !== "AbortError") get("panel").querySelector(".of").append(` ${error.message}`);
  }
}

function drawPicture() {
  const place = get("panel").querySelector(".drawing");
  const width = Math.floor(place?.clientWidth ?? 0);
  if (!place || !width || place.dataset.drawn === `${width} ${neighbours.edges.length} ${neighbours.id}`) return;
  place.dataset.drawn = `${width} ${neighbours.edges.length} ${neighbours.id}`;
  place.replaceChildren(picture(neighbours, width, walk));
}

// The entities of all documents as a table that can be sorted and searched.

import { count, el, get, some } from "./dom.js";
import { colours, on, state, tell } from "./store.js";

const PAGE = 200; // rows at a time
const COLUMNS = [
  ["Text", (row) => row.entity.text.toLowerCase()],
  ["Type", (row) => row.entity.type],
  ["Score", (row) => row.entity.score],
  ["Place", (row) => row.document * 1e9 + row.entity.start],
  ["Id", (row) => row.entity.ids[0]?.id ?? "\uffff"],
  ["Name in the graph", (row) => row.entity.ids[0]?.name.toLowerCase() ?? "\uffff"],
];
const sorted = { column: 3, falling: false };
let wanted = "";
let most = PAGE;
let search;
let openEntity = () => {};
let opened = null;

/** open(entity, document number, element): an entity is to be shown. */
export function start({ open }) {
  openEntity = open;
  search = el("input", {
    type: "search", placeholder: "Text, type or id", "aria-label": "Search the entities",
    on: { input: () => ((wanted = search.value.trim().toLowerCase()), (most = PAGE), draw()) },
  });
  get("table").append(el("div", { class: "search" }, search, el("span", { class: "hits", role: "status" })), el("div", { class: "rows" }));
  on("chosen view", draw);
}

function rows() {
  const all = state.chosen.flatMap((entities, document) => entities.map((entity) => ({ entity, document })));
  const found = wanted ? all.filter(({ entity: { text, type, ids } }) => [text, type, ids[0]?.id, ids[0]?.name].some((cell) => cell?.toLowerCase().includes(wanted))) : all;
  const [, value] = COLUMNS[sorted.column];
  const sign = sorted.falling ? -1 : 1;
  const keyed = found.map((row, at) => ({ row, key: value(row), at }));
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.at - b.at));
  return keyed.map(({ row }) => row);
}

function draw() {
  if (state.view !== "table") return;
  const all = rows();
  const many = state.found?.documents.length > 1;
  get("table").querySelector(".hits").textContent = wanted ? some(all.length, "entity", "entities") : "";
  const focused = document.activeElement?.dataset?.column;
  const head = COLUMNS.map(([title], column) => {
    const own = sorted.column === column;
    return el(
      "th",
      { scope: "col", "aria-sort": own ? (sorted.falling ? "descending" : "ascending") : null, class: title === "Score" || title === "Place" ? "number" : null },
      el("button", { type: "button", data: { column }, text: title, on: { click: () => sort(column) } }),
    );
  });
  const body = all.slice(0, most).map(({ entity, document }) => {
    const [id] = entity.ids;
    const place = `${many ? `${state.found.documents[document].id}: ` : ""}${entity.start}–${entity.end}`;
    return el(
      "tr",
      { class: opened === entity ? "opened" : null },
      el("th", { scope: "row" }, el("button", { type: "button", class: "text", text: entity.text.replace(/\s+/g, " "), on: { click: (event) => openEntity(entity, document, event.target) } })),
      el("td", {}, el("span", { class: `type ${colours(entity.type)}` }, el("span", { class: "dot", "aria-hidden": "true" }), entity.type)),
      el("td", { class: "number", text: entity.score.toFixed(2) }),
      el("td", { class: "number", text: place }),
      el("td", {}, id ? el("code", { text: id.id }) : el("span", { class: "missing", text: "–" })),
      el("td", { text: id?.name ?? "" }),
    );
  });
  get("table").querySelector(".rows").replaceChildren(
    all.length
      ? el("table", {}, el("caption", { class: "hidden", text: "Entities" }), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body))
      : el("p", { class: "nothing", text: wanted ? "No entity has this." : "No entity reaches its threshold." }),
    all.length > most ? el("button", { type: "button", class: "more", text: `Show more (${count(all.length - most)} left)`, on: { click: () => ((most += PAGE * 5), draw()) } }) : "",
  );
  if (focused !== undefined) get("table").querySelector(`[data-column="${focused}"]`)?.focus();
}

function sort(column) {
  sorted.falling = sorted.column === column ? !sorted.falling : column === 2;
  sorted.column = column;
  most = PAGE;
  tell("view");
}

/** Mark an entity as the one that the panel shows; null: none. */
export function setOpened(entity) {
  opened = entity;
  draw();
}

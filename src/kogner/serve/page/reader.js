// The text with its entities marked, layer over layer where they are nested.
//
// A long text is cut into blocks, of which a browser lays out those that are seen, and a new threshold draws again
// those whose entities changed.

import { el, get } from "./dom.js";
import { heights } from "./select.js";
import { colours, on, state } from "./store.js";

const BLOCK = 1200; // UTF-16 units of a block at least
const DEEPEST = 4;
let blocks = []; // {from, to, element, key}
let drawn = null; // the document that the blocks are of
let current = null; // number of the candidate that Tab comes to
let opened = null; // number of the candidate that the panel shows
const hooks = { open: () => {}, hover: () => {} };

/** open(entity, mark): an entity is to be shown. hover(entities, mark): the pointer or the focus is at it; null: gone. */
export function start({ open, hover }) {
  Object.assign(hooks, { open, hover });
  const reader = get("reader");
  reader.addEventListener("click", (event) => activate(event.target.closest("mark")));
  reader.addEventListener("keydown", onKey);
  reader.addEventListener("focusin", ({ target }) => target.matches("mark") && (setCurrent(target), hooks.hover(around(target), target)));
  reader.addEventListener("focusout", () => hooks.hover(null));
  reader.addEventListener("pointerover", ({ target, pointerType }) => {
    const mark = target.closest("mark");
    if (pointerType !== "touch") hooks.hover(mark ? around(mark) : null, mark);
  });
  reader.addEventListener("pointerleave", () => hooks.hover(null));
  on("chosen view labels", draw);
}

const entities = () => state.chosen[state.at] ?? [];
const marks = () => [...get("reader").querySelectorAll("mark")];
const markOf = (n) => get("reader").querySelector(`mark[data-n="${n}"]`);

/** Mark an entity as the one that the panel shows; null: none. */
export function setOpened(n) {
  opened = n;
  for (const mark of get("reader").querySelectorAll("mark.opened")) mark.classList.remove("opened");
  if (n !== null) markOf(n)?.classList.add("opened");
}

/** Bring an entity into view, and the focus to it where asked. */
export function reveal(n, focus = false) {
  const mark = markOf(n);
  if (!mark) return false;
  mark.scrollIntoView({ block: "nearest" });
  if (focus) mark.focus({ preventScroll: true });
  return true;
}

function draw() {
  const found = state.found?.documents[state.at];
  if (state.view !== "text" || !found) return;
  get("reader").classList.toggle("tagged", state.tags);
  if (drawn !== found) {
    drawn = found;
    current = null;
    blocks = cut(found);
    get("reader").replaceChildren(...blocks.map(({ element }) => element));
    get("reader").scrollTop = 0;
  }
  const all = entities();
  const high = heights(all);
  const tint = new Map(state.labels.map(({ name }) => [name, colours(name)]));
  let next = 0;
  for (const block of blocks) {
    const first = next;
    while (next < all.length && all[next].from < block.to) next++;
    const key = all.slice(first, next).map((one, at) => `${one.n}.${high[first + at]}.${tint.get(one.type)}`).join(" ");
    if (key === block.key) continue;
    const focused = block.element.contains(document.activeElement) ? document.activeElement.dataset.n : null;
    block.key = key;
    fillBlock(block, found.text, all, high, first, next, tint);
    if (focused !== null) markOf(focused)?.focus();
  }
  tabStop();
}

/** Blocks of a document: whole lines, and none ends inside a candidate. */
function cut({ text, candidates }) {
  const made = [];
  const inside = new Uint8Array(text.length + 1);
  for (const { from, to } of candidates) inside.fill(1, from, to);
  let from = 0;
  for (let at = text.indexOf("\n", BLOCK); at >= 0; at = text.indexOf("\n", at)) {
    if (inside[at]) {
      at++;
      continue;
    }
    made.push({ from, to: at });
    from = at + 1;
    at += BLOCK;
  }
  made.push({ from, to: text.length });
  return made.map((block) => ({ ...block, key: null, element: el("div", { class: "block" }) }));
}

function fillBlock({ from, to, element }, text, all, high, first, last, tint) {
  const top = document.createDocumentFragment();
  const open = []; // {mark, entity}
  let at = from;
  const into = () => open[open.length - 1]?.mark ?? top;
  const write = (end) => {
    if (end > at) into().append(text.slice(at, end).replace(/\r\n?/g, "\n"));
    at = Math.max(at, end);
  };
  const closeUntil = (limit) => {
    while (open.length && open[open.length - 1].entity.to <= limit) {
      const { mark, entity } = open[open.length - 1];
      write(entity.to);
      mark.append(el("span", { class: "tag", "aria-hidden": "true", data: { type: entity.type } }));
      open.pop();
    }
  };
  for (let number = first; number < last; number++) {
    const entity = all[number];
    closeUntil(entity.from);
    write(entity.from);
    const mark = el("mark", {
      class: `${tint.get(entity.type)} h${Math.min(high[number], DEEPEST)}${entity.n === opened ? " opened" : ""}`,
      role: "link",
      tabindex: -1,
      "aria-description": `${entity.type}, score ${entity.score.toFixed(2)}`,
      data: { n: entity.n },
    });
    into().append(mark);
    open.push({ mark, entity });
  }
  closeUntil(to);
  write(to);
  element.replaceChildren(top);
}

/** The entity of a mark and those around it, the innermost first. */
function around(mark) {
  const all = drawn.candidates;
  const found = [];
  for (let at = mark; at?.matches?.("mark"); at = at.parentElement) found.push(all[Number(at.dataset.n)]);
  return found;
}

function setCurrent(mark) {
  current = Number(mark.dataset.n);
  tabStop();
}

function tabStop() {
  const wanted = (current !== null && markOf(current)) || get("reader").querySelector("mark");
  for (const mark of get("reader").querySelectorAll('mark[tabindex="0"]')) if (mark !== wanted) mark.tabIndex = -1;
  if (wanted) wanted.tabIndex = 0;
}

function activate(mark) {
  if (!mark || String(getSelection()).trim()) return; // text is being selected
  setCurrent(mark);
  hooks.open(drawn.candidates[Number(mark.dataset.n)], mark);
}

function onKey(event) {
  const mark = event.target.closest("mark");
  if (!mark || event.ctrlKey || event.altKey || event.metaKey) return;
  const all = marks();
  const at = all.indexOf(mark);
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    all[Math.min(Math.max(to, 0), all.length - 1)].focus();
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    hooks.open(drawn.candidates[Number(mark.dataset.n)], mark);
  }
}

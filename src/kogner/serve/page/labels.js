// The labels: an input with suggestions, and a chip for each, which is the legend too.

import { count, el, get, iconButton, some } from "./dom.js";
import { addLabel, chooseAgain, colourClass, on, removeLabel, state, tell } from "./store.js";

const MOST = 12; // suggestions at a time
let shown = [];
let active = -1;

export function start() {
  const input = get("label");
  input.addEventListener("input", () => (input.value.includes(",") ? takeAll(input.value) : open()));
  input.addEventListener("focus", open);
  input.addEventListener("click", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", onKey);
  get("suggestions").addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus
  get("suggestions").addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(shown[Number(option.dataset.at)].label);
  });
  on("labels chosen server", draw);
}

function matches() {
  const typed = get("label").value.trim().toLowerCase();
  const own = new Set(state.labels.map(({ name }) => name.toLowerCase()));
  const known = [
    ...(state.server?.labels ?? []).map(({ label }) => ({ label, about: "the model was trained on it" })),
    ...(state.server?.suggestions ?? []).map(({ label, entities }) => ({ label, about: `${some(entities, "entity", "entities")} of the graph` })),
  ].filter(({ label }) => !own.has(label.toLowerCase()) && label.toLowerCase().includes(typed));
  known.sort((a, b) => b.label.toLowerCase().startsWith(typed) - a.label.toLowerCase().startsWith(typed));
  known.sort((a, b) => (b.label.toLowerCase() === typed) - (a.label.toLowerCase() === typed));
  const isNew = typed && !own.has(typed) && known[0]?.label.toLowerCase() !== typed;
  return [...(isNew ? [{ label: get("label").value.trim(), about: "a label of your own" }] : []), ...known.slice(0, MOST)];
}

function open() {
  shown = matches();
  active = shown[0]?.label.toLowerCase() === get("label").value.trim().toLowerCase() ? 0 : -1; // Enter takes what was typed
  get("suggestions").replaceChildren(
    ...shown.map(({ label, about }, at) =>
      el("li", { role: "option", id: `suggestion-${at}`, data: { at } }, el("span", { text: label }), el("small", { text: about })),
    ),
  );
  get("suggestions").hidden = shown.length === 0;
  get("label").setAttribute("aria-expanded", String(shown.length > 0));
  showActive();
}

function close() {
  get("suggestions").hidden = true;
  get("label").setAttribute("aria-expanded", "false");
  get("label").removeAttribute("aria-activedescendant");
}

function showActive() {
  const options = [...get("suggestions").children];
  options.forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
  if (options[active]) {
    get("label").setAttribute("aria-activedescendant", options[active].id);
    options[active].scrollIntoView({ block: "nearest" });
  } else get("label").removeAttribute("aria-activedescendant");
}

function onKey(event) {
  const isOpen = !get("suggestions").hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!isOpen) open();
    const step = event.key === "ArrowDown" ? 1 : -1;
    active = (active + step + shown.length + (active < 0 && step < 0 ? 1 : 0)) % Math.max(shown.length, 1);
    showActive();
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (isOpen && shown[active]) take(shown[active].label);
    else takeAll(get("label").value);
  } else if (event.key === "Escape" && isOpen) {
    event.stopPropagation();
    close();
  }
}

const take = (label) => takeAll(label, false);

function takeAll(typed, cut = true) {
  const names = cut ? typed.split(",") : [typed];
  const limits = state.server?.limits;
  let added = false;
  for (const name of names) {
    if (limits && (state.labels.length >= limits.labels || name.trim().length > limits.label_characters)) {
      get("status").textContent = state.labels.length >= limits.labels ? `The server takes ${count(limits.labels)} labels at a time.` : `A label has at most ${count(limits.label_characters)} characters.`;
      continue;
    }
    added = addLabel(name) || added;
  }
  get("label").value = "";
  if (added) tell("labels");
  if (document.activeElement === get("label")) open();
}

function draw() {
  const counts = new Map();
  for (const { type } of state.chosen.flat()) counts.set(type, (counts.get(type) ?? 0) + 1);
  get("chips").replaceChildren(
    ...state.labels.map(({ name, colour }) => {
      const asked = state.found?.asked.has(name);
      const number = counts.get(name) ?? 0;
      return el(
        "li",
        { class: `chip ${colourClass(colour)}${asked && !number ? " none" : ""}` },
        el("span", { class: "dot", "aria-hidden": "true" }),
        el("span", { class: "name", text: name }),
        asked && el("span", { class: "count", "aria-label": some(number, "entity", "entities"), role: "img", text: count(number) }),
        iconButton("close", `Remove ${name}`, () => remove(name)),
      );
    }),
  );
}

function remove(name) {
  const at = state.labels.findIndex((one) => one.name === name);
  removeLabel(name);
  tell("labels");
  chooseAgain();
  const buttons = get("chips").querySelectorAll("button");
  (buttons[Math.min(at, buttons.length - 1)] ?? get("label")).focus();
}

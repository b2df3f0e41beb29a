// What an entity is, beside the pointer or the focus.

import { el, get } from "./dom.js";
import { colours } from "./store.js";

const AWAY = 8; // pixels
let of = null;

export function start() {
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  document.addEventListener("scroll", hide, { capture: true, passive: true });
}

/** Show entities, the innermost first, at an element. */
export function show(entities, at) {
  hide();
  const tip = get("tip");
  tip.replaceChildren(...entities.map(row));
  tip.hidden = false;
  of = at;
  at.setAttribute("aria-describedby", "tip");
  const [box] = at.getClientRects();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(AWAY, box.left), innerWidth - width - AWAY);
  const above = box.top - height - AWAY;
  tip.style.left = `${Math.round(left)}px`; // through the object model, which the policy allows
  tip.style.top = `${Math.round(above > AWAY ? above : box.bottom + AWAY)}px`;
}

export function hide() {
  get("tip").hidden = true;
  of?.removeAttribute("aria-describedby");
  of = null;
}

function row({ type, score, ids, text }, place) {
  const id = ids[0];
  return el(
    "div",
    { class: `row ${colours(type)}` },
    place > 0 && el("p", { class: "inside", text: `inside “${text.length > 60 ? `${text.slice(0, 60)}…` : text}”` }),
    el("p", { class: "what" }, el("span", { class: "dot", "aria-hidden": "true" }), el("b", { text: type }), el("span", { class: "score", text: score.toFixed(2) })),
    id && el("p", { class: "id" }, el("span", { text: id.name }), " ", el("code", { text: id.id })),
  );
}

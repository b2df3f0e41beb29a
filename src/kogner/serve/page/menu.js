// A menu that drops from a button, used with the pointer or the keys.

import { el } from "./dom.js";

/** items: [name, what it is, function] each. */
export function menu(button, list, items) {
  const entries = items.map(([name, about, run]) =>
    el("li", { role: "menuitem", tabindex: -1, on: { click: () => (close(true), run()) } }, el("span", { text: name }), el("small", { text: about })),
  );
  list.append(...entries);

  const open = (at) => {
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    entries[at].focus();
  };
  const close = (focus) => {
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  };

  button.addEventListener("click", () => (list.hidden ? open(0) : close(true)));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    open(event.key === "ArrowDown" ? 0 : entries.length - 1);
  });
  list.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (to !== undefined) entries[(to + entries.length) % entries.length].focus();
    else if (event.key === "Escape") close(true);
    else if (event.key === "Enter" || event.key === " ") document.activeElement.click();
    else return;
    event.preventDefault();
  });
  list.parentElement.addEventListener("focusout", ({ relatedTarget }) => {
    if (!list.hidden && !list.parentElement.contains(relatedTarget)) close(false);
  });
}

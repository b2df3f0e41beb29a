// Elements, made without HTML in strings, so that nothing a text holds can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. options: class, text, data, on (listeners), and attributes; null and false leave one out. */
export function el(tag, options = {}, ...children) {
  return fill(document.createElement(tag), options, children);
}

/** The same of SVG. */
export function svg(tag, options = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), options, children);
}

function fill(element, { class: name, text, data, on, ...attributes }, children) {
  if (name) element.setAttribute("class", name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(data ?? {})) element.dataset[key] = value;
  for (const [event, listener] of Object.entries(on ?? {})) element.addEventListener(event, listener);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element of an id, which index.html has. */
export const get = (id) => document.getElementById(id);

/** A symbol of index.html as a picture that readers of the screen pass over. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

/** A button with a symbol alone, whose name is read out and shown by the pointer. */
export function iconButton(name, label, listener, options = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: listener }, ...options }, icon(name));
}

const number = new Intl.NumberFormat("en");

/** 12345 -> 12,345 */
export const count = (value) => number.format(value);

/** 1, "entity", "entities" -> 1 entity */
export const some = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;

/** A function that runs once before the next picture however often it is called. */
export function oncePerFrame(run) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      run();
    });
  };
}

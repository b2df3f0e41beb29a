// What the page knows. Parts change it and tell which topic changed; others listen.

import { settle } from "./agree.js";
import { choose } from "./select.js";

export const FLOOR = 0.03; // score from which candidates are asked for, once; thresholds work above it

export const state = {
  server: null, // the answer of /v1/labels
  documents: [{ id: "text", text: "" }], // also with passages, where a file or a link tells them
  at: 0, // the document that is shown
  labels: [], // {name, colour}
  base: null, // a threshold for all labels, null = as fitted for the model
  own: new Map(), // label -> threshold of its own
  nested: true,
  tags: true,
  view: "text",
  editing: true,
  found: null, // {floor, asked: Set, documents: [{id, text, passages, candidates}]}, or nothing asked yet
  chosen: [], // for each document found its entities
};

const listeners = new Map();

/** Run a function whenever one of the topics (separated by blanks) is told. */
export function on(topics, run) {
  for (const topic of topics.split(" ")) listeners.set(topic, [...(listeners.get(topic) ?? []), run]);
}

/** Say that a topic changed: server, text, document, labels, thresholds, found, chosen, view. */
export function tell(topic) {
  for (const run of listeners.get(topic) ?? []) run();
}

/** The score an entity of a label has to reach. */
export function threshold(label) {
  return Math.max(state.own.get(label) ?? state.base ?? fitted(label), state.found?.floor ?? 0);
}

/** The threshold that was fitted for a label when the model was made. */
export function fitted(label) {
  return known(label)?.threshold ?? state.server?.default_threshold ?? 0.5;
}

/** What the model knows of a label, whatever its case. */
const known = (label) => state.server?.labels.find((one) => one.label.toLowerCase() === label.toLowerCase());

/** Choose the entities again, from the candidates that are there; no request is made. */
export function chooseAgain() {
  const thresholds = new Map(state.labels.map(({ name }) => [name, threshold(name)]));
  // Where too many spans were there to be asked for from FLOOR on, what is not there may still have been found.
  const whole = (state.found?.floor ?? FLOOR) <= FLOOR;
  const shares = new Map(state.labels.map(({ name }) => [name, (whole && known(name)?.agreement) || 0]));
  state.chosen = (state.found?.documents ?? []).map((one) =>
    settle(one.text, choose(one.candidates, thresholds, state.nested), one.candidates, thresholds, shares),
  );
  tell("chosen");
}

/** Labels that the results do not cover, so that a request is needed. */
export const unasked = () => state.labels.filter(({ name }) => !state.found?.asked.has(name));

/** The class names of a label's colour; ten hues, then the same ones dashed and dotted. */
export function colours(name) {
  const label = state.labels.find((one) => one.name === name);
  return label ? colourClass(label.colour) : "hue grey";
}

export const colourClass = (number) => `hue k${number % 10} r${Math.floor(number / 10) % 3}`;

/** Add a label; false where it is there already. */
export function addLabel(name) {
  const clean = name.trim().replace(/\s+/g, " ");
  if (!clean || state.labels.some((one) => one.name.toLowerCase() === clean.toLowerCase())) return false;
  const used = new Set(state.labels.map((one) => one.colour));
  let colour = 0;
  while (used.has(colour)) colour++;
  state.labels.push({ name: clean, colour });
  return true;
}

export function removeLabel(name) {
  state.labels = state.labels.filter((one) => one.name !== name);
  state.own.delete(name);
}

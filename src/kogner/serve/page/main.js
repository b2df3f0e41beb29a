// The page: what happens when, and what the parts have in common.

import { ask, candidates, Problem } from "./api.js";
import { count, el, get, icon, iconButton, some } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { FORMATS, save } from "./export.js";
import { FileProblem, read } from "./files.js";
import * as labels from "./labels.js";
import * as link from "./link.js";
import { menu } from "./menu.js";
import * as notices from "./notices.js";
import * as panel from "./panel.js";
import * as reader from "./reader.js";
import { addLabel, chooseAgain, FLOOR, on, state, tell, unasked } from "./store.js";
import * as table from "./table.js";
import { codePoints, inParts, wellFormed } from "./text.js";
import * as thresholds from "./thresholds.js";
import * as tip from "./tip.js";

const FIRST_LABELS = 6; // of the model, where nobody has chosen any
let asking = null;
let example = 0;
let origin = null; // what the panel was opened for: {n, entity, document, element}

labels.start();
thresholds.start();
tip.start();
reader.start({
  open: (entity, mark) => openPanel(entity, state.at, mark),
  hover: (entities, mark) => (entities ? tip.show(entities, mark) : tip.hide()),
});
table.start({ open: openPanel });
panel.start({ closed });
startEditor();
startResult();
startTheme();
startDrop();
addEventListener("hashchange", () => location.reload()); // a link was pasted into the address of this tab
on("labels", () => unasked().length && state.found && !state.editing && annotate());
on("labels document", showSize);
on("chosen", showStatus);
on("found document view", showDocuments);
await begin();

async function begin() {
  get("nested").checked = state.nested;
  get("tags").checked = state.tags;
  if (matchMedia("(max-width: 700px)").matches) get("thresholds-box").open = false;
  const given = await link.take();
  try {
    state.server = await ask("v1/labels");
  } catch (error) {
    fail(error, begin);
    return;
  }
  if (!state.labels.length) {
    const { labels: known, suggestions } = state.server;
    for (const { label } of known.length ? known.slice(0, FIRST_LABELS) : suggestions.slice(0, 4)) addLabel(label);
  }
  get("about").textContent = state.server.graph ? "Entities of any type you name, and what a graph knows of them" : "Entities of any type you name";
  tell("server");
  tell("labels");
  edit(true);
  if (given) await annotate();
}

function fail(error, again) {
  if (error.name === "AbortError") return;
  if (error instanceof Problem) notices.explain(error, again, new Map([["too_long_characters", ["Split the text into parts", split]]]));
  else {
    notices.say("Something went wrong on this page.", "Reload it; the text may have to be pasted again.");
    throw error;
  }
}

/* The text, and asking for its entities. */

function startEditor() {
  const text = get("text");
  text.addEventListener("input", () => {
    state.documents[state.at] = { id: state.documents[state.at].id, text: wellFormed(text.value) };
    showSize();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) get("editor").requestSubmit();
  });
  get("editor").addEventListener("submit", (event) => {
    event.preventDefault();
    annotate();
  });
  get("open").addEventListener("click", () => get("file").click());
  get("file").addEventListener("change", async ({ target }) => {
    await take([...target.files]);
    target.value = "";
  });
  get("example").addEventListener("click", () => {
    setDocuments([EXAMPLES[example++ % EXAMPLES.length]]);
    annotate();
  });
  get("cancel").addEventListener("click", () => {
    state.documents = state.found.documents.map(({ id, text, passages }) => ({ id, text, passages }));
    edit(false);
  });
}

function setDocuments(documents) {
  state.documents = documents.map((one) => ({ ...one, text: wellFormed(one.text) }));
  state.at = 0;
  state.found = null;
  panel.close(true);
  chooseAgain();
  edit(true);
}

function edit(editing) {
  state.editing = editing;
  get("editor").hidden = !editing;
  get("result").hidden = editing;
  get("hint").hidden = !editing;
  get("cancel").hidden = !state.found;
  if (editing) {
    get("status").textContent = "";
    get("text").value = state.documents[state.at].text;
    tip.hide();
  }
  showSize();
  tell("view");
}

async function annotate() {
  const documents = state.documents.filter(({ text }) => text.trim());
  const blank = state.documents.length - documents.length;
  const before = state.documents.slice(0, state.at).filter(({ text }) => text.trim()).length; // the view's number among these
  const limits = state.server?.limits;
  if (!limits) return begin();
  if (!documents.length) return notices.say("There is no text.", "Paste one, drop a file, or try an example.", [], "info");
  if (!state.labels.length) {
    notices.say("There is no label.", "Add the types of entities that you look for.", [], "info");
    return get("label").focus();
  }
  const long = documents.find(({ text }) => codePoints(text) > limits.characters);
  if (long) {
    return notices.say("Too long.", `A text may have ${count(limits.characters)} characters here, ${documents.length > 1 ? long.id : "this one"} has ${count(codePoints(long.text))}.`, [["Split it into parts", split]]);
  }
  notices.clear();
  asking?.abort();
  const own = (asking = new AbortController());
  busy(true, documents.length);
  const begun = performance.now();
  try {
    const found = await candidates(documents, state.labels.map(({ name }) => name), FLOOR, limits, {
      signal: own.signal,
      progress: (done) => busy(true, documents.length, done),
    });
    const same = state.found?.documents[state.at]?.text === found.documents[before]?.text;
    state.documents = documents;
    state.found = { ...found, seconds: (performance.now() - begun) / 1000 };
    if (same) follow(found.documents);
    else panel.close(true);
    state.at = Math.min(before, documents.length - 1);
    tell("found");
    edit(false);
    chooseAgain();
    if (blank) notices.say(`${some(blank, "document", "documents")} without text left out.`, "", [], "info");
    if (unasked().length) annotate(); // labels that were added in the meantime
  } catch (error) {
    fail(error, annotate);
    get("status").textContent = "";
  } finally {
    if (asking === own) busy(false);
  }
  return undefined;
}

function split() {
  const { characters } = state.server.limits;
  setDocuments(
    state.documents.flatMap((one) => {
      const parts = inParts(one.text, characters);
      return parts.length > 1 ? parts.map((part, at) => ({ id: `${one.id}, part ${at + 1}`, text: part })) : [one];
    }),
  );
  return annotate();
}

function busy(is, all = 0, done = 0) {
  get("main").setAttribute("aria-busy", String(is));
  get("annotate").disabled = is;
  get("text").readOnly = is; // what is typed now would be lost when the answer comes
  get("annotate").textContent = is ? "Reading …" : "Annotate";
  if (is) get("status").replaceChildren(all > 1 ? `Reading, ${done} of ${all} documents … ` : "Reading … ", el("button", { type: "button", class: "plain", text: "Stop", on: { click: () => asking?.abort() } }));
  else if (get("status").textContent.startsWith("Reading")) showStatus();
}

/* What was found. */

function startResult() {
  get("edit").addEventListener("click", () => {
    edit(true);
    get("text").focus();
  });
  for (const name of ["nested", "tags"]) {
    get(name).addEventListener("change", ({ target }) => {
      state[name] = target.checked;
      chooseAgain();
    });
  }
  const tabs = [get("tab-text"), get("tab-table")];
  const turn = (tab) => {
    state.view = tab.id.slice(4);
    for (const one of tabs) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
    }
    get("reader").hidden = state.view !== "text";
    get("table").hidden = state.view !== "table";
    tell("view");
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => turn(tab));
    tab.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowRight" && key !== "ArrowLeft") return;
      const other = tabs[1 - tabs.indexOf(tab)];
      turn(other);
      other.focus();
    });
  }
  menu(get("export"), get("formats"), FORMATS.map(({ name, about, ending, kind, write }) => [name, about, () => {
    save(`${fileName()}${ending}`, write(state.found.documents.map(({ id, text, passages }, at) => ({ id, text, passages, entities: state.chosen[at] }))), kind);
    get("status").textContent = `${fileName()}${ending} is saved.`;
  }]));
  get("share").addEventListener("click", link.offer);
}

function fileName() {
  const { documents } = state.found;
  return documents.length === 1 && documents[0].id !== "text" ? documents[0].id.replace(/\.\w{1,6}$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 60) || "kogner" : "kogner";
}

function showStatus() {
  if (!state.found || state.editing) return void (get("status").textContent = "");
  const all = state.chosen.flat();
  const types = new Set(all.map(({ type }) => type)).size;
  const linked = all.filter(({ ids }) => ids.length).length;
  const texts = state.found.documents.length > 1 ? ` in ${some(state.found.documents.length, "document", "documents")}` : "";
  const ids = state.server.graph ? `, ${count(linked)} with an id` : "";
  const raised = state.found.floor > FLOOR ? ` Only scores from ${state.found.floor} on were kept, since lower ones were too many.` : "";
  get("status").textContent = `${some(all.length, "entity", "entities")} of ${some(types, "type", "types")}${ids}${texts}. Read in ${state.found.seconds.toFixed(1)} s.${raised}`;
}

function showDocuments() {
  const all = state.found?.documents ?? [];
  get("documents").hidden = all.length < 2;
  if (all.length < 2) return;
  const go = (to) => {
    state.at = (to + all.length) % all.length;
    panel.close(true);
    tell("document");
    tell("view");
  };
  const focused = get("documents").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  get("documents").replaceChildren(
    iconButton("back", "Document before", () => go(state.at - 1)),
    el("select", { "aria-label": "Document", on: { change: ({ target }) => go(Number(target.value)) } }, all.map(({ id }, at) => el("option", { value: at, selected: at === state.at, text: id }))),
    iconButton("next", "Document after", () => go(state.at + 1)),
    el("span", { class: "of", text: `${state.at + 1} of ${all.length}` }),
  );
  if (focused) get("documents").querySelector(`[aria-label="${focused}"]`)?.focus();
}

function showSize() {
  const length = codePoints(state.documents[state.at].text);
  const most = state.server?.limits.characters;
  get("size").textContent = most ? `${count(length)} of ${count(most)} characters` : "";
  get("size").classList.toggle("over", length > (most ?? Infinity));
}

function openPanel(entity, document, element) {
  origin = { n: entity.n, entity, document, element };
  tip.hide();
  panel.open(entity, state.found.documents[document]);
  reader.setOpened(document === state.at ? entity.n : null);
  table.setOpened(entity);
  if (matchMedia("(max-width: 800px)").matches) element.scrollIntoView({ block: "start" }); // above the panel
}

/** Let the panel follow its entity into new results of the same text. */
function follow(documents) {
  if (!panel.isOpen()) return;
  const { start, end, type } = origin.entity;
  const there = documents[origin.document]?.candidates.find((one) => one.start === start && one.end === end && one.type === type);
  if (!there) return panel.close(true);
  Object.assign(origin, { n: there.n, entity: there });
  return reader.setOpened(origin.document === state.at ? there.n : null);
}

function closed() {
  reader.setOpened(null);
  table.setOpened(null);
  if (origin?.element.isConnected) origin.element.focus();
  else if (origin) reader.reveal(origin.n, true);
}

/* Files, light and dark. */

async function take(files) {
  if (!files.length) return;
  let found;
  try {
    found = await read(files);
  } catch (error) {
    if (error instanceof Problem) notices.explain(error, () => take(files));
    else if (error instanceof FileProblem) notices.say("This file cannot be taken.", error.message);
    else throw error;
    return;
  }
  setDocuments(found.documents);
  await annotate();
  if (found.notes.length && get("notice").hidden) notices.say("Not all was taken as it stands.", `${found.notes.join("; ")}.`, [], "info");
}

function startDrop() {
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    get("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) get("drop").hidden = true;
  });
  addEventListener("drop", (event) => {
    get("drop").hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}

function startTheme() {
  const { kognerTheme } = window;
  const show = () => {
    const label = { system: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" }[kognerTheme.now];
    get("theme").replaceChildren(icon({ system: "theme", light: "sun", dark: "moon" }[kognerTheme.now]));
    get("theme").setAttribute("aria-label", label);
    get("theme").title = label;
  };
  get("theme").addEventListener("click", () => {
    kognerTheme.turn();
    show();
  });
  show();
}

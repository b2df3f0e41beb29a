// The dialog with a link to the state of the page, and the state that a link brings.

import { count, el, get, icon } from "./dom.js";
import * as notices from "./notices.js";
import { fromFragment, LONGEST, toFragment } from "./share.js";
import { addLabel, state } from "./store.js";
import { passagesOf, wellFormed } from "./text.js";

/** Show a link to what is seen now, or why there is none. */
export async function offer() {
  const kept = {
    documents: state.documents.map(({ id, text, passages }) => (passages?.length ? [id, text, passages] : [id, text])),
    labels: state.labels.map(({ name, colour }) => [name, colour]),
    base: state.base,
    own: [...state.own],
    nested: state.nested,
    at: state.at,
  };
  const fragment = await toFragment(kept);
  const address = `${location.origin}${location.pathname}#${fragment}`;
  const dialog = get("link");
  const close = el("form", { method: "dialog" }, el("button", { type: "submit", text: "Close" }));
  if (address.length > LONGEST) {
    dialog.replaceChildren(el("h2", { id: "link-title", text: "Too long for a link" }), el("p", { text: `The link would have ${count(address.length)} characters, and from ${count(LONGEST)} on it breaks in mails and chats. Share a shorter text, or export a file and send that.` }), close);
  } else {
    history.replaceState(null, "", `#${fragment}`);
    const field = el("input", { type: "text", readonly: true, value: address, "aria-label": "Link" });
    const button = el("button", { type: "button", class: "primary", on: { click: async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(address);
      } catch {
        document.execCommand("copy"); // no clipboard without https
      }
      button.replaceChildren("Copied");
    } } }, icon("copy"), " Copy");
    dialog.replaceChildren(el("h2", { id: "link-title", text: "A link to this" }), el("p", { text: "It holds the text, the labels and the thresholds themselves, behind the #. Browsers send that part to no server; who has the link can read the text." }), el("div", { class: "bar" }, field, button), close);
  }
  dialog.showModal();
}

/** Take the state that the address holds; false where it holds none. */
export async function take() {
  if (!location.hash) return false;
  try {
    const kept = await fromFragment(location.hash);
    if (!kept) return false;
    const documents = kept.documents.map(([id, text, passages = []]) => ({ id: String(id), text: wellFormed(String(text)), passages: passagesOf(passages, String(text)) }));
    if (!documents.length) return false;
    if (documents.some(({ passages }) => !passages)) throw new RangeError("passages that do not fit their text");
    state.documents = documents;
    state.labels = [];
    for (const [name, colour] of kept.labels) if (addLabel(String(name))) state.labels[state.labels.length - 1].colour = Number(colour) || 0;
    state.base = between(kept.base);
    state.own = new Map(kept.own.map(([name, value]) => [String(name), between(value)]).filter(([, value]) => value !== null));
    state.nested = get("nested").checked = Boolean(kept.nested);
    state.at = Math.min(Math.max(Math.trunc(Number(kept.at)) || 0, 0), documents.length - 1);
    return true;
  } catch {
    notices.say("The link is damaged.", "A part of it may have been cut off; ask for it again, or for a file.");
    return false;
  }
}

function between(value) {
  return typeof value === "number" && value > 0 && value <= 1 ? value : null;
}

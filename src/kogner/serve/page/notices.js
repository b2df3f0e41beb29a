// What went wrong, in words, with the way out.

import { hasKey, setKey } from "./api.js";
import { el, get, iconButton, some } from "./dom.js";

let counting = null;

/** Say something. actions: [label, function] each a button. kind: "error" or "info". */
export function say(title, words, actions = [], kind = "error") {
  clear();
  show(kind, el("p", {}, el("b", { text: title }), " ", words), buttons(actions));
}

export function clear() {
  clearInterval(counting);
  get("notice").hidden = true;
  get("notice").replaceChildren();
}

/** Say why a request failed. again(): asks anew. fix: Map from reason to [label, function], ways out of single ones. */
export function explain(problem, again, fix = new Map()) {
  const { status, reason, message, retryAfter, request } = problem;
  const own = fix.get(reason);
  if (status === 401) askForKey(again);
  else if (status === 429 || (status === 503 && retryAfter !== null)) countDown(problem, again);
  else if (status === 0) say("No answer.", message, [["Try again", again]]);
  else if (status >= 500) say("The server failed.", `${message} ${request ? `(request ${request})` : ""}`, [["Try again", again]]);
  else say(status === 413 || reason.startsWith("too_") ? "Too much at a time." : "This cannot be asked.", `${sentence(message)}`, [...(own ? [own] : []), ["Try again", again]]);
}

function countDown({ status, message, retryAfter }, again) {
  let left = Math.min(Math.max(retryAfter ?? 2, 1), 300);
  const seconds = el("span", { text: some(left, "second", "seconds") });
  clear();
  const title = status === 429 ? "The server has much to do." : "The server is not ready.";
  // The count is not read out each second: the region is one that is read as a whole only when it is filled.
  show("info", el("p", {}, el("b", { text: title }), ` ${sentence(message)} The page asks again in `, el("span", { "aria-live": "off" }, seconds), "."),
    buttons([["Ask now", () => (clear(), again())], ["Stop", clear]]));
  counting = setInterval(() => {
    left -= 1;
    seconds.textContent = some(left, "second", "seconds");
    if (left > 0) return;
    clear();
    again();
  }, 1000);
}

function askForKey(again) {
  clear();
  const field = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true });
  const form = el(
    "form",
    {
      class: "key",
      on: {
        submit: (event) => {
          event.preventDefault();
          setKey(field.value.trim());
          clear();
          again();
        },
      },
    },
    el("label", { for: "key", text: "API key" }),
    field,
    el("button", { type: "submit", class: "primary", text: "Use it" }),
  );
  const words = hasKey() ? "The server does not know this key." : "This server wants an API key, which its owner gives you.";
  show("info", el("p", {}, el("b", { text: "A key is needed." }), ` ${words} It is kept until this tab is closed and sent to this server alone.`), form);
  setKey("");
  field.focus();
}

const sentence = (text) => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

function buttons(actions) {
  return actions.length ? el("div", { class: "actions" }, actions.map(([text, run]) => el("button", { type: "button", text, on: { click: run } }))) : null;
}

function show(kind, ...parts) {
  const notice = get("notice");
  notice.className = `notice ${kind}`;
  notice.hidden = false;
  notice.replaceChildren(el("div", { class: "words" }, parts.filter(Boolean)), iconButton("close", "Dismiss", clear));
  notice.scrollIntoView({ block: "nearest" });
}

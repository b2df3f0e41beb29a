// What the page asks of its server, and what goes wrong with it.

import { codePoints, unitsOf } from "./text.js";

const KEY = "kogner-key";
const REQUEST_CHARACTERS = 40_000;
const REQUEST_DOCUMENTS = 32;

/** A request that failed. status 0: there was no answer. retryAfter: seconds, null where there is no use in it. */
export class Problem extends Error {
  constructor(status, reason, message, { retryAfter = null, request = null } = {}) {
    super(message);
    Object.assign(this, { status, reason, retryAfter, request });
  }
}

/** Keep an API key as long as this tab lives; nothing forgets it. */
export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));

/** The JSON that the server answers. body: what to post, a Blob as it is; undefined to get. Throws Problem; an abort throws as it is. */
export async function ask(path, body, signal) {
  const headers = { accept: "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  const isFile = body instanceof Blob;
  if (body !== undefined) headers["content-type"] = isFile ? "application/octet-stream" : "application/json";
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: isFile ? body : body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "no_answer", "The server does not answer. Look whether it still runs, then try again.");
  }
  let said = null;
  try {
    said = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (answer.ok && said !== null) return said;
  const after = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
  throw new Problem(answer.status, said?.error?.reason ?? "unknown", said?.error?.message ?? `The server answered ${answer.status} without saying why.`, {
    retryAfter: Number.isFinite(after) ? after : null,
    request: said?.error?.request_id ?? answer.headers.get("x-request-id"),
  });
}

/**
 * Candidates of all documents from a low score on, in as many requests as the limits of the server ask for.
 *
 * progress: is told how many documents are done. Returns what `state.found` holds. Throws Problem.
 */
export async function candidates(documents, labels, floor, limits, { signal, progress }) {
  const done = [];
  for (const group of inRequests(documents, limits)) {
    const answer = await askOnce(group, labels, floor, signal);
    floor = Math.max(floor, answer.floor);
    answer.documents.forEach((one, number) => done.push(document(group[number], one)));
    progress(done.length);
  }
  return { floor, asked: new Set(labels), documents: done };
}

async function askOnce(group, labels, floor, signal) {
  const documents = group.map(({ id, text }) => ({ id, text }));
  const body = { documents, labels, overlap: "all", multi_label: true, explain: true };
  for (const least of [floor, 0.2, 0.4]) {
    if (least < floor) continue;
    try {
      return { ...(await ask("v1/annotate", { ...body, threshold: least }, signal)), floor: least };
    } catch (error) {
      // Too many spans at so low a score: the only error of this kind that a higher one can mend.
      if (!(error instanceof Problem) || error.reason !== "too_many_entities" || least === 0.4) throw error;
    }
  }
  throw new Problem(400, "too_many_spans", "Too many spans reach even a score of 0.4. Ask for fewer labels or a shorter text.");
}

function* inRequests(documents, limits) {
  let group = [];
  let size = 0;
  for (const one of documents) {
    const length = codePoints(one.text);
    if (group.length && (size + length > REQUEST_CHARACTERS || group.length === Math.min(REQUEST_DOCUMENTS, limits.documents))) {
      yield group;
      group = [];
      size = 0;
    }
    group.push(one);
    size += length;
  }
  if (group.length) yield group;
}

/** A document with its candidates: start, end in code points; from, to in UTF-16 units; n their number. */
function document({ id, text, passages = [] }, { entities }) {
  const units = unitsOf(text);
  return {
    id,
    text,
    passages,
    candidates: entities.map((one, n) => ({ ...one, n, from: units(one.start), to: units(one.end) })),
  };
}

// Files that are dropped or opened: plain text, and JSON lines of {"id", "text"}.

import { count } from "./dom.js";
import { wellFormed } from "./text.js";

const MOST_BYTES = 20_000_000;
export const MOST_DOCUMENTS = 1000;

/** A file that cannot be taken; the message says which, why, and the way out. */
export class FileProblem extends Error {}

/** The documents of files, in their order. Throws FileProblem. */
export async function read(files) {
  const found = [];
  for (const file of files) found.push(...(await documentsOf(file)));
  if (found.length > MOST_DOCUMENTS) throw new FileProblem(`There are ${count(found.length)} documents; the page takes ${count(MOST_DOCUMENTS)}. For more use kogner annotate.`);
  if (!found.length) throw new FileProblem("There is no document in it.");
  return found;
}

async function documentsOf(file) {
  const { name } = file;
  if (file.size > MOST_BYTES) throw new FileProblem(`${name} has ${count(file.size)} bytes; the page takes ${count(MOST_BYTES)}. For more use kogner annotate.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const zero = bytes.subarray(0, 8192).indexOf(0);
  if (zero >= 0) throw new FileProblem(`${name} is binary (a zero byte at ${zero}), not text. The page takes .txt and .jsonl; kogner convert makes them of other formats.`);
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FileProblem(`${name} is not UTF-8. Convert it, such as with iconv -f latin1 -t utf-8.`);
  }
  if (!text.trim()) throw new FileProblem(`${name} holds no text.`);
  if (/\.(jsonl|ndjson)$/i.test(name) || looksLikeLines(text)) return lines(text, name);
  if (/\.json$/i.test(name)) throw new FileProblem(`${name} is JSON, but not in lines. Give one object {"id", "text"} a line (.jsonl).`);
  return [{ id: name.slice(0, 900), text }];
}

function looksLikeLines(text) {
  const first = text.split("\n", 1)[0].trim();
  if (!first.startsWith("{")) return false;
  try {
    return typeof JSON.parse(first).text === "string";
  } catch {
    return false;
  }
}

function lines(text, name) {
  const found = [];
  text.split("\n").forEach((line, at) => {
    if (!line.trim()) return;
    let raw;
    try {
      raw = JSON.parse(line);
    } catch (error) {
      throw new FileProblem(`${name}, line ${at + 1}, is not JSON: ${error.message}. Each line must be one object.`);
    }
    if (typeof raw?.text !== "string") throw new FileProblem(`${name}, line ${at + 1}, has no "text". Each line must be an object such as {"id": "1", "text": "..."}.`);
    const id = wellFormed(String(raw.id ?? `${name.replace(/\.\w+$/, "")}:${at + 1}`)).slice(0, 900);
    found.push({ id, text: wellFormed(raw.text) });
  });
  return found;
}

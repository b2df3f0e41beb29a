// Files that are dropped or opened: plain text and JSON lines of {"id", "text"} are read here, other formats by the server.

import { ask, Problem } from "./api.js";
import { count } from "./dom.js";
import { passagesOf, wellFormed } from "./text.js";

const MOST_BYTES = 20_000_000;
export const MOST_DOCUMENTS = 1000;
const FORMATS = "text, JSON lines, PubTator, BioC, PubMed and JATS XML, CSV and CoNLL";
const OF_SERVER = /\.(xml|nxml|bioc|pubtator|csv|tsv|tab|conll|iob2?|bio)$/i;
const LIKE_OTHERS = /^\s*(<\?xml|<!DOCTYPE|-DOCSTART-|[^|\t\n]+\|[ta]\|)/;

/** A file that cannot be taken; the message says which, why, and the way out. */
export class FileProblem extends Error {}

/** The documents of files, in their order, and what their readers left out or put right. Throws FileProblem, Problem. */
export async function read(files) {
  const found = [];
  const notes = [];
  for (const file of files) {
    const one = await documentsOf(file);
    found.push(...one.documents);
    notes.push(...one.notes.map((note) => `${file.name}: ${note}`));
  }
  if (found.length > MOST_DOCUMENTS) throw new FileProblem(`There are ${count(MOST_DOCUMENTS + 1)} documents or more; the page takes ${count(MOST_DOCUMENTS)}. For more use kogner annotate.`);
  if (!found.length) throw new FileProblem("There is no document in it.");
  return { documents: found, notes };
}

async function documentsOf(file) {
  const { name } = file;
  if (file.size > MOST_BYTES) throw new FileProblem(`${name} has ${count(file.size)} bytes; the page takes ${count(MOST_BYTES)}. For more use kogner annotate.`);
  if (OF_SERVER.test(name)) return ofServer(file); // before it is decoded: XML says its own coding
  const bytes = new Uint8Array(await file.arrayBuffer());
  const zero = bytes.subarray(0, 8192).indexOf(0);
  if (zero >= 0) throw new FileProblem(`${name} is binary (a zero byte at ${zero}), not text. The page takes ${FORMATS}; kogner convert makes them of other formats.`);
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FileProblem(`${name} is not UTF-8. Convert it, such as with iconv -f latin1 -t utf-8.`);
  }
  if (!text.trim()) throw new FileProblem(`${name} holds no text.`);
  if (/\.(jsonl|ndjson)$/i.test(name) || looksLikeLines(text)) return { documents: lines(text, name), notes: [] };
  if (/\.json$/i.test(name) || LIKE_OTHERS.test(text)) return ofServer(file);
  return { documents: [{ id: name.slice(0, 900), text }], notes: [] };
}

async function ofServer(file) {
  const documents = [];
  try {
    for (let first = 0; ; ) {
      const part = await ask(`v1/documents?first=${first}&name=${encodeURIComponent(file.name.slice(-200))}`, file);
      documents.push(...part.documents);
      if (part.next === null || documents.length > MOST_DOCUMENTS) return { documents, notes: part.notes }; // its notes are of the parts before as well
      first = part.next;
    }
  } catch (error) {
    if (!(error instanceof Problem) || ![400, 413, 422].includes(error.status)) throw error;
    const said = error.message.startsWith(file.name) ? error.message : `${file.name}: ${error.message}`;
    throw new FileProblem(`${said}${/[.!]$/.test(said) ? "" : "."}`);
  }
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
    const passages = passagesOf(raw.passages ?? [], raw.text);
    if (!passages) throw new FileProblem(`${name}, line ${at + 1}, has passages that do not fit its text. Each must be an object such as {"start": 0, "end": 9, "infons": {"type": "title"}}, within the text.`);
    found.push({ id, text: wellFormed(raw.text), passages });
  });
  return found;
}

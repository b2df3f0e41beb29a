// Files of what was found, as `kogner.data.formats` reads them. All offsets count code points.

import { codePoints, unitsOf } from "./text.js";

const NO_LINE = /[\t\r\n\0\ud800-\udfff]/gu; // with the flag u a pair is no surrogate
const NO_NAME = /[\t\r\n\0|\ud800-\udfff]/gu;
const NO_XML = /[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const READ_ALIKE = ["", " ", "\n\n"]; // what readers of BioC put between passages that are as far apart
const LONGEST_TITLE = 400; // of PubTator, code points

/** By format: what it is called, the ending and the type of its file, and what writes it. */
export const FORMATS = [
  { name: "JSON lines", about: "as kogner annotate writes them", ending: ".jsonl", kind: "application/jsonl", write: jsonLines },
  { name: "PubTator", about: "title, abstract, tab-separated mentions", ending: ".pubtator", kind: "text/plain", write: pubtator },
  { name: "BioC XML", about: "with scores and ids as infons", ending: ".bioc.xml", kind: "application/xml", write: bioc },
  { name: "CSV", about: "a row for each entity", ending: ".csv", kind: "text/csv", write: csv },
];

/** documents: [{id, text, passages, entities}], entities in order of the text. Each of these returns the text of a file. */
export function jsonLines(documents) {
  return documents.map(({ id, text, entities, passages = [] }) => `${JSON.stringify({ id, text, entities: entities.map(ofKogner), ...(passages.length && { passages }) })}\n`).join("");
}

function ofKogner({ start, end, text, type, score, ids, together = 1 }) {
  const [link] = ids;
  const all = together > 1 && { ids: ids.slice(0, together).map(({ id }) => id) };
  return { start, end, text, type, score, entity_id: link?.id ?? null, ...(link && { entity_score: link.score }), ...all };
}

/** What an entity is in one column: its id, or name, or those of all that it names at once. */
const column = ({ ids, together = 1 }, key = "id") => ids.slice(0, together).map((link) => link[key]).join("|");

/** A first line that reads like a title becomes one; the blank between the two takes the place of its end. */
export function pubtator(documents) {
  return documents.map((one) => `${pubtatorLines(one).join("\n")}\n\n`).join("");
}

function pubtatorLines({ id, text, entities, passages = [] }) {
  const name = id.replace(NO_NAME, " ").trim() || "-";
  const plain = text.replace(NO_LINE, " ");
  const end = titleOf(text, passages) ?? titleEnd(text);
  return [
    `${name}|t|${plain.slice(0, end)}`,
    `${name}|a|${plain.slice(end + 1)}`,
    ...entities.map((one) => [name, one.start, one.end, plain.slice(one.from, one.to), one.type.replace(NO_NAME, " "), column(one).replace(NO_LINE, " ") || "-1"].join("\t")),
  ];
}

/** Where the title ends of a text that is a title and an abstract behind one blank; null where it is none. */
function titleOf(text, passages) {
  const [first, second, ...more] = passages;
  if (!second) return null;
  if (more.length && !passages.every(({ infons }, number) => infons?.type === (number ? "abstract" : "title"))) return null;
  const units = unitsOf(text);
  const whole = first.start === 0 && second.start === first.end + 1 && units(passages.at(-1).end) === text.length && second.start < codePoints(text);
  return whole && /\s/.test(text[units(first.end)]) ? units(first.end) : null;
}

function titleEnd(text) {
  const end = text.indexOf("\n");
  const title = end > 0 && text[end - 1] !== "\r" && text.slice(0, end).trim() && codePoints(text.slice(0, end)) <= LONGEST_TITLE;
  return title && text.slice(end + 1).trim() ? end : text.length;
}

export function bioc(documents, today = new Date()) {
  const body = documents.map(biocDocument).join("");
  return `<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection><source>KoGNER</source><date>${today.toISOString().slice(0, 10)}</date><key></key>\n${body}</collection>\n`;
}

function biocDocument({ id, text, entities, passages = [] }) {
  const parts = withoutGaps(text, passages);
  const units = unitsOf(text);
  const annotations = entities.map((one, number) => {
    const infons = [["type", one.type], ...(one.ids.length ? [["identifier", column(one)]] : []), ["score", String(one.score)]];
    const said = infons.map(([key, value]) => `<infon key="${key}">${xml(value)}</infon>`).join("");
    return `<annotation id="T${number + 1}">${said}<location offset="${one.start}" length="${one.end - one.start}"/><text>${xml(text.slice(one.from, one.to))}</text></annotation>\n`;
  });
  // An entity stands in the part that it begins in.
  const partOf = (one) => Math.max(parts.findLastIndex(({ start }) => start <= one.start), 0);
  const written = parts.map(({ start, end, infons }, number) => {
    const said = Object.entries(infons ?? {}).map(([key, value]) => `<infon key="${xml(key).replaceAll('"', "&quot;")}">${xml(value)}</infon>`).join("");
    const own = annotations.filter((_, at) => partOf(entities[at]) === number).join("");
    return `<passage>${said}<offset>${start}</offset><text>${xml(text.slice(units(start), units(end)))}</text>\n${own}</passage>\n`;
  });
  return `<document><id>${xml(id)}</id>\n${written.join("")}</document>\n`;
}

/** Passages in order, none in another; what lies outside of them is one of its own where a reader would put something else there. */
function withoutGaps(text, passages) {
  const [units, end, parts] = [unitsOf(text), codePoints(text), []];
  let at = 0;
  for (const one of [...passages].sort((a, b) => a.start - b.start || (a.end > a.start) - (b.end > b.start) || b.end - a.end)) {
    if (one.start < at) continue;
    if (!READ_ALIKE.includes(text.slice(units(at), units(one.start)))) parts.push({ start: at, end: one.start });
    parts.push(one);
    at = one.end;
  }
  if (!parts.length || at < end) parts.push({ start: at, end });
  return parts;
}

function xml(text) {
  return text.replace(NO_XML, " ").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function csv(documents) {
  const rows = [["document", "start", "end", "text", "type", "score", "id", "name"]];
  for (const { id, entities } of documents) {
    for (const one of entities) rows.push([id, one.start, one.end, one.text, one.type, one.score, column(one), column(one, "name")]);
  }
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

/** Hand a file to the browser to keep. */
export function save(name, text, kind) {
  const address = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

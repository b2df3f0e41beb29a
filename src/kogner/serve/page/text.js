// Texts and places in them. The server counts Unicode code points, JavaScript counts UTF-16 units.

const LONE = /\p{Surrogate}/gu;

/** A text that UTF-8 can hold: halves of pairs become U+FFFD, one for one. */
export const wellFormed = (text) => text.replace(LONE, "\ufffd");

/** How many code points a text has. */
export function codePoints(text) {
  let pairs = 0;
  for (let at = 0; at < text.length; at++) if (isPair(text, at)) pairs++, at++;
  return text.length - pairs;
}

/** A function from a code point's number to where it begins in UTF-16 units; also for the one behind the last. */
export function unitsOf(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (point) => Math.min(point, text.length);
  const places = new Uint32Array(text.length + 1);
  let points = 0;
  for (let at = 0; at < text.length; at++) {
    places[points++] = at;
    if (isPair(text, at)) at++;
  }
  places[points] = text.length;
  return (point) => places[Math.min(point, points)];
}

function isPair(text, at) {
  const first = text.charCodeAt(at);
  return first >= 0xd800 && first <= 0xdbff && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}

/** The passages of a text, {start, end, infons}, as a file or a link tells them; null where they are no parts of it. */
export function passagesOf(told, text) {
  const length = codePoints(text);
  const isPart = (one) => Number.isInteger(one?.start) && Number.isInteger(one.end) && one.start >= 0 && one.start <= one.end && one.end <= length;
  const isSaid = ({ infons }) => Object.values(infons ?? {}).every((value) => typeof value === "string");
  if (!Array.isArray(told) || !told.every((one) => isPart(one) && isSaid(one))) return null;
  return told.map(({ start, end, infons }) => ({ start, end, infons: { ...infons } }));
}

/** A text in parts of at most `limit` code points, cut behind a blank line, a line, a sentence or a word where it can be. */
export function inParts(text, limit) {
  const parts = [];
  let from = 0;
  while (text.length - from > limit) {
    const ahead = text.slice(from, from + 2 * limit); // a code point has two units at most
    const window = ahead.slice(0, unitsOf(ahead)(limit));
    if (from + window.length === text.length) break;
    const cut = [/\n\s*\n/g, /\n/g, /[.!?]\s+/g, /\s+/g].map((border) => lastEnd(window, border)).find((end) => end > window.length / 3);
    parts.push(window.slice(0, cut ?? window.length));
    from += cut ?? window.length;
  }
  return [...parts, text.slice(from)].filter((part) => part.trim());
}

function lastEnd(text, border) {
  let end = 0;
  for (const match of text.matchAll(border)) end = match.index + match[0].length;
  return end;
}

// What a document says elsewhere of the same text, as `kogner.annotate.agreement` does it: an entity's text that stands
// unfound in another place moves that place's score, and an unsure entity found in few of its places is dropped.

import { choose } from "./select.js";

const FLOOR = 0.03, SUREST = 4, DOUBT = 4;

/**
 * The entities of a document, put right by each other, in order of the text, outer before inner.
 *
 * text: the document's. chosen, candidates: with from and to in UTF-16 units, as `choose` takes and gives them.
 * thresholds, shares: Maps by type; a share of 0 leaves its type as it is.
 */
export function settle(text, chosen, candidates, thresholds, shares) {
  if (![...shares.values()].some(Boolean)) return chosen;
  const scored = new Map(candidates.map((one) => [key(one.from, one.to, one.type), one]));
  const isFree = freeOf(chosen);
  const kept = [];
  const added = [];
  for (const same of byText(text, chosen).values()) {
    const { type } = same[0];
    const share = shares.get(type) ?? 0;
    const free = share ? places(text, same[0]).filter(isFree) : [];
    if (!free.length) {
      kept.push(...same);
      continue;
    }
    const best = Math.max(...same.map((one) => logit(one.score)));
    const found = [];
    for (const [from, to] of free) {
      const one = scored.get(key(from, to, type));
      if (!one || one.score < FLOOR) continue;
      const score = shifted(one.score, share * (best - logit(one.score)));
      if (score >= thresholds.get(type)) found.push({ ...one, score });
    }
    const lost = found.length ? 0 : (DOUBT * share * free.length) / (free.length + same.length);
    kept.push(...same.filter((one) => shifted(one.score, -lost) >= thresholds.get(type)));
    added.push(...found);
  }
  return [...kept, ...choose(added, thresholds, false)].sort((a, b) => a.start - b.start || b.end - a.end);
}

const key = (from, to, type) => `${from} ${to} ${type}`;
const logit = (score) => (score < 1 ? Math.min(Math.log(score / (1 - score)), SUREST) : SUREST);

function shifted(score, weight) {
  const odds = Math.exp(weight);
  return (score * odds) / (1 - score + score * odds);
}

/** Whether a text is in capitals: then it is looked for as it is written. */
const isShouted = (written) => /\p{Lu}/u.test(written) && !/[\p{Ll}\p{Lt}]/u.test(written);

function byText(text, chosen) {
  const found = new Map();
  for (const one of chosen) {
    const written = text.slice(one.from, one.to);
    const name = isShouted(written) ? `A ${written}` : `a ${written.toLowerCase()}`;
    const group = `${one.type} ${name}`;
    if (!found.has(group)) found.set(group, []);
    found.get(group).push(one);
  }
  return found;
}

/** Where the text of an entity stands at word edges. */
function places(text, { from, to }) {
  const written = text.slice(from, to);
  const literal = written.replace(/[\^$\\.*+?()[\]{}|/]/g, "\\$&");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${literal}(?![\\p{L}\\p{N}_])`, isShouted(written) ? "gu" : "giu");
  return [...text.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length]);
}

/** Whether a place shares no character with the entities; these may lie in one another. */
function freeOf(chosen) {
  const taken = chosen.map((one) => [one.from, one.to]);
  return ([from, to]) => taken.every(([start, end]) => end <= from || start >= to);
}

// From candidates to entities, as `kogner.student.decode` does it: thresholds first, then the best type of a span, then
// spans by falling score, each that fits what was taken before it.

/**
 * The entities of a document, in order of the text, outer before inner.
 *
 * candidates: {start, end, type, score}. thresholds: Map from type to threshold; other types are left out.
 * nested: an entity may lie inside another; none may cross.
 */
export function choose(candidates, thresholds, nested) {
  const best = new Map();
  for (const one of candidates) {
    const least = thresholds.get(one.type);
    if (least === undefined || one.score < least) continue;
    const key = one.start * 1e6 + (one.end - one.start);
    const other = best.get(key);
    if (other === undefined || one.score > other.score) best.set(key, one);
  }
  const order = [...best.values()].sort(
    (a, b) => b.score - a.score || b.end - b.start - (a.end - a.start) || a.start - b.start,
  );
  const size = order.reduce((most, one) => Math.max(most, one.end), 0) + 1;
  const fits = nested ? fitsNested(size) : fitsFlat(size);
  return order.filter(fits).sort((a, b) => a.start - b.start || b.end - a.end);
}

function fitsFlat(size) {
  const taken = new Uint8Array(size);
  return ({ start, end }) => {
    for (let at = start; at < end; at++) if (taken[at]) return false;
    return taken.fill(1, start, end) !== undefined;
  };
}

function fitsNested(size) {
  const furthest = new Uint32Array(size + 1); // by start: the largest end of those taken
  const earliest = new Uint32Array(size + 1).fill(size); // by end: the smallest start of those taken
  return ({ start, end }) => {
    for (let at = start + 1; at < end; at++) if (furthest[at] > end || earliest[at] < start) return false;
    furthest[start] = Math.max(furthest[start], end);
    earliest[end] = Math.min(earliest[end], start);
    return true;
  };
}

/** How many entities lie inside each other below each one, 0 where none; entities as `choose` gives them with nested. */
export function heights(entities) {
  const found = new Array(entities.length).fill(0);
  const open = [];
  entities.forEach((one, number) => {
    while (open.length && entities[open[open.length - 1]].end <= one.start) open.pop();
    open.push(number);
    open.forEach((outer, depth) => {
      found[outer] = Math.max(found[outer], open.length - 1 - depth);
    });
  });
  return found;
}

// From time to place. Where nothing ran for long, the axis is folded: an hour of waiting must not hide a second of work.

/** `active`: [from, to] in ms, where code ran. Gives `at(ms)` in 0..1, the folds, and ticks. */
export function scale(start, end, active, folded) {
  const span = Math.max(1, end - start);
  const pieces = folded ? fold(start, end, merged(start, end, active)) : [{ from: start, to: end, weight: span, gap: false }];
  const total = pieces.reduce((sum, piece) => sum + piece.weight, 0);
  let place = 0;
  for (const piece of pieces) {
    piece.left = place / total;
    place += piece.weight;
    piece.right = place / total;
  }
  return {
    start, end, pieces,
    folds: pieces.filter((piece) => piece.gap),
    at(ms) {
      const bounded = Math.min(Math.max(ms, start), end);
      let low = 0;
      let high = pieces.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (bounded > pieces[middle].to) low = middle + 1;
        else high = middle;
      }
      const piece = pieces[low];
      const length = piece.to - piece.from;
      return piece.left + (length ? (bounded - piece.from) / length : 0) * (piece.right - piece.left);
    },
    ticks: (width) => ticks(pieces, start, width),
  };
}

function merged(start, end, active) {
  const sorted = active.map(([from, to]) => [Math.max(start, from), Math.min(end, to)]).filter(([from, to]) => to >= from).sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const [from, to] of sorted) {
    const last = found.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else found.push([from, to]);
  }
  return found;
}

/** A pause is folded where it is longer than all the work together, or a tenth of it and a second at least. */
function fold(start, end, busy) {
  const work = Math.max(busy.reduce((sum, [from, to]) => sum + to - from, 0), 1);
  const long = (ms) => ms > Math.max(1000, work / 10);
  const pieces = [];
  let at = start;
  for (const [from, to] of busy) {
    if (from > at) pieces.push({ from: at, to: from, gap: long(from - at) });
    pieces.push({ from, to, gap: false });
    at = Math.max(at, to);
  }
  if (end > at) pieces.push({ from: at, to: end, gap: long(end - at) });
  const joined = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last && !last.gap && !piece.gap) last.to = piece.to;
    else joined.push(piece);
  }
  const gaps = joined.filter((piece) => piece.gap).length;
  const open = joined.filter((piece) => !piece.gap);
  const shown = open.reduce((sum, piece) => sum + piece.to - piece.from, 0) || 1;
  const each = Math.min(0.09, 0.5 / Math.max(1, gaps));
  const rest = open.length ? 1 - each * gaps : 0;
  const least = Math.min(0.05, rest / Math.max(1, open.length * 2));
  for (const piece of joined) {
    piece.weight = piece.gap ? (open.length ? each : 1) : Math.max(piece.to > piece.from ? least : least / 4, (rest * (piece.to - piece.from)) / shown);
  }
  return joined.length ? joined : [{ from: start, to: end, weight: 1, gap: false }];
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

/** [{ms, place}], each far enough from the one before. */
function ticks(pieces, start, width) {
  const found = [];
  const room = 74;
  let last = -room;
  let edge = 1; // where the next fold begins
  const add = (ms, place) => {
    if (place * width - last < room || (1 - place) * width < 40 || (edge - place) * width < 52) return;
    found.push({ ms, place });
    last = place * width;
  };
  for (const piece of pieces) {
    const pixels = (piece.right - piece.left) * width;
    if (piece.gap) {
      last = Math.max(last, piece.right * width - room / 2);
      continue;
    }
    const length = piece.to - piece.from;
    edge = pieces.find((other) => other.gap && other.left >= piece.left)?.left ?? 2;
    if (found.length === 0 && piece.from === start) add(start, piece.left);
    const wanted = (length * room) / Math.max(1, pixels);
    const step = STEPS.find((one) => one >= wanted) ?? STEPS.at(-1);
    for (let ms = Math.ceil((piece.from - start) / step) * step + start; ms <= piece.to && length; ms += step) {
      add(ms, piece.left + ((ms - piece.from) / length) * (piece.right - piece.left));
    }
  }
  return found;
}

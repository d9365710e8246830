// The timeline: a row for each operation, drawn only where it is seen, so that ten thousand cost what forty do.

import { fill, h, icon, said } from "./dom.js";
import { duration, local } from "./format.js";
import { scale } from "./scale.js";
import { kindIcon, tone } from "./statuses.js";

const ROW = 30;
const OPEN_AT_FIRST = 40;
const WAITS = new Set(["sleep", "callback", "signal", "call", "poll", "timer", "wait"]);

export function timeline({ choose }) {
  let data = null;
  let rows = [];
  let axis = null;
  let folded = true;
  let wanted = "";
  let picked = null;
  let now = 0;
  const closed = new Map();

  const find = h("input", { type: "search", placeholder: "Find an operation", "aria-label": "Find an operation", oninput: (event) => { wanted = event.target.value.toLowerCase(); arrange(); } });
  const fold = h("button", { class: "button small", "aria-pressed": "true", title: "Fold the time in which nothing ran", onclick: () => { folded = !folded; fold.setAttribute("aria-pressed", String(folded)); arrange(); } }, "Fold waits");
  const count = h("span", { class: "muted" });
  const ruler = h("div", { class: "ruler", "aria-hidden": "true" });
  const turns = h("div", { class: "lanes" });
  const layer = h("div", { class: "layer" });
  const sized = h("div", { class: "sized" }, layer);
  const frame = h("div", { class: "frame", tabindex: "0", role: "tree", "aria-label": "Operations" }, h("div", { class: "top" }, ruler, turns), sized);
  const shown = h("section", { class: "timeline sheet", "aria-label": "Timeline" }, h("div", { class: "tools" }, h("h2", {}, "Timeline"), count, h("span", { class: "grow" }), find, fold), frame);
  frame.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  const watcher = new ResizeObserver(() => arrange());
  watcher.observe(frame);

  // -- what is shown

  function isClosed(operation) {
    return closed.get(operation.id) ?? (operation.children > OPEN_AT_FIRST && operation.status === "SUCCEEDED");
  }

  function visibleRows() {
    if (wanted) return data.operations.filter((one) => one.id.toLowerCase().includes(wanted) || one.kind.includes(wanted) || one.status.toLowerCase().includes(wanted));
    const found = [];
    let under = Infinity;
    for (const one of data.operations) {
      if (one.depth > under) continue;
      under = one.children && isClosed(one) ? one.depth : Infinity;
      found.push(one);
    }
    return found;
  }

  function bounds() {
    const start = Date.parse(data.execution.started_at);
    const ended = data.execution.finished_at;
    const open = data.operations.filter((one) => !one.to);
    const last = Math.max(start, ...[...data.invocations.map((one) => one.to), ...data.markers.map((one) => one.at)].map(Date.parse));
    const dues = ended ? [] : open.map((one) => (one.due ? Date.parse(one.due) : 0));
    const end = ended ? Math.max(Date.parse(ended), last) : Math.max(now, last, ...dues);
    const active = data.invocations.map((one) => [Date.parse(one.from), Date.parse(one.to)]);
    if (!ended) active.push([now, now]);
    if (data.execution.status === "RUNNING") active.push([last, now]);
    return scale(start, Math.max(end, start + 1), active, folded);
  }

  function arrange() {
    if (!data) return;
    rows = visibleRows();
    axis = bounds();
    fill(count, wanted ? `${rows.length} of ${data.operations.length}` : data.operations.length === 1 ? "1 operation" : `${data.operations.length} operations`);
    sized.style.height = `${rows.length * ROW}px`;
    top();
    paint(true);
  }

  function percent(ms) {
    return `${(axis.at(ms) * 100).toFixed(4)}%`;
  }

  function top() {
    const width = Math.max(80, frame.clientWidth - ruler.offsetLeft - 16);
    fill(ruler,
      axis.ticks(width).map(({ ms, place }) => h("span", { style: { left: `${place * 100}%` } }, `+${duration(ms - axis.start)}`)),
      axis.folds.map((piece) => h("b", { title: `${duration(piece.to - piece.from)} in which nothing ran`, style: { left: `${piece.left * 100}%`, width: `${(piece.right - piece.left) * 100}%` } }, (piece.right - piece.left) * width > 40 ? duration(piece.to - piece.from) : "")));
    fill(turns, data.invocations.map((one, number) => {
      const from = axis.at(Date.parse(one.from));
      const to = axis.at(Date.parse(one.to));
      const replays = one.replayed ? `, after ${one.replayed} replayed` : "";
      const code = one.code_version ? `\ncode ${one.code_version}` : "";
      return h("i", { title: `Turn ${number + 1}: ${one.entries} entries${replays}${code}\n${local(one.from)}`, style: { left: `${from * 100}%`, width: `${(to - from) * 100}%` } }, number + 1);
    }));
  }

  function paint(anew = false) {
    if (!axis) return;
    const first = Math.max(0, Math.floor(frame.scrollTop / ROW) - 6);
    const last = Math.min(rows.length, first + Math.ceil(frame.clientHeight / ROW) + 16);
    if (!anew && layer.first === first && layer.last === last) return;
    layer.first = first;
    layer.last = last;
    fill(layer, backdrop(), rows.slice(first, last).map((one, number) => drawn(one, first + number)));
  }

  function backdrop() {
    const strip = (at, kind, title) => h("div", { class: `mark ${kind}`, title, style: { left: percent(at) } });
    const height = { height: `${rows.length * ROW}px` };
    return h("div", { class: "backdrop", style: height },
      h("div", { class: "track" },
        axis.folds.map((piece) => h("div", { class: "fold", style: { left: `${piece.left * 100}%`, width: `${(piece.right - piece.left) * 100}%` } })),
        data.markers.map((one) => strip(Date.parse(one.at), one.kind, `${one.kind}${one.by ? ` by ${one.by}` : ""}${one.reason ? `: ${one.reason}` : ""}\n${local(one.at)}`)),
        data.execution.finished_at ? null : strip(now, "now", "now")));
  }

  // -- a row

  function drawn(one, number) {
    const closedNow = one.children && !wanted && isClosed(one);
    const twist = one.children && !wanted
      ? h("button", { class: "twist", tabindex: "-1", "aria-label": closedNow ? "Open" : "Close", onclick: (event) => { event.stopPropagation(); toggle(one); } }, icon(closedNow ? "right" : "down"))
      : h("span", { class: "twist" });
    const label = h("span", { class: "label", style: { paddingLeft: `${Math.min(wanted ? 0 : one.depth, 8) * 14}px` } }, twist, h("span", { class: `sign ${tone(one.status)}` }, kindIcon(one.kind)), said(wanted ? one.id : one.name, "name"), one.children ? h("span", { class: "muted nowrap" }, one.children) : null);
    return h("div", {
      class: `op${one.forgotten ? " forgotten" : ""}${one.id === picked ? " picked" : ""}`, role: "treeitem", "aria-level": one.depth + 1, "aria-selected": one.id === picked ? "true" : "false",
      "aria-expanded": one.children ? String(!closedNow) : null, "data-op": one.id, style: { top: `${number * ROW}px` }, onclick: () => pick(one),
    }, label, h("span", { class: "track" }, bars(one)));
  }

  function bars(one) {
    const from = Date.parse(one.from);
    const found = [];
    const bar = (begin, end, kind, title) => {
      const left = axis.at(begin);
      found.push(h("span", { class: `piece ${kind}`, title, style: { left: `${left * 100}%`, width: `${Math.max(0, axis.at(end) - left) * 100}%` } }));
    };
    const waits = WAITS.has(one.kind);
    let last = from;
    for (const [number, attempt] of one.attempts.entries()) {
      const [begin, end] = [Date.parse(attempt.from), Date.parse(attempt.to)];
      if (number && begin > last) bar(last, begin, "pause", `waits ${duration(begin - last)} before attempt ${attempt.number}`);
      const error = attempt.error ? `\n${attempt.error.error_type}: ${attempt.error.message.slice(0, 200)}` : "";
      const nth = one.attempts.length > 1 ? ` attempt ${attempt.number}` : "";
      const shape = waits ? "thin" : one.children ? "group" : "";
      bar(begin, end, `${tone(attempt.status)} ${shape}${attempt.forgotten ? " forgotten" : ""}`, `${one.id}${nth}: ${attempt.status.toLowerCase()} in ${duration(end - begin)}${error}`);
      last = end;
    }
    if (!one.to) {
      const due = one.due ? Date.parse(one.due) : null;
      bar(last, now, `${tone(one.status)} ${waits || one.status === "RETRYING" ? "thin" : one.children ? "group" : ""} open`, `${one.id}: ${one.status.toLowerCase()} for ${duration(now - last)}${one.on ? `\nwaits for ${one.on}` : ""}`);
      if (due && due > now) bar(now, due, `${tone(one.status)} ahead`, `until ${local(one.due)}`);
    } else if (!one.attempts.length) bar(from, Date.parse(one.to), `${tone(one.status)} group`, `${one.id}: ${duration(Date.parse(one.to) - from)}`);
    const right = axis.at(Math.max(one.to ? Date.parse(one.to) : now, from));
    const took = one.to ? duration(Date.parse(one.to) - from) : one.due && Date.parse(one.due) > now ? `${duration(Date.parse(one.due) - now)} left` : duration(now - from);
    const left = axis.at(from);
    const place = right <= 0.82 ? "" : left > 0.3 ? " before" : " inside";
    found.push(h("span", { class: `length${place}`, style: { left: `${(place === " before" ? left : right) * 100}%` } }, one.attempts.length > 1 ? `${took} · ${one.attempts.length} attempts` : took));
    return found;
  }

  // -- what is chosen

  function toggle(one) {
    closed.set(one.id, !isClosed(one));
    arrange();
  }

  function pick(one) {
    picked = one?.id ?? null;
    paint(true);
    choose(one ?? null);
  }

  function step(by) {
    const at = rows.findIndex((one) => one.id === picked);
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
    if (!next) return;
    const place = rows.indexOf(next) * ROW;
    if (place < frame.scrollTop || place > frame.scrollTop + frame.clientHeight - 3 * ROW - 40) frame.scrollTop = Math.max(0, place - frame.clientHeight / 2);
    pick(next);
  }

  function spread(open) {
    const one = rows.find((row) => row.id === picked);
    if (one?.children && isClosed(one) === open) toggle(one);
  }

  return {
    shown,
    draw(given, at) {
      data = given;
      now = at;
      arrange();
      if (picked) choose(data.operations.find((one) => one.id === picked) ?? null);
    },
    tick(at) {
      if (!data || data.execution.finished_at) return;
      now = at;
      arrange();
    },
    pick: (id) => pick(data.operations.find((one) => one.id === id)),
    stop: () => watcher.disconnect(),
    keys: { j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1), ArrowRight: () => spread(true), ArrowLeft: () => spread(false), f: () => find.focus(), w: () => fold.click() },
  };
}

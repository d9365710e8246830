// Times, durations and values as people read them.

import { h, visible } from "./dom.js";

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

/** 950 -> "950 ms", 61000 -> "1 m 1 s": two units at most. */
export function duration(ms) {
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  let seconds = Math.round(ms / 1000);
  const parts = [];
  for (const [size, name] of UNITS) {
    if (seconds >= size && parts.length < 2) {
      parts.push(`${Math.floor(seconds / size)} ${name}`);
      seconds %= size;
    } else if (parts.length) break;
  }
  return parts.join(" ");
}

export function ago(iso, now) {
  const ms = now - Date.parse(iso);
  if (Math.abs(ms) < 1000) return "now";
  const first = duration(Math.abs(ms)).split(" ").slice(0, 2).join(" ").replace(/\.\d+/, "");
  return ms > 0 ? `${first} ago` : `in ${first}`;
}

const LOCAL = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  hour12: false, timeZoneName: "short",
});

export function local(iso) {
  return LOCAL.format(new Date(iso));
}

/** How long ago; where the pointer rests, the local time and UTC. */
export function moment(iso, now, { full = false } = {}) {
  if (!iso) return "";
  return h("time", { datetime: iso, title: `${local(iso)}\n${new Date(iso).toISOString()}` }, full ? local(iso) : ago(iso, now));
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

/** A value as JSON, keys and kinds of values apart. */
export function json(value) {
  const text = visible(JSON.stringify(value, null, 2) ?? "null");
  const pre = h("pre", { class: "json", tabindex: "0" });
  if (text.length > 200000) return (pre.append(text), pre);
  let last = 0;
  for (const match of text.matchAll(TOKENS)) {
    pre.append(text.slice(last, match.index));
    const kind = match[2] !== undefined ? "key" : match[1] !== undefined ? "text" : match[3] !== undefined ? "word" : "number";
    pre.append(h("span", { class: `j-${kind}` }, match[1] ?? match[0]), match[2] ?? "");
    last = match.index + match[0].length;
  }
  pre.append(text.slice(last));
  return pre;
}

/** On one line, for tables. */
export function brief(value, most = 80) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

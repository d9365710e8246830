// Elements are made here and nowhere else. Texts become text nodes: there is no way from a text to markup in this file.

const SVG = "http://www.w3.org/2000/svg";

/** h("a", {class: "x", href: "#/", onclick: f}, "text", other) */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// What has no glyph of its own, or turns the direction of what follows, is shown as its number: texts are hostile.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

export function visible(text) {
  return text.replace(UNSEEN, (c) => (c === "\n" || c === "\t" ? c : `\\u{${c.codePointAt(0).toString(16)}}`));
}

/** A text from an execution, kept apart from the writing direction of what stands beside it. */
export function said(text, className = "") {
  return h("bdi", { class: className || null, title: visible(String(text)) }, text);
}

const PATHS = {
  ok: "M3.5 8.5l3 3 6-7",
  cross: "M4.5 4.5l7 7m0-7l-7 7",
  pause: "M6 4.5v7m4-7v7",
  play: "M5.5 3.8l6 4.2-6 4.2z",
  dot: "M8 8h.01",
  stop: "M5 5h6v6H5z",
  clock: "M8 4.5V8l2.2 1.4M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2",
  alert: "M8 5.4v3.2m0 2.3h.01M8 2.4l6 10.6H2z",
  bolt: "M9 2L3.8 9H8l-1 5 5.2-7H8z",
  inbox: "M2.5 9h3l1 2h3l1-2h3M2.5 9l2-5.5h7l2 5.5v4h-11z",
  link: "M6.8 9.2l2.6-2.6M7 4.6l1-1a2.8 2.8 0 0 1 4 4l-1 1M9 11.4l-1 1a2.8 2.8 0 0 1-4-4l1-1",
  fan: "M3 8h3m0 0l3-4h4M6 8h7M6 8l3 4h4",
  branch: "M4 3v10m0-5h5a3 3 0 0 0 3-3V3",
  signal: "M8 8h.01M5.2 10.8a4 4 0 0 1 0-5.6m5.6 0a4 4 0 0 1 0 5.6M3.2 12.8a6.8 6.8 0 0 1 0-9.6m9.6 0a6.8 6.8 0 0 1 0 9.6",
  copy: "M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z",
  back: "M9.5 3.5L5 8l4.5 4.5",
  down: "M4.5 6.5L8 10l3.5-3.5",
  right: "M6.5 4.5L10 8l-3.5 3.5",
  sun: "M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6M8 1.5v1m0 11v1m6.5-6.5h-1m-11 0h-1m11.1-4.6l-.7.7M4.1 11.9l-.7.7m0-9.2l.7.7m7.8 7.8l.7.7",
  help: "M6 6.2A2 2 0 1 1 8.6 8c-.4.2-.6.6-.6 1.2m0 2h.01",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.6h-2.6",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.dot);
  svg.append(path);
  return svg;
}

export function toast(text, bad = false) {
  const shown = h("div", { class: bad ? "toast bad" : "toast" }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), bad ? 9000 : 5000);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not let this page copy", true);
  }
}

// The frame: the bar, the address, the keys, and when to look again.

import { hasToken, look, query, setToken, takeToken } from "./api.js";
import { open } from "./dialogs.js";
import { fill, h, icon, said } from "./dom.js";
import { execution } from "./execution.js";
import { list } from "./list.js";

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const THEMES = { "": "As the system", light: "Light", dark: "Dark" };

let meta = null;
let view = null;
let waiting = null;
let visit = 0;

// -- the address: #/?status=FAILED is a list, #/x/ID an execution

function go(where, values = {}, id = "") {
  const text = query(values);
  return where === "x" ? `#/x/${encodeURIComponent(id)}` : `#/${text ? `?${text}` : ""}`;
}

function route() {
  const hash = location.hash.slice(1) || "/";
  if (hash.startsWith("/x/")) {
    try {
      return { id: decodeURIComponent(hash.slice(3)) };
    } catch {
      return { filters: {} };
    }
  }
  return { filters: Object.fromEntries(new URLSearchParams(hash.split("?")[1] ?? "")) };
}

async function arrive() {
  takeToken();
  view?.stop();
  clearTimeout(waiting);
  const here = ++visit;
  try {
    meta ??= (await look("meta")).data;
  } catch (error) {
    return error.status === 401 ? askForToken() : fill(main, h("div", { class: "empty" }, h("strong", {}, "The dashboard cannot be reached"), error.message, h("p", {}, h("button", { class: "button", onclick: arrive }, "Try again"))));
  }
  if (here !== visit) return undefined;
  const { id, filters } = route();
  drawBar(filters ?? {});
  document.title = "durable_fn";
  view = id === undefined ? list(main, meta, filters, { go, live }) : execution(main, meta, id, { go, live });
  window.scrollTo(0, 0);
  await look_(here);
  return undefined;
}

/** Again and again, while somebody looks. */
async function look_(here) {
  try {
    await view.refresh();
  } catch (error) {
    if (error.status === 401) return askForToken();
    throw error;
  }
  if (here === visit) waiting = setTimeout(() => (document.hidden ? resume(here) : look_(here)), meta.poll_s * 1000);
  return undefined;
}

function resume(here) {
  document.addEventListener("visibilitychange", () => here === visit && look_(here), { once: true });
}

function askForToken() {
  const input = h("input", { type: "password", autocomplete: "off", "aria-label": "Token", required: true });
  fill(main, h("form", { class: "empty", onsubmit: (event) => { event.preventDefault(); setToken(input.value.trim()); arrive(); } },
    h("strong", {}, hasToken() ? "That is not the token" : "A token is needed"), h("p", {}, "It was printed when the dashboard was started."), h("p", {}, input, " ", h("button", { class: "button main" }, "Show"))));
}

// -- the bar

const pulse = h("span", { class: "live", role: "status" }, h("i", {}), h("span", {}, "Live"));

function live(on) {
  pulse.classList.toggle("on", on);
  fill(pulse.lastChild, on ? "Live" : "Not live");
}

function drawBar(filters) {
  const input = h("input", { type: "search", placeholder: "Execution id, or its beginning", "aria-label": "Search by id", value: filters.id_prefix ?? "", spellcheck: "false", autocomplete: "off" });
  const search = (event) => {
    event.preventDefault();
    const wanted = input.value.trim();
    location.hash = go("", { ...filters, id_prefix: wanted });
    input.blur();
  };
  fill(bar,
    h("a", { class: "brand", href: go("") }, h("img", { src: "mark.svg", alt: "" }), "durable_fn"),
    h("span", { class: "where" }, said(meta.backend), meta.read_only ? h("span", { class: "chip" }, "Read-only") : null),
    h("span", { class: "grow" }), pulse,
    h("form", { class: "search", role: "search", onsubmit: search }, input, h("kbd", {}, "/")),
    h("button", { class: "button plain", title: "Light or dark (t)", "aria-label": "Light or dark", onclick: turnTheme }, icon("sun")),
    h("button", { class: "button plain", title: "Keys (?)", "aria-label": "Keys", onclick: help }, icon("help")));
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

function turnTheme() {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(localStorage.getItem("durable-fn-theme") ?? "") + 1) % names.length];
  localStorage.setItem("durable-fn-theme", next);
  theme(next);
}

// -- keys

const HELP = [["/", "Search"], ["j k ↓ ↑", "Next, previous"], ["Enter", "Open"], ["← →", "Close, open a branch"], ["f", "Find an operation"], ["w", "Fold the waits"], ["r", "Look again"], ["t", "Light or dark"], ["Esc", "Back"]];

function help() {
  open(h("form", { method: "dialog" }, h("h1", {}, "Keys"), h("div", { class: "keys" }, HELP.flatMap(([keys, does]) => [h("span", {}, keys.split(" ").map((key) => [h("kbd", {}, key), " "])), h("span", {}, does)])), h("div", { class: "buttons" }, h("button", { class: "button" }, "Close"))));
}

const KEYS = { "/": () => bar.querySelector("input")?.focus(), t: turnTheme, r: () => view?.refresh(), "?": help };

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog, [contenteditable]");
  if (event.key === "Escape" && typing && !typing.closest("dialog")) {
    event.preventDefault(); // a search keeps its words, only the keys are the page's again
    return event.target.blur();
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const focused = event.target.closest("a, button, summary");
  if (focused && event.key === "Enter") return undefined;
  const act = view?.keys[event.key] ?? KEYS[event.key];
  if (!act) return undefined;
  event.preventDefault();
  return act();
});

theme(localStorage.getItem("durable-fn-theme") ?? "");
window.addEventListener("hashchange", arrive);
arrive();

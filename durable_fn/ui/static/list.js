// The list: what the address says is what it shows.

import { look } from "./api.js";
import { bulk } from "./bulk.js";
import * as dialogs from "./dialogs.js";
import { fill, h, icon, said } from "./dom.js";
import { brief, duration, moment } from "./format.js";
import { ENDED, standing, status } from "./statuses.js";

const TABS = [
  ["All", {}],
  ["Live", { status: "PENDING,RUNNING,SUSPENDED" }],
  ["Failed", { status: "FAILED,TIMED_OUT" }],
  ["Held", { held: "1" }],
  ["Overdue", { overdue: "1" }],
  ["Succeeded", { status: "SUCCEEDED" }],
  ["Cancelled", { status: "CANCELLED,TERMINATED" }],
];
const TAB_KEYS = ["status", "held", "overdue"];
const SINCE = [["", "Started: any time"], ["1h", "Started: 1 h"], ["24h", "Started: 24 h"], ["7d", "Started: 7 days"]];
const UPDATED = [["", "Updated: any time"], ["15m", "Updated: 15 min"], ["24h", "Updated: 24 h"], ["7d", "Updated: 7 days"]];
const PAGE = 50;
const MOST_LIVE = 200;

export function list(main, meta, filters, { go, live }) {
  const rows = new Map();
  let shown = [];
  let cursor = null;
  let chosen = -1;
  let stopped = false;

  const attention = h("nav", { class: "attention", "aria-label": "What wants attention" });
  const body = h("div", { class: "rows", role: "list" });
  const foot = h("div", { class: "foot" });
  const problem = h("div", { class: "banner", role: "alert", hidden: true });
  fill(main, problem, attention, bar(), h("div", { class: "sheet" }, head(), body, foot));

  // -- what is asked for

  function to(changed) {
    const next = { ...filters, ...changed };
    for (const name of Object.keys(next)) if (!next[name]) delete next[name];
    return go("", next);
  }

  function tabFilters(tab) {
    return Object.fromEntries(TAB_KEYS.map((name) => [name, tab[name] ?? ""]));
  }

  function current(tab) {
    return TAB_KEYS.every((name) => (filters[name] ?? "") === (tab[name] ?? ""));
  }

  function bar() {
    const select = (name, options, label) =>
      h("select", { "aria-label": label, onchange: (event) => { location.hash = to({ [name]: event.target.value }); } },
        options.map(([value, word]) => h("option", { value, selected: (filters[name] ?? "") === value }, word)));
    const functions = [["", "All functions"], ...new Set([...meta.functions, filters.name].filter(Boolean))].map((one) => (Array.isArray(one) ? one : [one, one]));
    return h("div", { class: "filters" },
      h("div", { class: "tabs", role: "group", "aria-label": "Status" }, TABS.map(([word, tab]) => h("a", { href: to(tabFilters(tab)), "aria-current": current(tab) ? "true" : null }, word))),
      select("name", functions, "Function"), select("started_after", SINCE, "Started"), select("updated_after", UPDATED, "Updated"),
      Object.entries(filters).filter(([name]) => ["parent", "id_prefix", "name_prefix", "has_error"].includes(name)).map(([name, value]) =>
        h("a", { class: "chip", href: to({ [name]: "" }), title: "Remove this filter" }, `${name.replace("_", " ")}: `, said(value), icon("cross"))),
      h("span", { class: "grow" }),
      meta.read_only ? null : h("span", { class: "group" },
        h("button", { class: "button", onclick: () => dialogs.start(meta.served ?? meta.functions, (id) => { location.hash = go("x", {}, id); }) }, "Start…"),
        h("button", { class: "button", onclick: () => bulk(filters, words(), refresh) }, "Many at once…")));
  }

  function words() {
    const given = Object.entries(filters).map(([name, value]) => `${name.replace("_", " ")} ${value}`);
    return given.length ? given.join(", ") : "all there are";
  }

  // -- what is shown

  function head() {
    return h("div", { class: "head", "aria-hidden": "true" },
      h("span", {}, "Status"), h("span", {}, "Execution"), h("span", { class: "fn" }, "Function"), h("span", {}, "Started"), h("span", { class: "number" }, "Took"),
      h("span", { class: "next" }, "Next"), h("span", { class: "number turns" }, "Turns"));
  }

  function why(one) {
    const error = one.held ?? (ENDED.has(one.status) ? one.error : null);
    if (error) return h("span", { class: `why${["CANCELLED", "TERMINATED"].includes(one.status) ? " calm" : ""}`, title: error.message }, cause(error));
    const custom = one.custom_status && ("json" in one.custom_status ? one.custom_status.json : one.custom_status.cut);
    return custom === null || custom === undefined ? null : h("span", { class: "why calm" }, brief(custom, 200));
  }

  /** In a line, what matters to the front: "ship: ConnectionError: ..." for a step that failed. */
  function cause({ error_type: type, message }) {
    const line = message.split("\n")[0];
    const step = /^step '([^']{1,80})' failed after \d+ attempts?: (.*)$/.exec(line);
    return step ? `${step[1]}: ${step[2]}` : `${type.split(".").pop()}: ${line}`;
  }

  function row(one, now) {
    const end = one.finished_at ? Date.parse(one.finished_at) : now;
    const next = standing(one) === "OVERDUE" ? ["was due ", moment(one.next_due_at, now)] : one.next_due_at && !ENDED.has(one.status) ? moment(one.next_due_at, now) : "";
    return h("div", { class: "row", role: "listitem", "data-id": one.id },
      h("span", { class: "state" }, status(standing(one))),
      h("span", { class: "id" }, h("a", { href: go("x", {}, one.id) }, said(one.id)), why(one)),
      h("span", { class: "fn" }, said(one.name)),
      h("span", { class: "started" }, moment(one.started_at, now)),
      h("span", { class: "took number" }, duration(end - Date.parse(one.started_at))),
      h("span", { class: "next muted" }, next),
      h("span", { class: "turns number muted" }, one.invocations));
  }

  function draw(executions, now) {
    shown = executions;
    const kept = shown[chosen]?.id;
    const made = executions.map((one) => {
      const text = JSON.stringify(one) + (ENDED.has(one.status) && now - Date.parse(one.finished_at) > 60000 ? "" : Math.floor(now / 1000));
      const there = rows.get(one.id);
      if (there && there.text === text) return there.element;
      const element = row(one, now);
      rows.set(one.id, { text, element });
      return element;
    });
    const ids = new Set(executions.map((one) => one.id));
    for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
    if (made.length !== body.children.length || made.some((element, at) => element !== body.children[at])) body.replaceChildren(...made);
    if (!executions.length) {
      const filtered = Object.keys(filters).length > 0;
      fill(body, h("div", { class: "empty" }, h("strong", {}, filtered ? "Nothing matches" : "No executions yet"),
        cursor ? "Nothing in what was read so far." : filtered ? h("a", { class: "button", href: go("", {}) }, "Show all") : "They appear here as soon as they start."));
    }
    choose(kept === undefined ? chosen : executions.findIndex((one) => one.id === kept), false);
  }

  function choose(at, scroll = true) {
    body.children[chosen]?.classList.remove("chosen");
    chosen = Math.max(-1, Math.min(at, shown.length - 1));
    const element = shown.length ? body.children[chosen] : null;
    element?.classList.add("chosen");
    if (scroll) element?.scrollIntoView({ block: "nearest" });
  }

  function drawFoot(data) {
    const more = h("button", { class: "button small", onclick: () => load(true) }, "Show more");
    fill(foot, `${shown.length} shown`, cursor ? more : null, h("span", { class: "grow" }),
      data.scanned ? h("span", { class: "chip warn" }, "The table has no index for lists: it was scanned") : null,
      data.read_units ? `${data.read_units} read units` : null);
  }

  function drawAttention(counts) {
    const entries = [["held", "bad", "held", { held: "1" }], ["failed", "bad", "failed in 7 days", { status: "FAILED,TIMED_OUT", updated_after: "7d" }], ["overdue", "wait", "overdue", { overdue: "1" }]];
    const some = entries.filter(([name]) => counts[name]);
    fill(attention, some.length
      ? some.map(([name, tone, word, tab]) => h("a", { class: tone, href: go("", tab) }, h("b", {}, counts[name] > 100 ? "100+" : counts[name]), word))
      : h("div", { class: "calm good" }, status("SUCCEEDED").firstChild, "Nothing wants attention"));
  }

  // -- asking

  async function load(more = false) {
    if (!more && shown.length > MOST_LIVE) return; // somebody reads far down: nothing moves under them
    try {
      const limit = more ? PAGE : Math.max(PAGE, shown.length);
      const { data } = await look("executions", { ...filters, limit, cursor: more ? cursor : "" });
      if (stopped) return;
      const there = new Set(data.executions.map((one) => one.id));
      cursor = data.cursor;
      draw(more ? [...shown.filter((one) => !there.has(one.id)), ...data.executions] : data.executions, Date.parse(data.now));
      drawFoot(data);
      problem.hidden = true;
      live(shown.length <= MOST_LIVE);
    } catch (error) {
      if (stopped) return;
      if (error.status === 401) throw error;
      fill(problem, icon("alert"), error.message).hidden = false;
      live(false);
    }
  }

  async function count() {
    try {
      const { data } = await look("attention");
      if (!stopped) drawAttention(data);
    } catch {
      // the list itself says what is wrong
    }
  }

  async function refresh() {
    await Promise.all([load(), count()]);
  }

  return {
    title: "Executions",
    refresh,
    stop: () => { stopped = true; },
    keys: {
      j: () => choose(chosen + 1), ArrowDown: () => choose(chosen + 1),
      k: () => choose(chosen - 1), ArrowUp: () => choose(chosen - 1),
      Enter: () => { if (shown[chosen]) location.hash = go("x", {}, shown[chosen].id); },
    },
  };
}

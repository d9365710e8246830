// One execution: how it stands and why, its timeline, its values, its history.

import { look } from "./api.js";
import { detail, problemOf, shownValue } from "./detail.js";
import * as dialogs from "./dialogs.js";
import { copy, fill, h, icon, said } from "./dom.js";
import { ago, duration, moment } from "./format.js";
import { ENDED, kindIcon, standing, status } from "./statuses.js";
import { timeline } from "./timeline.js";

export function execution(main, meta, id, { go, live }) {
  let data = null;
  let etag = null;
  let stopped = false;
  let skew = 0;
  let children = [];

  const problem = h("div", { class: "banner", role: "alert", hidden: true });
  const head = h("div", { class: "title" });
  const now_ = h("div", { class: "standing" });
  const side = h("aside", { class: "side", "aria-label": "Details" });
  const below = h("div", { class: "below" });
  const may = !meta.read_only;
  const lines = timeline({ choose: (operation) => drawSide(operation) });
  const layout = h("div", { class: "columns", hidden: true }, lines.shown, side);
  fill(main, problem, h("nav", { class: "crumbs" }, h("a", { href: go("", {}) }, icon("back"), "Executions")), head, now_, layout, below);

  const clock = () => Date.now() + skew;
  const link = (other, text = other) => h("a", { class: "reference", href: go("x", {}, other) }, icon("link"), said(text));

  // -- how it stands

  function drawHead() {
    const one = data.execution;
    const end = one.finished_at ? Date.parse(one.finished_at) : clock();
    document.title = `${standing(one).toLowerCase()} · ${one.id} · durable_fn`;
    const codes = [...new Set(data.invocations.map((each) => each.code_version).filter(Boolean))];
    const facts = [
      ["Function", h("a", { href: go("", { name: one.name }) }, said(one.name))],
      ["Started", moment(one.started_at, clock(), { full: true })],
      ["Took", duration(end - Date.parse(one.started_at))],
      ["Turns", one.invocations],
      one.generation > 1 ? ["Generation", one.generation] : null,
      one.parent_id ? ["Parent", link(one.parent_id)] : null,
      codes.length ? [codes.length > 1 ? "Code versions" : "Code", h("span", { class: "mono" }, codes.join(", "))] : null,
      ...data.markers.filter((each) => each.kind === "fork" && each.result?.of).map((each) => ["Forked from", link(each.result.of)]),
    ];
    fill(head,
      h("div", { class: "names" },
        h("div", { class: "idline" }, status(standing(one), { badge: true }), h("h1", { class: "mono" }, said(one.id)),
          h("button", { class: "button plain small", title: "Copy the id", "aria-label": "Copy the id", onclick: () => copy(one.id) }, icon("copy"))),
        h("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
      h("div", { class: "actions" }, actions(one)));
  }

  function actions(one) {
    if (!may) return h("span", { class: "chip" }, "Read-only");
    const button = (word, act, kind = "") => h("button", { class: `button ${kind}`, onclick: act }, word);
    const ended = ENDED.has(one.status);
    return [
      one.held ? button("Try now", () => dialogs.redrive(id, refresh, { held: true }), "main") : null,
      ended && one.status !== "SUCCEEDED" ? button("Redrive", () => dialogs.redrive(id, refresh), "main") : null,
      ended ? null : button("Signal…", () => dialogs.signal(id, refresh)),
      ended ? null : button("Cancel…", () => dialogs.cancel(id, refresh), "danger"),
      ended ? null : button("Terminate…", () => dialogs.terminate(id, refresh), "danger"),
      ended ? button("Purge…", () => dialogs.purge(id, () => { location.hash = go("", {}); }), "danger") : null,
    ];
  }

  function card(tone, sign, title, ...content) {
    return h("section", { class: `card ${tone}` }, h("h2", {}, icon(sign), title), ...content);
  }

  /** The answer to "why is it not done?", before anything else. */
  function drawNow() {
    const one = data.execution;
    const cards = [];
    if (one.held) cards.push(card("bad", "alert", "Held: it cannot go on", problemOf(one.held)));
    else if (ENDED.has(one.status) && one.error) cards.push(card(one.status === "FAILED" || one.status === "TIMED_OUT" ? "bad" : "idle", "cross", `Ended as ${one.status}`, problemOf(one.error)));
    if (one.overdue) cards.push(card("wait", "alert", "Overdue: nobody takes it", h("p", {}, "It was due ", moment(one.next_due_at, clock()), ". Is its function deployed and running, and does its queue deliver?")));
    const unserved = meta.served && !ENDED.has(one.status) && !meta.served.includes(one.name);
    if (unserved) cards.push(card("wait", "alert", "Nobody runs this function here", h("p", {}, "No handler named ", said(one.name, "mono"), " was found where this server looks.")));
    if (!ENDED.has(one.status) && data.waits.length) cards.push(card("wait", "pause", data.waits.length > 1 ? `Waits for ${data.waits.length} things` : "Waits", h("ul", { class: "waits" }, data.waits.slice(0, 12).map(wait), data.waits.length > 12 ? h("li", { class: "muted" }, `and ${data.waits.length - 12} more, see the timeline`) : null)));
    else if (one.status === "RUNNING") cards.push(card("run", "play", `Turn ${one.invocations} is running`));
    const custom = one.custom_status;
    if (custom) cards.push(told(custom));
    fill(now_, cards);
  }

  /** What its code says of itself, on a line where it fits one. */
  function told(custom) {
    const text = "json" in custom ? (typeof custom.json === "string" ? custom.json : JSON.stringify(custom.json)) : "";
    if (!text || text.length > 200) return card("idle", "signal", "Status it tells", shownValue(custom, { id, what: "custom_status" }));
    return h("section", { class: "card idle told" }, h("h2", {}, icon("signal"), "Status it tells"), h("span", { class: "mono" }, text));
  }

  function wait(one) {
    const since = ["since ", moment(one.since, clock())];
    const until = one.until ? [", until ", moment(one.until, clock(), { full: true }), ` (${ago(one.until, clock())})`] : ", for as long as it takes";
    const buttons = [];
    if (may && one.kind === "callback") {
      buttons.push(h("button", { class: "button small", onclick: () => dialogs.complete(id, one.id, refresh) }, "Complete…"), h("button", { class: "button small danger", onclick: () => dialogs.fail(id, one.id, refresh) }, "Fail…"));
    }
    if (may && one.kind === "signal") buttons.push(h("button", { class: "button small", onclick: () => dialogs.signal(id, refresh, one.name) }, "Send it…"));
    const child = data.operations.find((operation) => operation.id === one.id)?.child;
    return h("li", { "data-wait": one.id }, kindIcon(one.kind), h("div", { class: "grow" }, h("div", {}, child ? ["for execution ", link(child)] : ["sleep", "timer"].includes(one.kind) ? ["for time to pass: ", said(one.id, "mono")] : ["for ", said(one.on)]), h("div", { class: "muted" }, since, until)), buttons.length ? h("div", { class: "group" }, buttons) : null);
  }

  // -- details

  function drawSide(operation) {
    layout.classList.toggle("with-side", Boolean(operation));
    if (!operation) return fill(side);
    return fill(side, detail(operation, {
      id, may, link, now: clock(), close: () => lines.pick(null),
      ended: ENDED.has(data.execution.status),
      redrive: () => dialogs.redrive(id, refresh, { from: operation.id }),
      fork: () => dialogs.fork(id, operation.id, (copy_) => { location.hash = go("x", {}, copy_); }),
      complete: () => dialogs.complete(id, operation.id, refresh), fail: () => dialogs.fail(id, operation.id, refresh),
      signal: () => dialogs.signal(id, refresh, operation.name),
    }));
  }

  function drawBelow() {
    const one = data.execution;
    const values = [["Input", "input"], one.status === "SUCCEEDED" ? ["Result", "result"] : null].filter(Boolean);
    const open = new Set([...below.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    const part = (name, label, ...content) => h("details", { class: "sheet part", "data-name": name, open: open.has(name) }, h("summary", {}, h("h2", {}, label)), ...content);
    fill(below,
      h("div", { class: "values" }, values.map(([word, what]) => h("section", { class: "sheet value" }, h("h2", {}, word), shownValue(one[what] ?? { json: null }, { id, what })))),
      children.length ? h("section", { class: "sheet value" }, h("h2", {}, `Started by it (${children.length})`), h("ul", { class: "children" }, children.map((child) => h("li", {}, status(standing(child)), h("a", { href: go("x", {}, child.id) }, said(child.id, "mono")), h("span", { class: "muted" }, said(child.name)))))) : null,
      data.markers.length ? h("section", { class: "sheet value" }, h("h2", {}, "Interventions and generations"), h("ol", { class: "marks" }, data.markers.map(marked))) : null,
      history_(part));
  }

  function marked(each) {
    const words = { redrive: "Redriven", fork: "Forked", generation: "Went on as a new generation", cancel: "Asked to cancel" };
    return h("li", {}, h("strong", {}, words[each.kind] ?? each.kind), each.id ? [" from ", said(each.id, "mono")] : "", each.by ? [" by ", said(each.by)] : "", each.reason ? [": ", said(each.reason)] : "", h("span", { class: "muted" }, " ", moment(each.at, clock(), { full: true })));
  }

  function history_(part) {
    const body = h("div", { class: "raw" });
    const whole = part("history", "Raw history", body);
    const load = async () => {
      if (!whole.open) return;
      try {
        const { data: document_ } = await look("history", { id });
        const text = JSON.stringify(document_, null, 2);
        const save = () => {
          const at = URL.createObjectURL(new Blob([text], { type: "application/json" }));
          h("a", { href: at, download: `${id.replace(/[^\w.-]+/g, "_").slice(0, 80)}.history.json` }).click();
          setTimeout(() => URL.revokeObjectURL(at), 1000);
        };
        fill(body, h("div", { class: "tools" }, h("span", { class: "muted" }, `${document_.format} version ${document_.version}, ${document_.events.length} entries`), h("span", { class: "grow" }), h("button", { class: "button small", onclick: () => copy(text) }, icon("copy"), "Copy"), h("button", { class: "button small", onclick: save }, "Download")),
          h("div", { class: "events" }, document_.events.slice(0, 2000).map((event) => h("div", { class: `event${event.forgotten ? " forgotten" : ""}` }, h("span", { class: "muted nowrap" }, event.at.replace("T", " ").replace("+00:00", "Z")), h("span", {}, event.kind), said(event.id, "mono"), status(event.status), h("span", { class: "muted" }, event.attempt > 1 ? `attempt ${event.attempt}` : "")))));
      } catch (error) {
        fill(body, h("div", { class: "problem" }, error.message));
      }
    };
    whole.addEventListener("toggle", load);
    if (whole.open) load();
    return whole;
  }

  // -- asking

  async function refresh() {
    try {
      const found = await look("execution", { id }, { etag });
      if (stopped) return;
      problem.hidden = true;
      live(true);
      if (found.unchanged) return;
      ({ data, etag } = found);
      skew = Date.parse(data.now) - Date.now();
      layout.hidden = false;
      drawHead();
      drawNow();
      drawBelow();
      lines.draw(data, clock());
      await findChildren();
    } catch (error) {
      if (stopped) return;
      if (error.status === 401) throw error;
      if (error.status === 404 && !data) fill(main, h("div", { class: "empty" }, h("strong", {}, "There is no such execution"), h("p", {}, said(id, "mono")), h("a", { class: "button", href: go("", {}) }, "To the list")));
      else fill(problem, icon("alert"), error.message).hidden = false;
      live(false);
    }
  }

  async function findChildren() {
    if (!data.operations.some((one) => one.child || one.kind === "call" || one.kind === "send")) return;
    const found = await look("children", { id });
    if (stopped) return;
    children = found.data.executions;
    drawBelow();
  }

  const ticking = setInterval(() => {
    if (!data || ENDED.has(data.execution.status) || document.hidden) return;
    drawHead();
    lines.tick(clock());
  }, 1000);

  return {
    title: id,
    refresh,
    stop: () => { stopped = true; clearInterval(ticking); lines.stop(); },
    keys: { ...lines.keys, Escape: () => (layout.classList.contains("with-side") ? lines.pick(null) : (location.hash = go("", {}))) },
  };
}

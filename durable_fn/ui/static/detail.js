// One operation beside the timeline; errors and values wherever they stand.

import { look } from "./api.js";
import { copy, fill, h, icon, said } from "./dom.js";
import { duration, json, moment } from "./format.js";
import { kindIcon, status } from "./statuses.js";

/** An error as people need it: what, why, where, and what else was wrong. */
export function problemOf(error) {
  const trace = Array.isArray(error.traceback) ? error.traceback.join("\n") : error.traceback;
  return h("div", { class: "error" },
    h("p", {}, h("strong", { class: "mono" }, said(error.error_type)), error.attempts > 1 ? h("span", { class: "muted" }, ` after ${error.attempts} attempts`) : null),
    h("p", { class: "message" }, error.message),
    error.causes?.length ? h("ul", {}, error.causes.map((cause) => h("li", {}, h("strong", { class: "mono" }, said(cause.error_type)), ": ", cause.message))) : null,
    error.data !== null && error.data !== undefined ? h("details", {}, h("summary", {}, "Its data"), json(error.data)) : null,
    trace ? h("details", { open: true }, h("summary", {}, "Traceback"), h("pre", { class: "trace", tabindex: "0" }, trace)) : null);
}

/** `{json}`, or `{cut, size}` with a button that asks for the whole. */
export function shownValue(value, asked) {
  const box = h("div", { class: "shown" });
  const whole = (found) => fill(box, h("button", { class: "button plain small copy", title: "Copy", "aria-label": "Copy the value", onclick: () => copy(JSON.stringify(found, null, 2)) }, icon("copy")), json(found));
  if (!("cut" in value)) return whole(value.json);
  const all = h("button", { class: "button small", onclick: async () => {
    try {
      whole((await look("value", asked)).data.json);
    } catch (error) {
      fill(box, h("div", { class: "problem" }, error.message));
    }
  } }, `Show all ${value.size.toLocaleString()} characters`);
  return fill(box, h("pre", { class: "json", tabindex: "0" }, `${value.cut}…`), all);
}

export function detail(one, { id, may, link, now, close, ended, redrive, fork, complete, fail, signal }) {
  const end = one.to ? Date.parse(one.to) : now;
  const facts = [
    ["Kind", one.kind],
    ["From", moment(one.from, now, { full: true })],
    one.to ? ["To", moment(one.to, now, { full: true })] : null,
    ["Took", duration(end - Date.parse(one.from))],
    one.due && !one.to ? ["Until", moment(one.due, now, { full: true })] : null,
    one.on ? ["Waits for", said(one.on)] : null,
    one.child ? ["Execution", link(one.child)] : null,
    one.by ? ["By", said(one.by)] : null,
  ];
  const open = !one.to && !ended;
  const buttons = may ? [
    open && one.kind === "callback" ? h("button", { class: "button small main", onclick: complete }, "Complete…") : null,
    open && one.kind === "callback" ? h("button", { class: "button small danger", onclick: fail }, "Fail…") : null,
    open && one.kind === "signal" ? h("button", { class: "button small main", onclick: signal }, "Send it…") : null,
    ended && !one.forgotten ? h("button", { class: "button small", onclick: redrive }, "Redrive from here…") : null,
    !one.forgotten ? h("button", { class: "button small", onclick: fork }, "Fork from here…") : null,
  ].filter(Boolean) : [];
  return [
    h("div", { class: "side-head" }, kindIcon(one.kind), h("h1", { class: "mono" }, said(one.id)), h("button", { class: "button plain small", "aria-label": "Close", onclick: close }, icon("cross"))),
    h("div", { class: "states" }, status(one.status, { badge: true }), one.forgotten ? h("span", { class: "chip" }, "Forgotten by a redrive") : null),
    h("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    buttons.length ? h("div", { class: "buttons" }, buttons) : null,
    one.attempts.length > 1 || one.error ? h("section", {}, h("h2", {}, one.attempts.length > 1 ? `${one.attempts.length} attempts` : "Error"), attempts(one)) : null,
    one.shown ? h("section", {}, h("h2", {}, "Result"), shownValue(one.shown, { id, op: one.id })) : null,
  ];
}

function attempts(one) {
  return h("ol", { class: "attempts" }, one.attempts.map((each, at) => h("li", { class: each.forgotten ? "forgotten" : null },
    h("div", { class: "line" }, status(each.status), h("span", { class: "muted" }, `attempt ${each.number}, ${duration(Date.parse(each.to) - Date.parse(each.from))}`)),
    each.error ? (at === one.attempts.length - 1 ? problemOf(each.error) : h("details", {}, h("summary", {}, `${each.error.error_type}: ${each.error.message.slice(0, 120)}`), problemOf(each.error))) : null)));
}

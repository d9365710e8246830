// How each status looks: tone, sign and word. The words are those of the command line.

import { h, icon } from "./dom.js";

const LOOKS = {
  PENDING: ["idle", "clock", "Pending"],
  RUNNING: ["run", "play", "Running"],
  SUSPENDED: ["wait", "pause", "Suspended"],
  WAITING: ["wait", "pause", "Waiting"],
  RETRYING: ["wait", "again", "Retrying"],
  STARTED: ["run", "play", "Started"],
  SUCCEEDED: ["good", "ok", "Succeeded"],
  FAILED: ["bad", "cross", "Failed"],
  TIMED_OUT: ["bad", "clock", "Timed out"],
  CANCELLED: ["idle", "stop", "Cancelled"],
  TERMINATED: ["idle", "stop", "Terminated"],
  LEFT: ["idle", "stop", "Left open"],
  HELD: ["bad", "alert", "Held"],
  OVERDUE: ["wait", "alert", "Overdue"],
};

export const ENDED = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT"]);

export function standing(execution) {
  return execution.held ? "HELD" : execution.overdue ? "OVERDUE" : execution.status;
}

export function tone(status) {
  return (LOOKS[status] ?? ["idle"])[0];
}

/** A status of another version is shown by its own name. */
export function status(name, { badge = false } = {}) {
  const [kind, sign, word] = LOOKS[name] ?? ["idle", "dot", name];
  return h("span", { class: `status ${kind}${badge ? " badge" : ""}` }, icon(sign), word);
}

const KINDS = {
  step: "bolt", sleep: "clock", timer: "clock", callback: "inbox", wait: "inbox", signal: "signal", call: "link", send: "link",
  map: "fan", parallel: "fan", race: "fan", branch: "branch", child: "branch", poll: "again", post: "signal",
};

export function kindIcon(kind) {
  return icon(KINDS[kind] ?? "dot");
}

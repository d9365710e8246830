// One action on all that a list shows: counted first, confirmed by its number, done in parts, each failure told.

import { change } from "./api.js";
import { fill, h, said } from "./dom.js";
import { field, open } from "./dialogs.js";

const ACTIONS = {
  cancel: ["Cancel", "cancelled"],
  redrive: ["Redrive", "redriven"],
  terminate: ["Terminate", "terminated"],
  purge: ["Purge", "purged"],
};
const PART = 50;

export function bulk(filter, words, after) {
  const action = h("select", {}, Object.entries(ACTIONS).map(([name, [word]]) => h("option", { value: name }, word)));
  const reason = h("input", { autocomplete: "off" });
  const body = h("div", { class: "stack" });
  const dialog = open(
    h("form", { method: "dialog", onsubmit: (event) => event.preventDefault() },
      h("h1", {}, "Many at once"), h("p", {}, "All executions of this list: ", h("strong", {}, words)),
      field("Action", action), field("Reason", reason, "For the history. May be empty"), body),
  );
  dialog.addEventListener("close", after);
  action.addEventListener("change", () => fill(body, ask()));

  function ask() {
    const count = h("button", { class: "button main", type: "button", onclick: counted }, "Count, change nothing");
    return h("div", { class: "buttons" }, leave(), count);
  }

  function leave(word = "Leave it") {
    return h("button", { class: "button", type: "button", onclick: () => dialog.close() }, word);
  }

  async function counted() {
    fill(body, h("p", { class: "muted" }, "Counting…"));
    try {
      const found = await change("count", { action: action.value, filter });
      fill(body, confirmed(found));
    } catch (error) {
      fill(body, h("div", { class: "problem", role: "alert" }, error.message), ask());
    }
  }

  function confirmed({ ids, passed_over: passed, more }) {
    const [word, participle] = ACTIONS[action.value];
    const number = String(ids.length);
    const parts = [
      h("p", { class: "count" }, h("strong", {}, number), ` would be ${participle}`,
        passed ? `; ${passed} of the list are passed over, for that cannot be done to them` : "", more ? "; there are more behind them" : "", "."),
    ];
    if (!ids.length) return [...parts, h("div", { class: "buttons" }, leave("Close"))];
    const typed = h("input", { inputmode: "numeric", autocomplete: "off" });
    const go = h("button", { class: "button main danger", type: "button", disabled: true, onclick: () => run(ids) }, `${word} ${number}`);
    typed.addEventListener("input", () => { go.disabled = typed.value.trim() !== number; });
    return [
      ...parts,
      h("div", { class: "sample" }, ids.slice(0, 10).map((id) => h("div", {}, said(id))), ids.length > 10 ? h("div", { class: "muted" }, `and ${ids.length - 10} more`) : null),
      field(`Type ${number} to confirm`, typed), h("div", { class: "buttons" }, leave(), go),
    ];
  }

  async function run(ids) {
    action.disabled = reason.disabled = true;
    const bar = h("progress", { max: ids.length, value: 0 });
    const told = h("p", { role: "status" }, `0 of ${ids.length}`);
    const stop = h("button", { class: "button", type: "button", onclick: () => { stopped = true; } }, "Stop");
    let stopped = false;
    let done = 0;
    const failed = [];
    fill(body, told, bar, h("div", { class: "buttons" }, stop));
    for (let at = 0; at < ids.length && !stopped && dialog.open; at += PART) {
      try {
        const part = await change("many", { action: action.value, ids: ids.slice(at, at + PART), reason: reason.value.trim() || null });
        done += part.done;
        failed.push(...part.failed);
      } catch (error) {
        failed.push({ id: "", error: error.message });
        stopped = true;
      }
      bar.value = Math.min(at + PART, ids.length);
      fill(told, `${done} of ${ids.length}`);
    }
    fill(body,
      h("p", { role: "status", class: "outcome" }, h("strong", {}, done), ` ${ACTIONS[action.value][1]}`, failed.length ? `, ${failed.length} failed` : "", stopped ? ", then stopped" : "", "."),
      failed.length ? h("div", { class: "sample" }, failed.map((one) => h("div", {}, said(one.id), " ", one.error))) : null,
      h("div", { class: "buttons" }, leave("Close")));
  }

  fill(body, ask());
}

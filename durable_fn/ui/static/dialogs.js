// Questions before something is done. A dialog stays open until the server has taken it, and says what was wrong where it has not.

import { change } from "./api.js";
import { fill, h, said, toast } from "./dom.js";

export function open(...content) {
  const dialog = h("dialog", {}, ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function field(label, input, help = "") {
  return h("label", {}, label, input, help ? h("small", {}, help) : null);
}

/** `act` gets the fields by name, and its promise closes the dialog. */
export function ask({ title, text = [], fields = [], button, danger = false, act }) {
  const problem = h("div", { class: "problem", role: "alert", hidden: true });
  const go = h("button", { class: `button main${danger ? " danger" : ""}`, type: "submit" }, button);
  const form = h(
    "form", { method: "dialog" },
    h("h1", {}, title), ...[text].flat().map((one) => h("p", {}, one)), ...fields.map((one) => one.shown), problem,
    h("div", { class: "buttons" }, h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Leave it"), go),
  );
  const dialog = open(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      await act(Object.fromEntries(fields.map((one) => [one.name, one.read()])));
      dialog.close();
    } catch (error) {
      fill(problem, error.message).hidden = false;
    }
    go.disabled = false;
  });
  return dialog;
}

export function text(name, label, { help = "", value = "", required = false, placeholder = "" } = {}) {
  const input = h("input", { name, value, required, placeholder, autocomplete: "off", spellcheck: "false" });
  return { name, shown: field(label, input, help), read: () => input.value.trim() || null };
}

export function valueOf(name, label, help = "JSON. Empty: null") {
  const input = h("textarea", { name, spellcheck: "false", autocomplete: "off" });
  const read = () => {
    if (!input.value.trim()) return null;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new Error(`${label} is not JSON: ${error.message}. A text stands in double quotes.`);
    }
  };
  return { name, shown: field(label, input, help), read };
}

const reason = () => text("reason", "Reason", { help: "For the history. May be empty" });

function done(what, after) {
  toast(what);
  after();
}

export const cancel = (id, after) => ask({
  title: "Cancel this execution?", button: "Cancel the execution", danger: true, fields: [reason()],
  text: [said(id, "mono"), "Its handler is told, its compensations run, and it ends as CANCELLED."],
  act: async (given) => { await change("cancel", { id, ...given }); done("Asked to cancel", after); },
});

export const terminate = (id, after) => ask({
  title: "Terminate this execution?", button: "Terminate it", danger: true, fields: [reason()],
  text: [said(id, "mono"), "At once: none of its code runs any more, and nothing is compensated."],
  act: async (given) => { await change("terminate", { id, ...given }); done("Terminated", after); },
});

export const purge = (id, after) => ask({
  title: "Purge this execution?", button: "Purge it for good", danger: true, fields: [reason()],
  text: [said(id, "mono"), "It is removed with all it stored. There is no way back."],
  act: async (given) => { await change("purge", { id, ...given }); done("Purged", after); },
});

export const redrive = (id, after, { from = null, held = false } = {}) => ask({
  title: held ? "Try it again now?" : from ? "Redrive from here?" : "Redrive this execution?",
  button: held ? "Try now" : "Redrive", fields: held ? [] : [reason()],
  text: [
    said(id, "mono"),
    held ? "It is held, and tried again by itself later and later. This tries it at once, with the code that is deployed now."
      : from ? ["Everything from ", said(from, "mono"), " on is forgotten and done again, with the code of today. What came before stays done."]
        : "What made it fail is tried again, with fresh attempts. What succeeded before stays done, and does not run again.",
  ],
  act: async (given) => {
    const { cut } = await change("redrive", { id, from_step: from, ...given });
    done(cut ? `Goes on from ${cut}` : "Goes on", after);
  },
});

export const fork = (id, from, go) => ask({
  title: "Fork from here?", button: "Fork", fields: [text("new_id", "Id of the copy", { help: "Empty: a new one" }), reason()],
  text: ["A copy with everything before ", said(from, "mono"), " behind it goes on from there, with the code of today. This one stays as it is."],
  act: async (given) => {
    const { id: copy } = await change("fork", { id, from_step: from, ...given });
    done("Forked", () => go(copy));
  },
});

export const signal = (id, after, name = "") => ask({
  title: "Send a signal", button: "Send", fields: [text("name", "Signal", { value: name, required: true }), valueOf("payload", "Payload")],
  text: [said(id, "mono")],
  act: async (given) => { await change("signal", { id, ...given }); done("Sent", after); },
});

export const complete = (id, operation, after) => ask({
  title: "Complete this callback", button: "Complete", fields: [valueOf("result", "Result")],
  text: [said(operation, "mono"), "The handler goes on with this result, as if the other side had answered. Once only."],
  act: async (given) => { await change("callback", { id, operation, how: "complete", ...given }); done("Completed", after); },
});

export const fail = (id, operation, after) => ask({
  title: "Fail this callback", button: "Fail it", danger: true,
  fields: [text("message", "Message", { required: true }), text("error_type", "Error type", { placeholder: "CallbackFailed" })],
  text: [said(operation, "mono"), "CallbackFailed is raised where the handler waits. Once only."],
  act: async (given) => { await change("callback", { id, operation, how: "fail", ...given }); done("Failed it", after); },
});

export const start = (functions, go) => {
  const select = h("select", { name: "name" }, functions.map((name) => h("option", { value: name }, name)));
  const fn = { name: "name", shown: field("Function", select), read: () => select.value };
  const id = text("id", "Execution id", { help: "Empty: by the function's own rule, or a new one" });
  return ask({
    title: "Start an execution", button: "Start", fields: [fn, valueOf("payload", "Event"), id],
    act: async (given) => { const { id: made } = await change("start", given); done("Started", () => go(made)); },
  });
};

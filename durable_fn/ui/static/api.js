// Asking the server. The token, where one is needed, comes behind the # of the address and stays in this tab.

let token = sessionStorage.getItem("durable-fn-token");

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Takes a token out of the address, so that it is in no history and in no picture of the screen. */
export function takeToken() {
  const found = /^#token=([A-Za-z0-9_~.-]+)/.exec(location.hash);
  if (!found) return;
  setToken(found[1]);
  history.replaceState(null, "", location.pathname + "#/");
}

export function setToken(given) {
  token = given;
  sessionStorage.setItem("durable-fn-token", given);
}

export function hasToken() {
  return Boolean(token);
}

function headers(more = {}) {
  return token ? { ...more, "x-durable-fn-token": token } : more;
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed(0, "The server does not answer. Is it still running?");
  }
  if (response.status === 304) return { unchanged: true };
  let data;
  try {
    data = await response.json();
  } catch {
    throw new Failed(response.status, `The server answered ${response.status} without saying why.`);
  }
  if (!response.ok) throw new Failed(response.status, data.error ?? data.message ?? data.Message ?? `status ${response.status}`);
  const etag = response.headers.get("etag");
  return { data, etag };
}

export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return new URLSearchParams(given).toString();
}

/** `etag`: of what is known already; then `{unchanged: true}` may come. */
export function look(name, values = {}, { etag, signal } = {}) {
  const text = query(values);
  const more = etag ? { "if-none-match": etag } : {};
  return answered(fetch(`api/${name}${text ? `?${text}` : ""}`, { headers: headers(more), signal, cache: "no-store" }));
}

export async function change(name, values) {
  const send = { method: "POST", body: JSON.stringify(values), headers: headers({ "content-type": "application/json", "x-durable-fn": "1" }) };
  return (await answered(fetch(`api/${name}`, send))).data;
}

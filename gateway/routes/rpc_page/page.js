"use strict";

const here = location.pathname.replace(/\/+$/, "");
const main = document.getElementById("main");

/** An element with properties and children; whatever is text stays text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "for" || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function say(title, about) {
  document.title = title;
  document.getElementById("title").textContent = title;
  document.getElementById("about").textContent = about;
}

// --- the list of components -------------------------------------------------------------------------------------

function showComponents(components) {
  say("JSON-RPC", components.length ? "Components whose functions can be called." : "No component has methods.");
  const list = make("ul");
  for (const { name, methods } of components) {
    const link = make("a", { href: `${here}/${encodeURIComponent(name)}` }, name);
    const count = make("span", { className: "faint" }, ` ${methods} ${methods === 1 ? "method" : "methods"}`);
    list.append(make("li", {}, link, count));
  }
  main.append(list);
}

// --- a component ------------------------------------------------------------------------------------------------

let described;

function referred(part) {
  while (part && part.$ref) {
    part = part.$ref.startsWith("#/") ? part.$ref.slice(2).split("/").reduce((at, key) => at?.[key], described) : {};
  }
  return part ?? {};
}

function showComponent() {
  const { title, version, description } = described.info;
  say(title, description);
  document.getElementById("nav").append(make("a", { href: here.slice(0, here.lastIndexOf("/")) || "/" }, "All components"));
  main.append(
    make("p", { className: "faint" }, `Version ${version}. The OpenRPC document of these methods is what programs get here:`),
    command(`curl ${quoted(location.origin + here)}`),
  );
  const filter = make("input", { type: "search", id: "filter", autocomplete: "off" });
  const sections = new Map();
  // Without what returns the document, which is no function of the component.
  const methods = described.methods.filter((each) => each["x-wit"]);
  for (const method of methods) {
    const tag = method.tags ? referred(method.tags[0]) : null;
    const title = tag?.name ?? "";
    if (!sections.has(title)) sections.set(title, section(tag));
    sections.get(title).append(methodOf(method, tag));
  }
  if (methods.length > 8) {
    main.append(make("div", { className: "field" }, make("label", { for: "filter" }, "Methods whose name has"), filter));
    filter.addEventListener("input", () => {
      for (const each of main.querySelectorAll(".method")) each.hidden = !each.dataset.name.includes(filter.value.toLowerCase());
      for (const each of sections.values()) each.hidden = !each.querySelector(".method:not([hidden])");
    });
  }
  main.append(...sections.values());
  openLinked();
  addEventListener("hashchange", openLinked);
}

function section(tag) {
  const made = make("section", {});
  if (tag) {
    made.append(make("h2", {}, tag.name));
    if (tag.description) made.append(make("p", {}, tag.description));
    made.append(make("details", {}, make("summary", {}, "Types and functions, as WIT"), make("pre", { tabIndex: 0 }, tag["x-wit"])));
  } else {
    made.append(make("h2", {}, "Functions"));
  }
  return made;
}

/** The method that the address names, opened. */
function openLinked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked?.classList.contains("method")) {
    linked.open = true;
    linked.scrollIntoView();
  }
}

function methodOf(method, tag) {
  const name = method["x-short-name"] ?? method.name;
  const local = tag ? method.name.slice(tag.name.length + 1) : method.name;
  const made = make("details", { className: "method", id: method.name });
  made.dataset.name = method.name.toLowerCase();
  made.append(make("summary", {}, make("code", {}, make("strong", {}, local), make("span", { className: "faint" }, `: ${method["x-wit"]}`))));
  // A component may have thousands: a form is made when somebody looks.
  made.addEventListener("toggle", () => {
    if (made.open && made.childElementCount === 1) made.append(form(method, name));
  });
  return made;
}

function form(method, name) {
  const body = make("div");
  for (const words of [method.summary, method.description]) if (words) body.append(make("p", {}, words));
  const fields = method.params.map((param, index) => field(param, `${method.name}/${index}`));
  const call = make("button", { type: "submit" }, "Call");
  const stop = make("button", { type: "button", className: "plain", hidden: true }, "Stop");
  const answer = make("div", { role: "status" });
  const made = make("form", { noValidate: true }, ...fields.map((each) => each.element), call, " ", stop);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const bad = fields.filter((each) => !each.check());
    if (bad.length) return bad[0].control.focus();
    // Made of texts, so that numbers go as they were typed. No string of JSON has a bare line break.
    const params = fields.map((each) => `${JSON.stringify(each.name)}: ${each.text().replace(/\s*\n\s*/g, " ")}`).join(", ");
    const request = `{"jsonrpc": "2.0", "method": ${JSON.stringify(name)}, "params": {${params}}, "id": 1}`;
    const leaving = new AbortController();
    stop.onclick = () => leaving.abort();
    call.disabled = true;
    stop.hidden = false;
    answer.replaceChildren(make("p", { className: "faint" }, "Running …"));
    try {
      answer.replaceChildren(...(await exchanged(request, leaving.signal)));
    } catch (failure) {
      const words = leaving.signal.aborted ? "Stopped, and with it the call." : `No answer: ${failure.message}`;
      answer.replaceChildren(make("p", { className: "bad" }, words));
    }
    call.disabled = false;
    stop.hidden = true;
  });
  body.append(made, answer);
  return body;
}

/** Make a call; what is to be shown of it. */
async function exchanged(request, signal) {
  const begun = performance.now();
  const response = await fetch(here, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: request,
    signal,
  });
  const text = await response.text();
  const took = performance.now() - begun;
  let value, failed = !response.ok;
  try {
    value = JSON.parse(text);
    failed = failed || "error" in value;
  } catch {
    value = undefined;
  }
  const verdict = failed ? value?.error?.message ?? value?.title ?? "failed" : "returned";
  const id = response.headers.get("x-request-id");
  const line = `curl ${quoted(location.origin + here)} -H 'content-type: application/json' -d ${quoted(request)}`;
  return [
    make("h3", {}, "Answer"),
    make("p", { className: failed ? "bad" : "good" }, `${verdict}: HTTP ${response.status}, ${took.toFixed(1)} ms${id ? `, request ${id}` : ""}`),
    make("pre", { tabIndex: 0 }, value === undefined ? text : JSON.stringify(value, null, 2)),
    make("h3", {}, "Request, as a command"),
    command(line),
  ];
}

// --- a parameter ------------------------------------------------------------------------------------------------

function field(param, id) {
  const schema = referred(param.schema);
  const choices = schema.type === "boolean" ? ["false", "true"] : schema.enum?.map((each) => JSON.stringify(each));
  const plain = schema.type === "string" && !schema.enum && !schema.contentEncoding;
  const sample = JSON.stringify(sampleOf(schema), null, 2);
  let control;
  if (choices) {
    control = make("select", {}, ...choices.map((each) => make("option", { value: each }, each.replace(/^"|"$/g, ""))));
  } else {
    const lines = plain ? 1 : sample.split("\n").length;
    control = make("textarea", { value: plain ? "" : sample, rows: Math.min(lines, 16), spellcheck: false });
  }
  control.id = id;
  const wrong = make("span", { className: "bad", id: `${id}/wrong` });
  control.setAttribute("aria-describedby", wrong.id);
  const form = choices ? "" : plain ? ", as text" : ", as JSON";
  const label = make("label", { for: id }, make("code", {}, param.name), make("span", { className: "faint" }, `: ${param["x-wit"]}${form}`));
  return {
    name: param.name,
    control,
    element: make("div", { className: "field" }, label, control, wrong),
    text: () => (plain ? JSON.stringify(control.value) : control.value.trim()),
    check() {
      wrong.textContent = "";
      try {
        JSON.parse(this.text());
      } catch (failure) {
        wrong.textContent = `This is no JSON: ${failure.message}`;
      }
      control.setAttribute("aria-invalid", String(wrong.textContent !== ""));
      return wrong.textContent === "";
    },
  };
}

/** A value that a schema accepts, to begin with. */
function sampleOf(schema, depth = 0) {
  schema = referred(schema);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const told = choices.map(referred).find((each) => each.type !== "null") ?? choices[0];
    return depth > 8 ? null : sampleOf(told, depth + 1);
  }
  if (schema.enum) return schema.enum[0];
  switch (schema.type) {
    case "array":
      if (Array.isArray(schema.items)) return schema.items.map((each) => sampleOf(each, depth + 1));
      return depth > 8 || schema.uniqueItems || !schema.items ? [] : [sampleOf(schema.items, depth + 1)];
    case "object":
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, each]) => [name, sampleOf(each, depth + 1)]));
    case "boolean":
      return false;
    case "integer":
    case "number":
      return Math.max(0, schema.minimum ?? 0);
    case "string":
      return schema.minLength ? "a" : "";
    default:
      return null;
  }
}

// --- commands ---------------------------------------------------------------------------------------------------

/** A word of a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function command(line) {
  const copy = make("button", { type: "button", className: "plain" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(line);
    copy.textContent = "Copied";
  });
  // A browser has no clipboard for pages that came without encryption, but from this machine.
  copy.hidden = !navigator.clipboard;
  return make("div", { className: "command" }, make("pre", { tabIndex: 0 }, line), copy);
}

// --- all of it --------------------------------------------------------------------------------------------------

async function begin() {
  try {
    const response = await fetch(here, { headers: { accept: "application/json" } });
    const value = await response.json();
    if (!response.ok) throw new Error(value.title);
    if (value.components && !value.openrpc) {
      showComponents(value.components);
    } else {
      described = value;
      showComponent();
    }
  } catch (failure) {
    main.append(make("p", { className: "bad" }, `What is here cannot be shown: ${failure.message}`));
  }
  main.removeAttribute("aria-busy");
}

begin();

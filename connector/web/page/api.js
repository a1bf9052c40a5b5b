// Lets each operation on the page be sent. The token is kept in the page's memory only.
"use strict";

const example = (schema, schemas, depth = 0) => {
  if (!schema || depth > 6) return null;
  if (schema.$ref) return example(schemas[schema.$ref.split("/").pop()], schemas, depth + 1);
  if ("default" in schema) return schema.default;
  if (schema.examples) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = (schema.anyOf || schema.oneOf || [])[0];
  if (choice) return example(choice, schemas, depth + 1);
  if (schema.type === "array") return [];
  if (schema.type === "object") {
    const required = schema.required || [];
    return Object.fromEntries(required.map((key) => [key, example(schema.properties[key], schemas, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false }[schema.type] ?? null;
};

const element = (name, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

const show = async (answer, output) => {
  output.textContent = `${answer.status} ${answer.statusText}\n`;
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader?.read(); part && !part.done && text.length < 1e6; part = await reader.read()) {
    text += part.value;
    output.textContent = `${answer.status} ${answer.statusText}\n${text}`;
  }
  try {
    output.textContent = `${answer.status} ${answer.statusText}\n${JSON.stringify(JSON.parse(text), null, 2)}`;
  } catch {
    // Not JSON: it stays as it came.
  }
};

const prepare = (details, operation, schemas) => {
  const fields = (operation.parameters || []).map((parameter) => ({ parameter, input: element("input", { type: "text" }) }));
  const schema = operation.requestBody?.content["application/json"].schema;
  const body = schema && element("textarea", { value: JSON.stringify(example(schema, schemas), null, 2), spellcheck: false });
  const command = element("pre");
  const output = element("pre", { role: "status" });
  const form = element("form", {},
    ...fields.map(({ parameter, input }) => element("label", {}, parameter.name, input)),
    ...(body ? [element("label", {}, "Body", body)] : []),
    element("button", { type: "submit", textContent: "Send" }), command, output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let path = details.dataset.path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    const address = path + (query.size ? `?${query}` : "");
    const headers = { Authorization: `Bearer ${document.getElementById("token").value.trim()}` };
    if (body) headers["Content-Type"] = "application/json";
    command.textContent = [`curl -X ${details.dataset.method} -H "Authorization: Bearer $(cat management.token)"`,
      ...(body ? ["-H 'Content-Type: application/json' -d", quoted(body.value)] : []),
      quoted(location.origin + address)].join(" ");
    try {
      await show(await fetch(address, { method: details.dataset.method, headers, body: body?.value }), output);
    } catch (problem) {
      output.textContent = `No answer: ${problem.message}`;
    }
  });
  details.append(form);
};

const start = async () => {
  const document_ = await (await fetch("/openapi.json")).json();
  document.getElementById("access").hidden = false;
  document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
  for (const details of document.querySelectorAll("details[data-path]")) {
    const operation = document_.paths[details.dataset.path][details.dataset.method.toLowerCase()];
    details.addEventListener("toggle", () => prepare(details, operation, document_.components.schemas), { once: true });
  }
};

const openTarget = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
};

addEventListener("hashchange", openTarget);
openTarget();
start();

// Checks documents against the official list of ECS fields, which the package @elastic/ecs carries.
//
//     node validate.js LABEL FILE...     each file holds one JSON document; LABEL is the vendor's own label in them
//
// Outside of `interflow` and the label every field must be one of the schema, with its type, its expected values, and a list
// where the schema wants one. Exit code 1 names every problem.
const fs = require("fs");
const { EcsFlat, EcsVersion } = require("@elastic/ecs");

const TYPES = {
  boolean: (value) => typeof value === "boolean",
  date: (value) => typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value) && !isNaN(Date.parse(value)),
  float: (value) => typeof value === "number",
  ip: (value) => require("net").isIP(value) !== 0,
  keyword: (value) => typeof value === "string",
  long: (value) => Number.isInteger(value),
  match_only_text: (value) => typeof value === "string",
};

function* check(path, value) {
  const field = EcsFlat[path];
  if (!field) {
    // An object on the way to a field, or nothing that the schema knows.
    const inner = Object.keys(EcsFlat).some((name) => name.startsWith(path + "."));
    if (!inner || typeof value !== "object" || Array.isArray(value)) return yield `${path}: no field of ECS`;
    for (const name of Object.keys(value)) yield* check(`${path}.${name}`, value[name]);
    return;
  }
  if (field.type === "object") {
    // `labels`: any names, simple values.
    for (const name of Object.keys(value)) if (typeof value[name] !== "string") yield `${path}.${name}: not a text`;
    return;
  }
  if (field.normalize.includes("array") && !Array.isArray(value)) yield `${path}: not a list`;
  const allowed = (field.allowed_values || []).map((one) => one.name).concat(field.expected_values || []);
  for (const one of [].concat(value)) {
    if (!TYPES[field.type]) yield `${path}: nobody checks the type ${field.type} yet`;
    else if (!TYPES[field.type](one)) yield `${path}: ${JSON.stringify(one)} is no ${field.type}`;
    if (allowed.length && !allowed.includes(one)) yield `${path}: ${JSON.stringify(one)} is none of ${allowed}`;
    if (field.pattern && !new RegExp(field.pattern).test(one)) yield `${path}: ${JSON.stringify(one)} is not ${field.pattern}`;
  }
}

function* problems(label, document) {
  if (document.ecs?.version !== EcsVersion) yield `ecs.version: ${document.ecs?.version}, the list is of ${EcsVersion}`;
  for (const required of ["@timestamp", "ecs"]) if (!(required in document)) yield `${required}: missing`;
  for (const name of Object.keys(document)) {
    if (name !== "interflow" && name !== label) yield* check(name, document[name]);
  }
  const category = (EcsFlat["event.category"].allowed_values || []).filter((one) => document.event?.category?.includes(one.name));
  for (const one of category) {
    for (const type of document.event.type || []) {
      if (!one.expected_event_types.includes(type)) yield `event.type: ${type} does not go with ${one.name}`;
    }
  }
}

const [label, ...paths] = process.argv.slice(2);
let count = 0;
for (const path of paths) {
  for (const problem of problems(label, JSON.parse(fs.readFileSync(path, "utf8")))) {
    console.log(`${path}: ${problem}`);
    count += 1;
  }
}
console.log(`ECS: ${paths.length} documents, ${count} problems`);
process.exit(count || !paths.length ? 1 : 0);

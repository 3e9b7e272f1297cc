// Validates manifests of custom kinds with the models that @kubernetes-models publishes: they are
// made of the operators' own definitions (CRDs). Started by manifests.py:
//
//   node custom_kinds.mjs NODE_MODULES < objects.json > faults.json
//
// Reads a JSON array of objects, and writes one array of faults for each of them. A model says nothing
// of fields that it does not know, while an API server of Kubernetes drops them with a warning:
// a misspelt option that does nothing. So each object is handed over in a proxy that notes which fields
// the model has asked for. A schema asks for every property that it has, present or not; an object
// whose keys are free (labels, a trigger's metadata) is iterated, or not looked into at all.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "monitoring.coreos.com": "prometheus-operator",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
};
const TOP = new Set(["apiVersion", "kind", "metadata", "spec"]);

class Watched {} // A model copies plain objects, and what a copy is asked for nobody would hear.

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((one, at) => watched(one, `${path}[${at}]`, seen));
  const note = { path, keys: Object.keys(value), asked: new Set(), iterated: false };
  seen.push(note);
  const within = new Watched();
  for (const [key, one] of Object.entries(value)) within[key] = watched(one, `${path}.${key}`, seen);
  return new Proxy(within, {
    get(target, key) {
      if (typeof key === "string") note.asked.add(key);
      return target[key];
    },
    ownKeys(target) {
      note.iterated = true;
      return Reflect.ownKeys(target);
    },
  });
}

function unknown({ path, keys, asked, iterated }) {
  if (iterated || asked.size === 0) return [];
  return keys.filter((key) => !asked.has(key)).map((key) => `${path}.${key}: unknown field`);
}

async function faults(folder, object) {
  const [group, version] = object.apiVersion.split("/");
  const name = PACKAGES[group];
  if (!name) return [`apiVersion: no schema of ${object.apiVersion}`];
  const file = join(folder, "@kubernetes-models", name, group, version, `${object.kind}.js`);
  if (!existsSync(file)) return [`kind: ${object.apiVersion} has no ${object.kind}`];
  const Model = (await import(pathToFileURL(file)))[object.kind];
  const seen = [];
  const fields = Object.entries(object).map(([key, value]) => [key, watched(value, key, seen)]);
  const found = Object.keys(object).filter((key) => !TOP.has(key)).map((key) => `${key}: unknown field`);
  try {
    new Model(Object.fromEntries(fields)).validate();
  } catch (error) {
    if (!error.errors) throw error;
    for (const one of error.errors) found.push(`${one.instancePath}: ${one.message}`);
  }
  return found.concat(seen.flatMap(unknown));
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const all = await Promise.all(objects.map((object) => faults(process.argv[2], object)));
process.stdout.write(JSON.stringify(all));

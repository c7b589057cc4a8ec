// The call that made a job, as text for a shell or for Python.
import type { JobRecord } from "../api/types";
import { isUpload, kindOf } from "./kinds";

const KEY = "$VOXELSMITH_API_KEY";

type Fields = Record<string, unknown>;

/** The request without what the service fills in by itself. */
export function essentials(request: Fields): Fields {
  const kept: Fields = {};
  for (const [name, value] of Object.entries(request)) {
    if (value === null || DEFAULTS[name] === value) continue;
    if ((name === "output" || name === "preprocess") && isFields(value)) {
      const inner = essentials(value);
      if (Object.keys(inner).length > 0) kept[name] = inner;
    } else if (!(name === "num_samples" && (request["seeds"] || request["latents"]))) {
      kept[name] = value;
    }
  }
  return kept;
}

const DEFAULTS: Fields = {
  num_samples: 1,
  latent_space: "z",
  noise: "constant",
  format: "nii.gz",
  dtype: "int16",
  intensity: "stored",
  preview: true,
  refine_steps: 0,
  reconstruct: false,
  edges: "computed",
};

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What was posted, without what goes without saying. */
function bodyOf(record: JobRecord): Fields {
  const { body } = kindOf(record);
  const posted = body === null ? record.request : record.request[body];
  return isFields(posted) ? essentials(posted) : {};
}

export function asCurl(record: JobRecord, origin: string, hasKey: boolean): string {
  const body = bodyOf(record);
  const lines = [`curl -fsS -X POST ${origin}${kindOf(record).path(record)}`];
  if (hasKey) lines.push(`-H "Authorization: Bearer ${KEY}"`);
  lines.push("-H 'Prefer: wait=60'");
  if (isUpload(record))
    lines.push("-F volume=@scan.nii.gz", `-F ${shellQuoted(`request=${JSON.stringify(body)};type=application/json`)}`);
  else lines.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(JSON.stringify(body))}`);
  return lines.join(" \\\n     ");
}

/** A value as Python writes it. */
export function pythonic(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonic).join(", ")}]`;
  if (isFields(value)) {
    return `{${Object.entries(value)
      .map(([name, inner]) => `${JSON.stringify(name)}: ${pythonic(inner)}`)
      .join(", ")}}`;
  }
  return JSON.stringify(value);
}

export function asPython(record: JobRecord, origin: string, hasKey: boolean): string {
  const body = bodyOf(record);
  const key = hasKey ? ', api_key=os.environ["VOXELSMITH_API_KEY"]' : "";
  const words = Object.entries(body).map(([name, value]) => `${name}=${pythonic(value)}`);
  const wanted = kindOf(record).body === null ? words : [JSON.stringify(record.model), pythonic(body)];
  if (isUpload(record)) wanted.unshift('"scan.nii.gz"');
  const isImage = Math.max(record.volumes, record.results.length) > 0;
  const lines = [
    ...(hasKey ? ["import os", ""] : []),
    "from voxelsmith import Client",
    "",
    `with Client(${JSON.stringify(origin)}${key}) as client:`,
    `    job = client.${record.kind}(${wanted.join(", ")})`,
    "    job.wait()",
  ];
  if (isImage) lines.push("    image = job.volume(0)  # a nibabel.Nifti1Image");
  if (kindOf(record).latents) lines.push("    latents = job.latents  # a numpy array");
  return lines.join("\n");
}

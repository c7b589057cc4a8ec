import { expect, test } from "vitest";

import type { JobRecord } from "../api/types";
import { asCurl, asPython, essentials, pythonic } from "./copy";

const OUTPUT = { format: "nii.gz", dtype: "int16", intensity: "stored", preview: true };

function record(kind: JobRecord["kind"], request: Record<string, unknown>): JobRecord {
  return { id: "a", kind, model: "m", request, volumes: kind === "edit" ? 1 : 0, results: [] } as unknown as JobRecord;
}

test("what the service fills in by itself is left out", () => {
  const request = {
    model: "m",
    num_samples: 1,
    seed: 0,
    seeds: null,
    noise: "constant",
    truncation: 0,
    output: { ...OUTPUT, format: "nrrd" },
  };
  expect(essentials(request)).toEqual({ model: "m", seed: 0, truncation: 0, output: { format: "nrrd" } });
});

test("the number of samples goes without saying where the seeds are listed", () => {
  expect(essentials({ seeds: [1, 2], num_samples: 2 })).toEqual({ seeds: [1, 2] });
});

test("a call for a shell quotes what a shell would read", () => {
  const text = asCurl(record("generate", { model: "m", class_label: "it's" }), "http://h:1", true);
  expect(text).toContain("curl -fsS -X POST http://h:1/generate");
  expect(text).toContain(`-d '{"model":"m","class_label":"it'\\''s"}'`);
  expect(text).toContain('-H "Authorization: Bearer $VOXELSMITH_API_KEY"');
});

test("an upload is a form, the encoding of a result is not", () => {
  expect(asCurl(record("encode", { model: "m", source: null }), "http://h", false)).toContain("-F volume=@scan.nii.gz");
  const repeated = asCurl(record("encode", { model: "m", source: { job: "b", index: 0 } }), "http://h", false);
  expect(repeated).not.toContain("-F");
  expect(repeated).not.toContain("Authorization");
});

test("values are written as Python has them", () => {
  expect(pythonic({ a: [1, null, true], b: { c: "x" }, d: -0.5 })).toBe(
    '{"a": [1, None, True], "b": {"c": "x"}, "d": -0.5}',
  );
});

test("a call in Python names the client's method and its words", () => {
  const edit = record("edit", {
    model: "m",
    source: { seed: 1 },
    edit: { op: "move", direction: "d", strengths: [1] },
    output: OUTPUT,
  });
  const text = asPython(edit, "http://h", false);
  expect(text).toContain(
    'client.edit(model="m", source={"seed": 1}, edit={"op": "move", "direction": "d", "strengths": [1]})',
  );
  expect(text).toContain("image = job.volume(0)");
  expect(asPython(record("encode", { model: "m" }), "http://h", true)).toContain(
    'client.encode("scan.nii.gz", model="m")',
  );
  const fit = asPython(
    record("fit_direction", { model: "m", fit: { method: "sefa", name_prefix: "p", count: 2 } }),
    "http://h",
    false,
  );
  expect(fit).toContain('client.fit_direction("m", {"method": "sefa", "name_prefix": "p", "count": 2})');
});

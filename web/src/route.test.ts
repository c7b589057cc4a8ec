import { expect, test } from "vitest";

import { formatRoute, parseRoute } from "./route";

test("every place has an address that leads back to it", () => {
  const places = [
    ["generate", null, { job: "ab12" }],
    ["jobs", "0123456789abcdef", { show: "001.nii.gz", with: "kept", mode: "pair" }],
    ["models", null, { model: "brain-demo-256" }],
    ["edit", null, { source: "ab/3", tab: "mix" }],
  ] as const;
  for (const [view, job, query] of places)
    expect(parseRoute(formatRoute(view, job, query))).toEqual({ view, job, query });
});

test("an address that leads nowhere leads to the first view", () => {
  for (const hash of ["", "#", "#/", "#/nowhere", "#/%E0%A4%A", "#/generate/extra"]) {
    expect(parseRoute(hash)).toEqual({ view: "generate", job: null, query: {} });
  }
});

test("empty words are left out of an address", () => {
  expect(formatRoute("jobs", null, { state: "", kind: null, model: undefined })).toBe("#/jobs");
});

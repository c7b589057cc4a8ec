// The figures of docs/performance.md, "The page": npm run measure. Not part of the tests.
import { loadavg } from "node:os";

import { drawn, generate, jobOf, SLOW, succeeded } from "./page";
import { type Page, test } from "./test";

test.describe.configure({ timeout: 900_000 });

interface Seen {
  [what: string]: number;
}
declare global {
  interface Window {
    seen: Seen;
  }
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
const report = (what: string, value: string): void =>
  console.log(`${what}: ${value} (load ${loadavg()[0]?.toFixed(1)})`);

/** Notes when the attributes of job and pane first had a value, by the clock that the service has too. */
async function watch(page: Page): Promise<void> {
  await page.addInitScript(() => {
    window.seen = {};
    new MutationObserver(() => {
      for (const [id, name] of [
        ["job-status", "state"],
        ["pane-0", "phase"],
        ["edit-status", "busy"],
      ] as const) {
        const value = document.querySelector<HTMLElement>(`[data-testid="${id}"]`)?.dataset[name];
        if (value) window.seen[`${id} ${value}`] ??= Date.now();
      }
    }).observe(document, { subtree: true, childList: true, attributes: true });
  });
}

async function heldBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const usage = (await session.send("Runtime.getHeapUsage")) as { usedSize: number; backingStorageSize?: number };
  return usage.usedSize + (usage.backingStorageSize ?? 0);
}

test("first paint", async ({ browser, url }) => {
  const paints: number[] = [];
  for (let round = 0; round < 7; round++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url);
    await page.getByLabel("Seed", { exact: true }).waitFor();
    const painted = await page.waitForFunction(
      () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
    );
    paints.push((await painted.jsonValue()) ?? NaN);
    await context.close();
  }
  report(
    "first contentful paint, nothing cached, ms",
    `${median(paints).toFixed(0)}, of ${paints.map((ms) => ms.toFixed(0)).join(" ")}`,
  );
});

test("a 256^3 volume", async ({ page, request }) => {
  const scripts: [string, number][] = [];
  page.on("requestfinished", (done) => {
    if (done.resourceType() === "script")
      void done
        .sizes()
        .then(({ responseBodySize }) => scripts.push([done.url().replace(/.*\//, ""), responseBodySize]));
  });
  await watch(page);
  await page.goto("/");
  await page.getByLabel("Seed", { exact: true }).waitFor();
  const shell = scripts.reduce((sum, [, size]) => sum + size, 0);
  const before = await heldBytes(page);
  await generate(page, "brain-demo-256", 7);
  await succeeded(page, SLOW);
  await drawn(page, 0, SLOW);
  const record = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as {
    ended_at: string;
    results: { size_bytes: number }[];
  };
  const seen = await page.evaluate(() => window.seen);
  const after = await heldBytes(page);
  const ended = Date.parse(record.ended_at);
  report(
    "scripts as they travelled, kB",
    `${(shell / 1e3).toFixed(0)} before a volume, ${(scripts.reduce((sum, [, size]) => sum + size, 0) / 1e3).toFixed(0)} in all`,
  );
  report("the page knows of the end after, ms", String((seen["job-status succeeded"] ?? NaN) - ended));
  report("256^3 on screen after the job's end, ms", String((seen["pane-0 shown"] ?? NaN) - ended));
  report("held for it, MB (33.6 MB of voxels)", ((after - before) / 1e6).toFixed(1));
});

test("a slider", async ({ page, request }) => {
  await watch(page);
  await page.goto("/#/edit?model=brain-demo-256");
  await page.getByRole("button", { name: "Show the start" }).click();
  const status = page.locator('[data-testid="edit-status"][data-busy="false"]');
  await status.waitFor(SLOW);
  await drawn(page, 0, SLOW);
  for (const strength of ["1", "2", "3"]) {
    const began = Date.now();
    await page.getByRole("slider", { name: "Head size" }).fill(strength);
    await page.locator('[data-testid="edit-status"][data-busy="true"]').waitFor(SLOW);
    await status.waitFor(SLOW);
    await drawn(page, 0, SLOW);
    const shown = Date.now();
    const { items } = (await (await request.get("/jobs?kind=edit&limit=1")).json()) as {
      items: { timings_s: Record<string, number> }[];
    };
    const { total = NaN, forward = NaN } = items[0]?.timings_s ?? {};
    report(
      "slider to picture, s",
      `${((shown - began) / 1e3).toFixed(2)}, of which the job ${total.toFixed(2)} (forward ${forward.toFixed(2)})`,
    );
  }
});

// Nothing jumps: how far the layout shifts by itself while the views load, and on a phone.
import { generate, jobOf, SLOW, succeeded } from "./page";
import { expect, type Page, test } from "./test";

declare global {
  interface Window {
    shift: number;
    shifted: string[];
  }
}

/** Adds up the browser's own measure of shifts that no hand caused. */
async function watch(page: Page): Promise<void> {
  await page.addInitScript(() => {
    window.shift = 0;
    window.shifted = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { value, hadRecentInput, sources } = entry as PerformanceEntry & {
          value: number;
          hadRecentInput: boolean;
          sources: { node: Element | null }[];
        };
        if (hadRecentInput) continue;
        window.shift += value;
        window.shifted.push(...sources.map(({ node }) => node?.className || node?.nodeName || "?"));
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
}

const VIEWS = ["generate", "encode", "edit", "translate", "models", "models?model=tiny-broken", "jobs"];
/** What is called good is 0.1; a page of this kind can do better. */
const MOST = 0.05;

for (const [name, width, height] of [
  ["desk", 1280, 860],
  ["phone", 360, 740],
] as const) {
  test(`no view jumps while it loads, ${name}`, async ({ page, request }) => {
    const data = { model: "tiny", seed: 80, num_samples: 3 };
    const posted = await request.post("/generate", { data, headers: { Prefer: "wait=60" } });
    const { id } = (await posted.json()) as { id: string };
    const state = async (): Promise<string> => (await (await request.get(`/jobs/${id}`)).json()).state;
    await expect.poll(state, SLOW).toBe("succeeded"); // the wait above ends after a minute
    await watch(page);
    await page.setViewportSize({ width, height });
    for (const view of [...VIEWS, `jobs/${id}`, `jobs/${id}?mosaic=coronal`]) {
      await page.goto("about:blank");
      await page.goto(`/#/${view}`);
      await expect(page.getByRole("main").getByRole("heading").first()).toBeVisible();
      await page.waitForLoadState("networkidle");
      await page.waitForTimeout(500);
      const [shift, shifted] = await page.evaluate(() => [window.shift, window.shifted.join(", ")] as const);
      console.log(`${name} ${view}: layout shift ${shift.toFixed(4)} ${shifted}`);
      expect.soft(shift, `${view}: ${shifted}`).toBeLessThan(MOST);
    }
  });
}

test("a job that ends moves nothing", async ({ page }) => {
  await watch(page);
  await page.goto("/");
  await generate(page, "tiny", 81, 3);
  await succeeded(page);
  await page.waitForTimeout(1000); // a click counts as its cause for half a second
  await page.goto(`/#/jobs/${jobOf(page)}`);
  await succeeded(page);
  await page.waitForTimeout(1000);
  expect(await page.evaluate(() => window.shift)).toBeLessThan(MOST);
});

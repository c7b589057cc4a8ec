// Manners: addresses, keyboard, small screens, light and dark, what the page says when something is wrong.
import { AxeBuilder } from "@axe-core/playwright";

import { canvas, choose, drawn, generate, jobOf, status, succeeded } from "./page";
import { expect, type Page, test } from "./test";

const VIEWS = [
  "generate",
  "encode",
  "edit?model=tiny",
  "edit?model=tiny&tab=new",
  "translate",
  "models?model=tiny",
  "jobs",
];

async function audit(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`)).toEqual([]);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`no view has a serious finding of axe's, ${colorScheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme });
    await page.goto("/");
    await generate(page, "tiny", 40, 2);
    await succeeded(page);
    await drawn(page);
    await audit(page);
    const job = jobOf(page);
    for (const view of [...VIEWS.slice(1), `jobs/${job}`, `jobs/${job}?mosaic=axial`]) {
      await page.goto(`/#/${view}`);
      await expect(page.getByRole("main").getByRole("heading").first()).toBeVisible();
      await page.waitForLoadState("networkidle");
      await audit(page);
    }
  });
}

test("the chosen colours are kept", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/");
  const paper = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.getByRole("button", { name: /^Colours/ }).click();
  await page.getByRole("button", { name: /^Colours/ }).click();
  await expect.poll(paper).not.toBe(light);
  const dark = await paper();
  await page.reload();
  await expect.poll(paper).toBe(dark);
});

test("a job has an address of its own, and back leads back", async ({ page, context }) => {
  await page.goto("/");
  await generate(page, "tiny", 41);
  await succeeded(page);
  const address = `/#/jobs/${jobOf(page)}`;
  await page.goto("/#/jobs");
  const tab = await context.newPage();
  await tab.goto(address);
  await succeeded(tab);
  await drawn(tab);
  await page.goto(address);
  await succeeded(page);
  await page.goBack();
  await expect(page).toHaveURL(/#\/jobs$/);
});

test("the whole way from seed to cursor needs no mouse", async ({ page }) => {
  await page.goto("/");
  await choose(page, "tiny");
  await page.keyboard.press("Tab");
  await page.getByLabel("Seed", { exact: true }).focus();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("42");
  await page.keyboard.press("Enter");
  await succeeded(page);
  await drawn(page);
  for (let steps = 0; steps < 60; steps++) {
    await page.keyboard.press("Tab");
    if (await canvas(page).evaluate((element) => element === document.activeElement)) break;
  }
  await expect(canvas(page)).toBeFocused();
  const readout = page.getByTestId("readout");
  const before = await readout.textContent();
  await page.keyboard.press("ArrowUp");
  await expect.poll(() => readout.textContent()).not.toBe(before);
});

test("a phone's width needs no sideways scrolling", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto("/");
  await generate(page, "tiny", 43, 3);
  await succeeded(page);
  await drawn(page);
  for (const view of ["", ...VIEWS.map((name) => `#/${name}`), `#/jobs/${jobOf(page)}`]) {
    if (view) await page.goto(`/${view}`);
    await expect(page.getByRole("main").getByRole("heading").first()).toBeVisible();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width, view).toBeLessThanOrEqual(360);
  }
});

test.describe("what is refused", () => {
  test.use({ allowed: /Failed to load resource: the server responded with a status of 4\d\d/ });

  test("an unknown job is told with its title and detail", async ({ page }) => {
    await page.goto("/#/jobs/0123456789abcdef0123456789abcdef");
    const alert = page.getByRole("alert");
    await expect(alert).toContainText("No such job");
    await expect(alert).toContainText("There is no job of that id.");
  });

  test("a seed beyond what the service takes is refused with the place that is wrong", async ({ page }) => {
    await page.goto("/");
    await page.route("**/generate", async (route) => {
      const body = JSON.parse(route.request().postData() ?? "{}") as Record<string, unknown>;
      await route.continue({ postData: JSON.stringify({ ...body, truncation: -1 }) });
    });
    await generate(page, "tiny", 1);
    const alert = page.getByRole("alert");
    await expect(alert).toContainText("/truncation");
    await expect(status(page)).toHaveCount(0);
  });
});

test("an address that names no view shows the first one", async ({ page }) => {
  await page.goto("/#/nowhere/at/all?x=%zz");
  await expect(page.getByRole("heading", { name: "Generate" })).toBeVisible();
});

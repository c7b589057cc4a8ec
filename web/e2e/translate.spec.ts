// Translate: a scan in another appearance, beside the scan, over it, and with its edges.
import { join } from "node:path";

import { canvas, choose as chooseModel, drawn, jobOf, pane, succeeded } from "./page";
import { apart, expect, lit, look, type Page, test } from "./test";

interface Told {
  request: { edges: string; grid: string | null };
  results: { shape: number[] }[];
}

async function choose(page: Page, scan: string): Promise<void> {
  await page.goto("/#/translate");
  await chooseModel(page, "tiny-translator");
  await page.locator("input[type=file]").first().setInputFiles(scan);
  await drawn(page);
}

async function translate(page: Page): Promise<void> {
  await page.getByRole("main").getByRole("button", { name: "Translate", exact: true }).click();
  await succeeded(page);
}

test("the tab offers translators alone, and the others generators alone", async ({ page }) => {
  await page.goto("/#/translate");
  const model = page.getByLabel("Model", { exact: true });
  await expect(model.locator("option")).toHaveText([/head-t1-128/, /tiny-translator/]);
  await expect(model).toHaveValue("head-t1-128"); // what ships stands before others
  for (const view of ["generate", "encode", "edit"]) {
    await page.goto(`/#/${view}`);
    await expect(model.locator("option[value=tiny]")).toHaveCount(1);
    for (const translator of ["tiny-translator", "head-t1-128"])
      await expect(model.locator(`option[value=${translator}]`)).toHaveCount(0);
  }
});

test("a scan lies beside its translation, one swipes from one to the other, and its edges lie over it", async ({
  page,
  scans,
  request,
}) => {
  await choose(page, join(scans, "ball.nii.gz"));
  await translate(page);
  await drawn(page, 0);
  await drawn(page, 1);
  expect(lit(await look(canvas(page, 1)))).toBeGreaterThan(0.02);
  const told = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as Told;
  expect(told.results[0]?.shape).toEqual([40, 48, 36]);

  const readout = page.getByTestId("readout");
  const before = await readout.textContent();
  await canvas(page, 1).focus();
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => readout.textContent(), "the cursor is linked").not.toBe(before);

  await page.getByText("Swipe", { exact: true }).click();
  const swipe = page.getByRole("slider", { name: "Swipe" });
  await swipe.fill("0");
  await drawn(page, 1);
  const second = await look(pane(page, 0).locator(".."));
  await swipe.fill("100");
  const first = await look(pane(page, 0).locator(".."));
  expect(apart(first, second)).toBeGreaterThan(2);

  await page.getByText("One", { exact: true }).click();
  await page.getByText("Edges", { exact: true }).click();
  await expect(pane(page)).toContainText("Edges of Scan");
  const edges = await look(await drawn(page));
  expect(lit(edges)).toBeGreaterThan(0.02);
  await expect(page.getByText("Difference", { exact: true })).toHaveCount(0);
});

test("a mask goes along, edges can be given, and a job is repeated as it was asked for", async ({
  page,
  scans,
  request,
}) => {
  await choose(page, join(scans, "edges.nii.gz"));
  await page.getByLabel("It is an edge image").check();
  await page.getByText("Pathologies and proportions").click();
  await page.locator("input[type=file]").nth(1).setInputFiles(join(scans, "core.nii.gz"));
  await page.getByLabel("The networks see").selectOption("cube");
  const sent = page.waitForRequest("**/translate");
  await translate(page);
  expect((await sent).headers()["content-type"]).toContain("multipart/form-data");
  const told = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as Told;
  expect(told.request).toMatchObject({ edges: "given", grid: "cube" });
  await page.goto(`/#/jobs/${jobOf(page)}`);
  await page.getByRole("main").getByRole("link", { name: "Repeat with changes" }).click();
  await expect(page.getByRole("heading", { name: "Translate" })).toBeVisible();
  await expect(page.getByLabel("It is an edge image")).toBeChecked();
});

test.describe("a scan without edges", () => {
  test.use({ allowed: /Failed to load resource/ });

  test("fails in the service's own words", async ({ page, scans }) => {
    await choose(page, join(scans, "edges.nii.gz"));
    await page.getByText("Pathologies and proportions").click();
    await page.locator("input[type=file]").nth(1).setInputFiles(join(scans, "ball.nii.gz"));
    await page.getByRole("main").getByRole("button", { name: "Translate", exact: true }).click();
    await expect(page.getByRole("alert")).toContainText(/mask|scan/);
  });
});

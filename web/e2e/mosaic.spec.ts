// The mosaic: every sample of a job at a glance, opened or taken away.
import { readFileSync } from "node:fs";

import { unzipSync } from "fflate";

import { choose, drawn, generate, jobOf, succeeded } from "./page";
import { expect, test } from "./test";

test("all samples of a job in one plane; one opens, a selection is one archive", async ({ page, request }) => {
  await page.goto("/");
  await generate(page, "tiny", 90, 3);
  await succeeded(page);
  await page.getByRole("button", { name: "Mosaic" }).click();
  await expect(page).toHaveURL(/mosaic=axial/);
  const tiles = page.getByRole("list", { name: "All samples" }).getByRole("listitem");
  await expect(tiles).toHaveCount(3);
  await page.getByText("Coronal", { exact: true }).click();
  await expect(page).toHaveURL(/mosaic=coronal/);
  await expect(tiles.first().locator(".preview.coronal img")).toBeVisible();

  await page.getByRole("checkbox", { name: "Seed 90" }).check();
  await page.getByRole("checkbox", { name: "Seed 92" }).check();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: /^Download 2 volumes/ }).click();
  const archive = await saved;
  expect(archive.suggestedFilename()).toMatch(/^tiny-[0-9a-f]{8}\.zip$/);
  const files = unzipSync(new Uint8Array(readFileSync(await archive.path())));
  expect(Object.keys(files)).toEqual(["000.nii.gz", "002.nii.gz"]);
  const own = await request.get(`/jobs/${jobOf(page)}/results/002.nii.gz`);
  expect(Buffer.from(files["002.nii.gz"] ?? []).equals(await own.body())).toBe(true);

  const one = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download Seed 91" }).click();
  expect((await one).suggestedFilename()).toMatch(/^tiny-[0-9a-f]{8}-001\.nii\.gz$/);

  await page.getByRole("button", { name: "Open Seed 91" }).click();
  await expect(page).toHaveURL(/show=001/);
  await expect(page.getByTestId("pane-0")).toContainText("Seed 91");
  await drawn(page);
});

test("samples tell their realism, by which they are put in order and chosen", async ({ page }) => {
  await page.goto("/");
  await choose(page, "tiny");
  await page.getByRole("checkbox", { name: "Compare each volume" }).check();
  await generate(page, "tiny", 90, 3);
  await succeeded(page);
  await page.getByRole("button", { name: "Mosaic" }).click();
  const tiles = page.getByRole("list", { name: "All samples" }).getByRole("listitem");
  await expect(tiles).toHaveCount(3);
  const told = async (): Promise<number[]> =>
    (await tiles.getByText(/^Realism /).allTextContents()).map((text) => Number(/[\d.]+/.exec(text)?.[0]));
  const made = await told();
  expect(made).toHaveLength(3);
  await page.getByLabel("Order").selectOption("Most realistic first");
  expect(await told()).toEqual([...made].sort((one, other) => other - one));
  await page.getByLabel("Realism from").fill("1000");
  await page.getByLabel("Realism from").press("Enter");
  await expect(tiles).toHaveCount(0);
  await expect(page.getByText("0 of 3 volumes")).toBeVisible();
});

test("what Edit made is taken away from Edit", async ({ page }) => {
  await page.goto("/#/edit?model=tiny");
  await page.getByRole("button", { name: "Show the start" }).click();
  await page.getByRole("slider", { name: "First axis" }).fill("2");
  await expect(page.getByTestId("edit-status")).toHaveAttribute("data-busy", "false");
  await page.getByText("Download", { exact: true }).click();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: /^000\.nii/ }).click();
  expect((await saved).suggestedFilename()).toMatch(/^tiny-[0-9a-f]{8}-000\.nii/);
});

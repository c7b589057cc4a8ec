// The models: what stands on a card, samples on request, why a broken one is broken.
import { join } from "node:path";

import { succeeded } from "./page";
import { expect, test } from "./test";

test("a model shows its size, its digests and its directions, and samples once they are asked for", async ({
  page,
  request,
}) => {
  await page.goto("/#/models?model=tiny-classes");
  const shown = page.getByRole("region", { name: "About the model" });
  await expect(shown.getByRole("heading", { level: 2 })).toContainText("(tiny-classes)");
  const card = (await (await request.get("/models/tiny-classes")).json()) as {
    sha256: string;
    shape: number[];
    spacing_mm: number[];
  };
  await expect(shown).toContainText(`${(card.shape[0] ?? 0) * (card.spacing_mm[0] ?? 0)} × `);
  await expect(shown).toContainText(card.sha256);
  await expect(shown).toContainText("mild, severe");
  await shown.getByRole("button", { name: "Look again" }).click();
  await expect(page.getByText("tiny-classes: ready")).toBeVisible();
  await shown.getByLabel("Class").selectOption("severe");
  const answer = page.waitForResponse((response) => response.request().method() === "POST");
  await shown.getByRole("button", { name: "Make 4 samples" }).click();
  const { id } = (await (await answer).json()) as { id: string };
  // beside those of earlier jobs
  const samples = shown.getByRole("list", { name: "Samples" }).locator(`a[href*="${id}"]`);
  await expect(samples).toHaveCount(4);
  const second = samples.and(page.locator('[href*="show=001"]'));
  await expect(second.locator("img")).toBeVisible();
  await second.click();
  await expect(page).toHaveURL(new RegExp(`#/jobs/${id}\\?show=001`));
  await page.goto("/#/models?model=tiny");
  await expect(shown.getByRole("row", { name: /First axis.*SeFa/ })).toBeVisible();
  await shown.getByRole("link", { name: "Generate", exact: true }).click();
  await expect(page.getByRole("main").getByLabel("Model", { exact: true })).toHaveValue("tiny");
});

test("of a network that is not looked into only what it can is offered", async ({ page, scans }) => {
  await page.goto("/#/edit?model=tiny&tab=new");
  await page.getByText("From the weights", { exact: true }).click();
  await expect(page.getByLabel("Measure", { exact: true })).toHaveCount(0);
  await page.getByLabel("Model", { exact: true }).selectOption("tiny-onnx");
  await expect(page.getByLabel("Measure", { exact: true })).toBeVisible();
  await expect(page.getByText("From the weights", { exact: true })).toHaveCount(0);
  await page.goto("/#/encode?model=tiny");
  await page.getByRole("slider", { name: "Refinement" }).fill("20");
  await page.getByLabel("Model", { exact: true }).selectOption("tiny-onnx");
  await expect(page.getByRole("slider", { name: "Refinement" })).toHaveCount(0);
  await page.locator("input[type=file]").setInputFiles(join(scans, "ball.nii.gz"));
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page);
});

test("a broken model says why", async ({ page }) => {
  await page.goto("/#/models?model=tiny-broken");
  const shown = page.getByRole("region", { name: "About the model" });
  await expect(shown).toContainText("Broken: it cannot be used");
  await expect(shown).toContainText("weights.safetensors is truncated");
  await expect(shown.getByRole("link", { name: "Generate", exact: true })).toHaveCount(0);
});

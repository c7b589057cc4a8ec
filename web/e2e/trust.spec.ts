// What a person may rely on: what fails is tried again, the wheel is the page's, addresses bring their forms, nothing is hidden.
import { join } from "node:path";

import { canvas, choose, drawn, generate, jobOf, pane, status, succeeded } from "./page";
import { expect, test } from "./test";

test.describe("a job that cannot be read at first", () => {
  test.use({ allowed: /Failed to load resource: the server responded with a status of 503/ });

  test("is tried again, at once by its button, and shown", async ({ page, request }) => {
    const posted = await request.post("/generate", {
      data: { model: "tiny", seed: 81 },
      headers: { prefer: "wait=60" },
    });
    const { id } = (await posted.json()) as { id: string };
    let isDown = true;
    await page.route(`**/jobs/${id}`, (route) =>
      isDown ? route.fulfill({ status: 503, json: { title: "Busy", detail: "Come back." } }) : route.continue(),
    );
    await page.goto(`/#/jobs/${id}`);
    await expect(page.getByRole("alert")).toContainText("Come back.");
    await page.getByRole("alert").getByRole("button", { name: "Try again" }).click();
    isDown = false;
    await succeeded(page);
    await expect(page.getByRole("alert")).toHaveCount(0);
    await drawn(page);
  });
});

test("the wheel scrolls the page until the image has the focus, then slices", async ({ page }) => {
  await page.setViewportSize({ width: 1280, height: 600 });
  await page.goto("/");
  await generate(page, "tiny", 82);
  await succeeded(page);
  await drawn(page);
  const readout = page.getByTestId("readout");
  const before = await readout.textContent();
  await canvas(page).hover({ position: { x: 330, y: 30 } });
  const brought = await page.evaluate(() => scrollY); // by the way to the image
  const below = await page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY);
  await expect(async () => {
    await page.mouse.wheel(0, below > 120 ? 40 : -40); // again where a turn came while the page was still laid out
    expect(await page.evaluate(() => scrollY), `${below} below`).not.toBe(brought);
  }).toPass({ timeout: 10_000 });
  await canvas(page).hover({ position: { x: 330, y: 60 } });
  expect(await readout.textContent()).toBe(before);
  await canvas(page).focus();
  const scrolled = await page.evaluate(() => scrollY);
  await page.mouse.wheel(0, 120);
  await expect.poll(() => readout.textContent()).not.toBe(before);
  expect(await page.evaluate(() => scrollY)).toBe(scrolled);
});

test("the address of a job brings its card and form, and a new tab the model used last", async ({ page, context }) => {
  await page.goto("/");
  await generate(page, "tiny-classes", 83, 2);
  await succeeded(page);
  const address = `/#/generate?job=${jobOf(page)}`;
  const model = page.getByLabel("Model", { exact: true });
  await choose(page, "tiny");
  const tab = await context.newPage();
  await tab.goto("/");
  await expect(tab.getByLabel("Model", { exact: true })).toHaveValue("tiny-classes");
  await expect(tab.getByLabel("Model", { exact: true }).locator("option:checked")).toContainText("(tiny-classes)");
  await page.goto("/#/jobs");
  await expect(page.getByRole("heading", { name: "Jobs", exact: true })).toBeVisible();
  await page.goto(address);
  await expect(model).toHaveValue("tiny-classes");
  await expect(page.getByLabel("Seed", { exact: true })).toHaveValue("83");
});

test("Edit posts nothing before it is asked to", async ({ page }) => {
  const posts: string[] = [];
  page.on("request", (request) => request.method() === "POST" && posts.push(request.url()));
  for (const place of ["edit?model=tiny", "edit?model=tiny-style&tab=mix", "edit?model=tiny&tab=interpolate"]) {
    await page.goto(`/#/${place}`);
    await expect(page.getByRole("heading", { name: "Edit" })).toBeVisible();
    await page.waitForLoadState("networkidle");
  }
  expect(posts).toEqual([]);
});

test("an edit of an encoded scan lies over the scan, with the difference, and what was assumed is told", async ({
  page,
  scans,
}) => {
  await page.goto("/#/encode");
  await choose(page, "tiny");
  await page.locator("input[type=file]").setInputFiles(join(scans, "unsaid.nii.gz"));
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page);
  await expect(page.getByTestId("remarks")).toContainText("Assumed of the scan");
  await status(page).getByRole("link", { name: "Edit it" }).click();
  await page.getByRole("slider", { name: "First axis" }).fill("2");
  await expect(page.getByTestId("edit-status")).toHaveAttribute("data-busy", "false");
  await drawn(page);
  await expect(pane(page)).toContainText("Edited over Scan: unsaid.nii.gz");
  await page.getByText("Difference", { exact: true }).click();
  await drawn(page);
  await expect(page.getByTestId("readout")).toContainText(/Difference-?\d/);
  await page.getByRole("link", { name: "Open the job" }).click();
  await drawn(page);
  await expect(page.getByLabel("Compare with")).toHaveValue("scan");
  await expect(page.getByRole("list", { name: "Results" })).toContainText("scan grid");
});

test("window, level, slices and readout are in view, and a strip that scrolls shows it", async ({ page }) => {
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.goto("/");
  await generate(page, "tiny", 84, 16);
  await succeeded(page);
  await drawn(page);
  for (const name of ["Window", "Level"])
    await expect(page.getByRole("slider", { name, exact: true })).toBeInViewport({ ratio: 1 });
  await page.evaluate(() => scrollTo(0, 0)); // to where the results begin
  await expect(page.getByRole("slider", { name: "Sagittal", exact: true })).toBeInViewport({ ratio: 1 });
  await expect(page.getByTestId("readout")).toBeInViewport({ ratio: 1 });
  const further = page.getByRole("button", { name: "Further results" });
  await further.click();
  await expect(page.getByRole("button", { name: "Earlier results" })).toBeEnabled();
});

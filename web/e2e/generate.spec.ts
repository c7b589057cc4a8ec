// Generate: from the form to voxels on the canvas, and what may happen on the way.
import { canvas, choose, drawn, generate, jobOf, pane, SLOW, status, succeeded } from "./page";
import { apart, expect, lit, look, mean, shades, test } from "./test";

test.beforeEach(async ({ page }) => {
  await page.goto("/");
});

test("a seed becomes voxels on the canvas, and another seed others", async ({ page }) => {
  await generate(page, "tiny", 1);
  await succeeded(page); // until then the 3D view may be held back, and look() takes the planes for all there is
  const first = await look(await drawn(page));
  expect(lit(first)).toBeGreaterThan(0.1);
  expect(shades(first)).toBeGreaterThan(8);
  const job = jobOf(page);
  await generate(page, "tiny", 2);
  await expect.poll(() => jobOf(page)).not.toBe(job);
  await succeeded(page);
  await drawn(page);
  await expect.poll(async () => apart(first, await look(canvas(page)))).toBeGreaterThan(3);
});

test("the shipped model's head looks like one", async ({ page }) => {
  test.slow();
  await generate(page, "head-style-128", 3);
  await succeeded(page, SLOW);
  const picture = await look(await drawn(page, 0, SLOW));
  expect(lit(picture)).toBeGreaterThan(0.08);
  expect(lit(picture), "a head in air, not noise from edge to edge").toBeLessThan(0.6);
  expect(shades(picture)).toBeGreaterThan(9);
});

test("the model's card says what it makes and that it is not for diagnosis", async ({ page }) => {
  await choose(page, "tiny-classes");
  const form = page.getByRole("form", { name: "Generate" });
  await expect(form.getByText("Synthetic, not for diagnosis")).toBeVisible();
  await expect(form.getByText("mild, severe")).toBeVisible();
  await expect(form.getByText("-1024 to 600 HU")).toBeVisible();
  await expect(form.getByText(/tiny-broken cannot be used/)).toBeVisible();
  await form.getByLabel("Class", { exact: true }).selectOption("severe");
  await generate(page, "tiny-classes", 1);
  await drawn(page);
});

test("results appear one by one in places that were kept for them", async ({ page, request }) => {
  await generate(page, "tiny", 10, 4);
  const strip = page.getByRole("list", { name: "Results" });
  await expect(strip.getByRole("listitem")).toHaveCount(4);
  await succeeded(page);
  await expect(strip.getByRole("button")).toHaveText(["Seed 10", "Seed 11", "Seed 12", "Seed 13"]);
  await strip.getByRole("button", { name: "Seed 12" }).click();
  await expect(page).toHaveURL(/show=002\.nii\.gz/);
  await expect(strip.getByRole("button", { name: "Seed 12" })).toHaveAttribute("aria-pressed", "true");
  await drawn(page);
  const record = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as { request: { seed: number } };
  expect(record.request.seed).toBe(10);
});

test("the cursor tells its place in millimetres and the value under it in the file's units", async ({ page }) => {
  await generate(page, "tiny", 1);
  await drawn(page);
  const readout = page.getByTestId("readout");
  await expect(readout).toContainText(/[RL] \d+\.\d {2}[AP] \d+\.\d {2}[SI] \d+\.\d mm/);
  await expect(readout).toContainText(/-?\d[\d,.]* HU/);
  const before = await readout.textContent();
  await canvas(page).focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("PageUp");
  await expect.poll(() => readout.textContent()).not.toBe(before);
});

test("the window darkens and brightens the picture, and the file's own comes back", async ({ page }) => {
  await generate(page, "tiny", 1);
  await succeeded(page);
  const plain = await look(await drawn(page));
  const level = page.getByRole("slider", { name: "Level" });
  const own = await level.inputValue();
  await level.focus();
  await page.keyboard.press("End");
  await expect.poll(async () => mean(await look(canvas(page)))).toBeLessThan(mean(plain) * 0.85);
  await page.getByRole("button", { name: /^Window of the file/ }).click();
  await expect(level).toHaveValue(own);
  await expect.poll(async () => apart(plain, await look(canvas(page)))).toBeLessThan(2);
});

test("two results lie side by side, their cursors linked, or one over the other as their difference", async ({
  page,
}) => {
  await generate(page, "tiny", 20, 2);
  await succeeded(page);
  const alone = await look(await drawn(page));
  await page.getByLabel("Compare with").selectOption("001.nii.gz");
  await drawn(page, 0);
  const left = await look(canvas(page, 0));
  const right = await look(await drawn(page, 1));
  expect(lit(right)).toBeGreaterThan(0.1);
  if (left.grey.length === right.grey.length) expect(apart(left, right)).toBeGreaterThan(3);
  await expect(page.getByTestId("readout")).toContainText(/Left.*Right.*Right − left/);
  await page.getByText("Difference", { exact: true }).click();
  await drawn(page);
  await expect(pane(page, 1)).toHaveCount(0);
  await expect(page.getByTestId("readout"), "before the cursor moves").toContainText(/Difference-?\d/);
  await expect.poll(async () => apart(alone, await look(canvas(page)))).toBeGreaterThan(1);
  await page.getByText("One", { exact: true }).click();
  await expect(page.getByTestId("readout")).not.toContainText("Difference");
});

test("of two that are compared each can take the other's place, and none is compared with itself", async ({ page }) => {
  await generate(page, "tiny", 20, 2);
  await succeeded(page);
  const other = page.getByLabel("Compare with");
  await other.selectOption("001.nii.gz");
  await page.getByRole("list", { name: "Results" }).getByRole("button", { name: "Seed 21" }).click();
  await expect(pane(page, 0)).toContainText("Seed 21");
  await expect(pane(page, 1)).toContainText("Seed 20");
  await expect(other).toHaveValue("000.nii.gz");
  await page.getByRole("button", { name: "Keep to compare" }).click();
  await expect(other.locator("option[value=kept]")).toHaveCount(0);
  await page.getByRole("list", { name: "Results" }).getByRole("button", { name: "Seed 20" }).click();
  await other.selectOption("kept");
  await expect(pane(page, 1)).toContainText("Seed 21");
});

test("a running job is canceled, and what it finished stays", async ({ page, request }) => {
  test.slow();
  await generate(page, "brain-demo-256", 5, 64); // more than any machine makes before the click
  await expect(status(page)).toHaveAttribute("data-state", "running", SLOW);
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(status(page)).toHaveAttribute("data-state", "canceled", SLOW);
  const record = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as { state: string; results: unknown[] };
  expect(record.state).toBe("canceled");
  expect(record.results.length).toBeLessThan(64);
});

test("two clicks on Cancel do not remove the job that the first one ended", async ({ page, request }) => {
  const post = async (data: object): Promise<string> =>
    ((await (await request.post("/generate", { data })).json()) as { id: string }).id;
  const ahead = await post({ model: "brain-demo-256", seed: 5, num_samples: 64 });
  const waiting = await post({ model: "brain-demo-256", seed: 6 });
  await page.goto(`/#/jobs/${waiting}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).evaluate((button: HTMLButtonElement) => {
    button.click();
    button.click();
  });
  await expect(status(page)).toHaveAttribute("data-state", "canceled");
  await request.delete(`/jobs/${ahead}`);
  const left = await request.get(`/jobs/${waiting}`);
  expect(((await left.json()) as { state: string }).state).toBe("canceled");
});

test("a reload in mid-job finds it again, and so does a second tab", async ({ page, context }) => {
  await generate(page, "tiny", 30, 24);
  await expect(page).toHaveURL(/job=[0-9a-f]{32}/);
  await page.reload();
  await expect(status(page)).toBeVisible();
  const tab = await context.newPage();
  await tab.goto(page.url());
  await succeeded(page);
  await succeeded(tab);
  for (const each of [page, tab]) {
    await expect(each.getByRole("list", { name: "Results" }).getByRole("button")).toHaveCount(24);
    await each.bringToFront(); // only the tab in front is sure to draw
    await expect.poll(async () => lit(await look(await drawn(each)))).toBeGreaterThan(0.1);
    expect(await each.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  }
});

test("a volume is saved as the very file that the service has", async ({ page, request }) => {
  await generate(page, "tiny", 1);
  await succeeded(page);
  await page.getByText("Download", { exact: true }).click();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: /^000\.nii\.gz/ }).click(),
  ]);
  const stored = await (await request.get(`/jobs/${jobOf(page)}/results/000.nii.gz`)).body();
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(stored)).toBe(true);
  const [archive] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: /^All files/ }).click(),
  ]);
  expect(archive.suggestedFilename()).toMatch(/^tiny-[0-9a-f]{8}\.zip$/);
});

// The viewer's instruments: window, histogram and colours.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { AxeBuilder } from "@axe-core/playwright";

import { canvas, choose, drawn, generate, succeeded } from "./page";
import { ROOT } from "./stack";
import { apart, expect, look, type Page, test } from "./test";

async function shown(page: Page, seed: number): Promise<void> {
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.goto("/");
  await generate(page, "tiny", seed);
  await succeeded(page);
  await drawn(page);
  await expect(page.getByTestId("histogram")).toHaveAttribute("data-counted", "true");
}

async function findings(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).include(".viewer").analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}

test("the window of CT is chosen by name, typed, or set by its edges in the histogram", async ({ page }) => {
  await shown(page, 91);
  const preset = page.getByLabel("Preset");
  await expect(preset.locator("option:checked")).toHaveText(/^Usual/);
  const usual = await look(canvas(page));
  const choices = page.getByTestId("histogram").locator("xpath=..");
  await expect(choices).toBeInViewport({ ratio: 1 });
  await preset.selectOption({ label: "Brain (C 40, W 80)" });
  const width = page.getByRole("spinbutton", { name: "Window, typed, HU" });
  const level = page.getByRole("spinbutton", { name: "Level, typed, HU" });
  await expect(width).toHaveValue("80");
  await expect(level).toHaveValue("40");
  await expect.poll(async () => apart(usual, await look(canvas(page)))).toBeGreaterThan(3);

  await level.fill("-600");
  await width.fill("1500");
  await width.press("Enter");
  await expect(preset.locator("option:checked")).toHaveText("Lung (C -600, W 1500)");

  const edge = page.getByRole("slider", { name: "Upper end" });
  await edge.focus();
  await page.keyboard.press("ArrowRight");
  await expect(preset.locator("option:checked")).toHaveText("As set");
  const before = Number(await width.inputValue());
  const box = await edge.boundingBox();
  if (!box) throw new Error("the edge is nowhere");
  const [least, largest, at] = await edge.evaluate((input: HTMLInputElement) => [
    Number(input.min),
    Number(input.max),
    input.valueAsNumber,
  ]);
  const x = box.x + 6 + ((box.width - 12) * ((at ?? 0) - (least ?? 0))) / ((largest ?? 1) - (least ?? 0));
  await page.mouse.move(x, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(x - 40, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect.poll(async () => Number(await width.inputValue())).toBeLessThan(before - 50);
  await page.getByRole("button", { name: "Window of the file" }).click();
  await expect(preset.locator("option:checked")).toHaveText(/^Usual/);
  expect(await findings(page)).toEqual([]);
});

test("a scan in colours keeps them for the next volume, and grey turned about is bright where it was dark", async ({
  page,
}) => {
  await shown(page, 92);
  const grey = await look(canvas(page));
  const colours = page.getByLabel("Colours", { exact: true });
  await colours.selectOption("Viridis");
  await expect.poll(async () => apart(grey, await look(canvas(page)))).toBeGreaterThan(3);
  const viridis = await look(canvas(page));
  await colours.selectOption("Inverted grey");
  await expect.poll(async () => apart(viridis, await look(canvas(page)))).toBeGreaterThan(3);
  await choose(page, "tiny-classes");
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await succeeded(page);
  await drawn(page);
  await expect(colours).toHaveValue("inverted");
});

test("a scan and its reconstruction have a window each, named by what it is of", async ({ page, scans }) => {
  await page.goto("/#/encode");
  await choose(page, "tiny");
  await page.locator("input[type=file]").setInputFiles(join(scans, "ball.nii"));
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page);
  await drawn(page, 1);
  const scan = page.getByRole("group", { name: "Window of Scan: ball.nii" });
  const made = page.getByRole("group", { name: "Window of Reconstruction" });
  await expect(scan.getByText("Scan: ball.nii").last()).toBeVisible();
  const before = await made.getByRole("slider", { name: "Window" }).inputValue();
  await expect(scan.locator("optgroup")).toHaveAttribute("label", "CT, if the values are HU");
  await scan.getByLabel("Preset").selectOption({ label: "Bone (C 500, W 2000)" });
  await expect(scan.getByRole("spinbutton", { name: "Window, typed" })).toHaveValue("2000");
  await expect(made.getByRole("slider", { name: "Window" })).toHaveValue(before);
  expect(await findings(page)).toEqual([]);
});

test("slices are typed by number, and the image comes nearer and is moved by buttons and keys", async ({ page }) => {
  await shown(page, 93);
  const readout = page.getByTestId("readout");
  const whole = await look(canvas(page));
  await page.getByRole("spinbutton", { name: "Axial slice, of 32" }).fill("3");
  await page.keyboard.press("Enter");
  const axial = page.getByRole("slider", { name: "Axial", exact: true });
  await expect(axial).toHaveValue("3");
  await expect(axial).toHaveAttribute("aria-valuetext", /^Slice 3 of 32, I \d+\.\d mm$/);
  await expect(readout).toContainText(/I \d+\.\d mm/);
  await axial.focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("spinbutton", { name: "Axial slice, of 32" })).toHaveValue("4");
  await expect.poll(async () => apart(whole, await look(canvas(page)))).toBeGreaterThan(1);

  const axially = page.getByRole("radio", { name: "Axial" });
  await axially.press("Space"); // a forced click may land on the bar that lies over it
  await expect(axially).toBeChecked();
  await canvas(page).focus();
  await page.keyboard.press("0"); // the outline of the focus and the hint are in the picture, before and after
  const plane = await look(canvas(page));
  await page.getByRole("button", { name: "Nearer" }).click();
  await page.getByRole("button", { name: "Nearer" }).click();
  await expect.poll(async () => apart(plane, await look(canvas(page)))).toBeGreaterThan(3);
  await canvas(page).focus();
  const near = await look(canvas(page));
  await page.keyboard.press("Control+ArrowRight");
  await expect.poll(async () => apart(near, await look(canvas(page)))).toBeGreaterThan(1);
  await page.keyboard.press("0");
  await expect.poll(async () => apart(plane, await look(canvas(page)))).toBeLessThan(0.5);
  await page.getByRole("button", { name: "Drag moves the image" }).click();
  const before = await readout.textContent();
  const box = await canvas(page).boundingBox();
  if (!box) throw new Error("no canvas");
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 80, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect.poll(async () => apart(plane, await look(canvas(page)))).toBeGreaterThan(3);
  expect(await readout.textContent(), "the cursor stays").toBe(before);
});

test("all of it is within a phone's width, in the dark", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await shown(page, 95);
  await page.setViewportSize({ width: 360, height: 740 });
  for (const name of ["Keys (?)", "Window of the file"]) {
    const box = await page.getByRole("button", { name }).boundingBox();
    expect((box?.x ?? 999) + (box?.width ?? 0), name).toBeLessThanOrEqual(350);
  }
  const typed = await page.getByRole("spinbutton", { name: /^Axial slice/ }).boundingBox();
  expect((typed?.x ?? 999) + (typed?.width ?? 0)).toBeLessThanOrEqual(320);
  expect(await findings(page)).toEqual([]);
});

test("a question mark tells every key, Escape closes it, and the focus is where it was", async ({ page }) => {
  await shown(page, 94);
  await canvas(page).focus();
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Keys of the viewer" });
  await expect(help).toBeVisible();
  const guide = await readFile(join(ROOT, "docs", "page.md"), "utf8");
  const keys = await help.getByRole("term").allTextContents();
  const deeds = await help.getByRole("definition").allTextContents();
  expect(keys.length).toBeGreaterThan(10);
  for (const [row, key] of keys.entries())
    expect(guide, "the guide has it too").toContain(`| ${key} | ${deeds[row]} |`);
  expect(await findings(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await expect(canvas(page)).toBeFocused();
  await page.getByRole("button", { name: "Keys (?)" }).click();
  await help.getByRole("button", { name: "Close" }).click();
  await expect(page.getByRole("button", { name: "Keys (?)" })).toBeFocused();
  await page.getByLabel("Seed", { exact: true }).focus();
  await page.keyboard.press("?");
  await expect(help).toBeHidden();
});

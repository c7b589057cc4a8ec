// Measuring: distances and regions in the volume's own voxels and millimetres, by keyboard and by hand.
import { AxeBuilder } from "@axe-core/playwright";

import { niftiOf } from "../src/viewer/nifti";
import { canvas, drawn } from "./page";
import { expect, type Page, test } from "./test";

const SIDES = [24, 20, 12] as const;
const [COS, SIN] = [Math.cos(0.3), Math.sin(0.3)];
/** Steps of 2, 1.5 and 4 mm; turned, and stored from the patient's left. */
const AFFINE = [
  [-2 * COS, -1.5 * SIN, 0, 20],
  [-2 * SIN, 1.5 * COS, 0, -12],
  [0, 0, 4, -20],
];
/** The value of a voxel, x counted from the patient's right as on screen. */
const value = (x: number, y: number, z: number): number => 3 * x + 20 * y + 7 * z;

function scan(): Buffer {
  const [nx, ny, nz] = SIDES;
  const voxels = Int16Array.from({ length: nx * ny * nz }, (_, k) =>
    value(nx - 1 - (k % nx), Math.floor(k / nx) % ny, Math.floor(k / (nx * ny))),
  );
  return Buffer.from(niftiOf(SIDES, AFFINE, voxels));
}

async function mark(page: Page, voxel: readonly number[]): Promise<void> {
  for (const [axis, plane] of ["Sagittal", "Coronal", "Axial"].entries()) {
    await page.getByRole("spinbutton", { name: new RegExp(`^${plane} slice`) }).fill(String((voxel[axis] ?? 0) + 1));
    await page.keyboard.press("Enter");
  }
  await canvas(page).focus();
  await page.keyboard.press("Enter");
}

test("a distance and regions are told in millimetres and in the volume's values", async ({ page, request }) => {
  await page.goto("/#/encode");
  await page.locator("input[type=file]").setInputFiles({ name: "tilted.nii", mimeType: "", buffer: scan() });
  await drawn(page);
  await canvas(page).focus();
  await page.keyboard.press("2"); // one plane is drawn sooner than three and a rendering
  await page.keyboard.press("m");
  const table = page.getByRole("region", { name: "Measurements" });
  const row = (at: number) => table.getByRole("row").nth(at);
  await mark(page, [4, 6, 3]);
  await mark(page, [10, 14, 6]);
  await expect(row(1)).toContainText(`${Math.hypot(12, 12, 12).toFixed(1)} mm`);

  await page.getByText("Rectangle", { exact: true }).click();
  await mark(page, [4, 6, 5]);
  await mark(page, [10, 14, 5]);
  const [mean, least, most] = [value(7, 10, 5), value(4, 6, 5), value(10, 14, 5)];
  await expect(row(2)).toContainText("axial slice 6");
  for (const told of [`${7 * 9 * 3} mm²`, String(mean), String(least), String(most), String(7 * 9)])
    await expect(row(2).getByRole("cell", { name: told, exact: true }).first()).toBeVisible();

  await page.getByText("Sphere", { exact: true }).click();
  const box = await canvas(page).boundingBox();
  if (!box) throw new Error("no canvas");
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 70, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect(row(3)).toContainText(/Sphere, radius \d+\.\d+ mm.*mm³/);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy CSV" }).click();
  await expect(page.getByText("Copied as CSV.")).toBeVisible();
  const lines = (await page.evaluate(() => navigator.clipboard.readText())).split("\n");
  expect(lines[2]).toContain(`,${mean},`);
  expect(lines).toHaveLength(4);
  const { violations } = await new AxeBuilder({ page }).include(".viewer").analyze();
  expect(violations.map(({ id }) => id)).toEqual([]);

  await canvas(page).focus();
  await page.keyboard.press("Backspace");
  await expect(table.getByRole("row")).toHaveCount(3);
  await page.keyboard.press("m");
  await expect(table).toHaveCount(0);
  await page.keyboard.press("m");
  await expect(table.getByRole("row")).toHaveCount(3);
  await page.getByRole("button", { name: "Clear" }).click();
  await expect(table).toHaveCount(0);

  const data = { model: "tiny", seed: 61, num_samples: 2 };
  const posted = await request.post("/generate", { data, headers: { Prefer: "wait=60" } });
  const { id } = (await posted.json()) as { id: string };
  await page.goto(`/#/jobs/${id}?with=001.nii.gz`);
  await drawn(page);
  await drawn(page, 1);
  await canvas(page).focus();
  await page.keyboard.press("2");
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByText("Rectangle", { exact: true }).click();
  await page.getByRole("spinbutton", { name: "Slices" }).fill("3");
  await mark(page, [8, 8, 8]);
  await mark(page, [11, 11, 8]);
  for (const [at, seed] of [61, 62].entries())
    await expect(row(at + 1)).toContainText(new RegExp(`axial slices 8 to 10.*Seed ${seed}.* HU.*48`));
});

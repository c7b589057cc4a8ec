// Encode: a scan of each format to its latent and back, beside it.
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { canvas, choose, drawn, jobOf, succeeded } from "./page";
import { PYTHON, ROOT } from "./stack";
import { apart, expect, lit, look, type Page, test } from "./test";

async function encode(page: Page, scan: string): Promise<void> {
  await page.goto("/#/encode");
  await choose(page, "tiny");
  await page.locator("input[type=file]").setInputFiles(scan);
  await drawn(page, 0);
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page);
}

test("a scan lies beside its reconstruction, with figures and the latent to take away", async ({
  page,
  scans,
  request,
}) => {
  await encode(page, join(scans, "ball.nii.gz"));
  const left = await look(await drawn(page, 0));
  const right = await look(await drawn(page, 1));
  expect(lit(left)).toBeGreaterThan(0.03);
  expect(lit(right)).toBeGreaterThan(0.03);
  if (left.grey.length === right.grey.length) expect(apart(left, right)).toBeGreaterThan(2);
  const metrics = page.getByTestId("metrics");
  await expect(metrics).toContainText(/PSNR\s*\d/);
  await expect(metrics).toContainText(/SSIM\s*-?0\.\d/);
  await expect(metrics).toContainText(/MAE\s*\d/);
  const record = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as { latents: number[][] };
  expect(record.latents[0]).toHaveLength(8);
  await page.getByText("Download", { exact: true }).click();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: /^latents\.npy/ }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/latents\.npy$/);
});

test.describe("a DICOM archive of two series", () => {
  test.use({ allowed: /Failed to load resource: the server responded with a status of 422/ });

  test("is taken once one of those that the service lists is chosen", async ({ page, scans }) => {
    const archive = join(scans, "two-series.zip");
    const write =
      "import sys, numpy, pathlib; from tests.support.dicom_samples import archive, slices; r = numpy.indices((24, 20, 16)); " +
      "ball = (((r - 9) ** 2).sum(0) < 50).astype('int16') * 400; " +
      "archive([*slices(ball, number=3), *slices(ball, number=8)], pathlib.Path(sys.argv[1]))";
    execFileSync(PYTHON, ["-c", write, archive], { cwd: ROOT });
    await page.goto("/#/encode");
    await choose(page, "tiny");
    await page.locator("input[type=file]").setInputFiles(archive);
    await expect(page.getByText("A DICOM series")).toBeVisible();
    await page.getByRole("button", { name: "Encode and reconstruct" }).click();
    await expect(page.getByRole("alert")).toContainText("3 (CT, 16 images of 24 x 20); 8 (CT, 16 images");
    await page.getByLabel("Series", { exact: true }).fill("8");
    await page.getByRole("button", { name: "Encode and reconstruct" }).click();
    await succeeded(page);
    await drawn(page, 0);
  });
});

for (const name of ["ball.nii", "ball.nrrd", "ball.mha"]) {
  test(`${name} is shown before it is sent, and taken`, async ({ page, scans }) => {
    await encode(page, join(scans, name));
    await expect.poll(async () => lit(await look(await drawn(page, 0)))).toBeGreaterThan(0.03);
    await drawn(page, 1);
  });
}

test("after a reload the scan can be given again, and has its own window", async ({ page, scans }) => {
  await encode(page, join(scans, "ball.nii"));
  await drawn(page, 1);
  const left = page.getByRole("group", { name: "Window of Scan: ball.nii" });
  const windowed = await left.getByRole("slider", { name: "Window" }).inputValue();
  await page.reload();
  await drawn(page, 0);
  const alone = await page.getByRole("slider", { name: "Window" }).inputValue();
  expect(alone, "the reconstruction has another window").not.toBe(windowed);
  await page
    .getByRole("region", { name: "Scan and reconstruction" })
    .locator("input[type=file]")
    .setInputFiles(join(scans, "ball.nii"));
  await drawn(page, 1);
  await expect(page.getByText("Show the scan beside it", { exact: false })).toHaveCount(0);
  await expect(left.getByRole("slider", { name: "Window" })).toHaveValue(windowed);
});

async function drop(page: Page, name: string, bytes: Buffer): Promise<void> {
  const transfer = await page.evaluateHandle(
    ([name, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
      return data;
    },
    [name, bytes.toString("base64")] as const,
  );
  await page.getByText("Drop it here or choose it", { exact: false }).dispatchEvent("drop", { dataTransfer: transfer });
}

test("a file that is no scan is told when it is dropped, and a scan is taken", async ({ page, scans }) => {
  await page.goto("/#/encode");
  await choose(page, "tiny");
  await drop(page, "letter.txt", Buffer.from("hello"));
  await expect(page.getByText(/^This is no .+ or .+ file\.$/)).toBeVisible();
  await drop(page, "ball.nii.gz", await readFile(join(scans, "ball.nii.gz")));
  await expect.poll(async () => lit(await look(await drawn(page, 0)))).toBeGreaterThan(0.03);
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page);
});

test.describe("a file that only looks like a scan", () => {
  test.use({ allowed: /Failed to load resource|nifti|header/i });

  test("is refused with the service's own words", async ({ page, scans }) => {
    await page.goto("/#/encode");
    await choose(page, "tiny");
    await page.locator("input[type=file]").setInputFiles(join(scans, "letter.nii"));
    await page.getByRole("button", { name: "Encode and reconstruct" }).click();
    await expect(page.getByRole("form", { name: "Encode" }).getByRole("alert")).toContainText("cannot be read");
    await expect(canvas(page, 0)).toBeAttached();
  });
});

// The pictures of the README and docs/page.md, from the shipped models: npm run pictures. Not part of the tests.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { choose, drawn, generate, SLOW, succeeded } from "./page";
import { PYTHON, ROOT } from "./stack";
import { expect, look, type Page, shades, test } from "./test";

test.describe.configure({ timeout: 900_000 });
test.use({ viewport: { width: 1280, height: 860 } });

/** Takes a picture and brings it to 256 colours, so that it stays small. */
async function keep(page: Page, name: string): Promise<void> {
  const path = join(ROOT, "docs", "images", `page-${name}.png`);
  await page.mouse.move(0, 0);
  let seen: Buffer | null = null;
  for (;;) {
    const now = await page.screenshot({ path, animations: "disabled" });
    if (seen && now.equals(seen)) break; // the 3D views come a moment after the planes
    seen = now;
    await page.waitForTimeout(1000);
  }
  const shrink =
    "import sys; from PIL import Image; p = sys.argv[1]; Image.open(p).convert('RGB').quantize(256).save(p, optimize=True)";
  execFileSync(PYTHON, ["-c", shrink, path], { cwd: ROOT });
}

test("generate", async ({ page }) => {
  await page.goto("/");
  await generate(page, "brain-demo-256", 42, 4);
  await succeeded(page, SLOW);
  await drawn(page, 0, SLOW);
  await page.getByRole("button", { name: "Seed 43" }).click();
  await drawn(page, 0, SLOW);
  await page.evaluate(() => scrollTo(0, 0));
  await keep(page, "generate");
});

test("encode", async ({ page }) => {
  const find =
    "import importlib.util, pathlib; p = pathlib.Path(importlib.util.find_spec('nilearn').origin).parent; print(next(p.rglob('mni_icbm152_t1*.nii.gz')))";
  const scan = execFileSync(PYTHON, ["-c", find], { encoding: "utf8" }).trim();
  await page.goto("/#/encode");
  await choose(page, "brain-demo-256");
  await page.locator("input[type=file]").setInputFiles(scan);
  await page.getByRole("button", { name: "Encode and reconstruct" }).click();
  await succeeded(page, SLOW);
  await drawn(page, 0, SLOW);
  await drawn(page, 1, SLOW);
  await keep(page, "encode");
});

test("edit", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/#/edit?model=brain-demo-256");
  const status = page.getByTestId("edit-status");
  await page.getByRole("button", { name: "Show the start" }).click();
  await expect(status).toHaveAttribute("data-busy", "false", SLOW);
  await drawn(page, 0, SLOW);
  await page.getByRole("slider", { name: "Head size" }).fill("3");
  await expect(status).toHaveAttribute("data-busy", "false", SLOW);
  await page.getByText("Side by side", { exact: true }).click();
  await drawn(page, 0, SLOW);
  await drawn(page, 1, SLOW);
  await keep(page, "edit");
});

test("jobs", async ({ page }) => {
  await page.goto("/");
  for (const seed of [1, 2, 3]) {
    await page.goto("/#/generate");
    await generate(page, "head-style-128", seed, 2);
    await succeeded(page, SLOW);
  }
  await page.goto("/#/jobs");
  await expect(page.getByRole("list", { name: "Jobs" }).getByRole("article").first()).toBeVisible();
  const article = page.getByRole("list", { name: "Jobs" }).getByRole("article").first();
  await expect.poll(async () => shades(await look(article)), SLOW).toBeGreaterThan(9);
  await keep(page, "jobs");
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 } });
  test("phone", async ({ page }) => {
    await page.goto("/");
    await generate(page, "head-style-128", 5);
    await succeeded(page, SLOW);
    await drawn(page, 0, SLOW);
    await page.getByTestId("job-status").scrollIntoViewIfNeeded();
    await page.getByTestId("pane-0").scrollIntoViewIfNeeded();
    await keep(page, "phone");
  });
});

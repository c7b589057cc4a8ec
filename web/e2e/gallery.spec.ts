// The gallery: find a job again, repeat it, take its call along, remove it.
import { execFileSync } from "node:child_process";

import { drawn, generate, jobOf, succeeded } from "./page";
import { PYTHON, ROOT } from "./stack";
import { expect, test } from "./test";

test.use({ permissions: ["clipboard-read", "clipboard-write"] });

test("jobs are listed newest first and found by filters", async ({ page }) => {
  await page.goto("/");
  await generate(page, "tiny-classes", 50, 2);
  await succeeded(page);
  const short = jobOf(page).slice(0, 8);
  await page.goto("/#/jobs");
  const gallery = page.getByRole("list", { name: "Jobs" });
  await expect(gallery.getByRole("article").first()).toHaveAccessibleName(`Generate ${short}`);
  await page.getByLabel("Model", { exact: true }).selectOption("tiny-classes");
  await expect(page).toHaveURL(/model=tiny-classes/);
  await expect(gallery.getByRole("article").first()).toHaveAccessibleName(`Generate ${short}`);
  await page.getByLabel("State", { exact: true }).selectOption("failed");
  await expect(page.getByText("No job fits the filters")).toBeVisible();
});

test("a job's call works as it was copied, in a shell and in Python", async ({ page, request }) => {
  await page.goto("/");
  await generate(page, "tiny", 51);
  await succeeded(page);
  await page.goto(`/#/jobs/${jobOf(page)}`);
  const copied = async (what: string): Promise<string> => {
    await page.getByRole("main").getByRole("button", { name: what, exact: true }).click();
    await expect(page.getByText(`Copied as ${what}.`)).toBeVisible();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const told = execFileSync("bash", ["-c", await copied("curl")], { encoding: "utf8" });
  const record = JSON.parse(told) as { state: string; request: { seed: number }; results: { sha256: string }[] };
  expect(record).toMatchObject({ state: "succeeded", request: { seed: 51 } });
  const first = (await (await request.get(`/jobs/${jobOf(page)}`)).json()) as typeof record;
  expect(record.results[0]?.sha256).toBe(first.results[0]?.sha256);
  const program = `${await copied("Python")}\n    print(image.shape)\n`;
  const shape = execFileSync(PYTHON, ["-c", program], { encoding: "utf8", cwd: ROOT });
  expect(shape).toContain("(32, 32, 32)");
});

test("a job is repeated with changes, and edited from where it ended", async ({ page }) => {
  await page.goto("/");
  await generate(page, "tiny", 52);
  await succeeded(page);
  const job = jobOf(page);
  await page.goto(`/#/jobs/${job}`);
  await page.getByRole("main").getByRole("link", { name: "Repeat with changes" }).click();
  await expect(page.getByLabel("Seed", { exact: true })).toHaveValue("52");
  await expect(page.getByLabel("Model", { exact: true })).toHaveValue("tiny");
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await expect.poll(() => jobOf(page)).not.toBe("");
  expect(jobOf(page)).not.toBe(job);
  await succeeded(page);
  await drawn(page);
});

test("a job is deleted after a question, and gone", async ({ page, request }) => {
  await page.goto("/");
  await generate(page, "tiny", 53);
  await succeeded(page);
  const job = jobOf(page);
  await page.goto("/#/jobs");
  const card = page.getByRole("article", { name: `Generate ${job.slice(0, 8)}` });
  await card.getByRole("button", { name: "Delete the job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep" }).click();
  expect((await request.get(`/jobs/${job}`)).status()).toBe(200);
  await card.getByRole("button", { name: "Delete the job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(card).toHaveCount(0);
  expect((await request.get(`/jobs/${job}`)).status()).toBe(404);
});

// The list of jobs: named, starred, found again, removed together; and what of it only this browser knows.
import { generate, jobOf, succeeded } from "./page";
import { expect, type Page, test } from "./test";

async function made(page: Page, seed: number): Promise<string> {
  await page.goto("/#/generate");
  await generate(page, "tiny", seed);
  await succeeded(page);
  return jobOf(page);
}

test("a job is named and starred, and found by it after a reload", async ({ page, request }) => {
  const job = await made(page, 9301);
  await made(page, 9302);
  await page.goto("/#/jobs");
  const card = page.getByRole("article", { name: job.slice(0, 8) });
  await card.getByTitle("Name the job").click();
  await page.getByLabel("Name of the job").fill("Broad head");
  await page.keyboard.press("Enter");
  await card.getByRole("button", { name: "Star" }).click();
  await page.reload();
  await expect(card).toHaveAccessibleName(`Generate ${job.slice(0, 8)}: Broad head`);
  const cards = page.getByRole("list", { name: "Jobs" }).getByRole("article");
  await page.getByLabel("Search").fill("broad tiny");
  await expect(cards).toHaveCount(1);
  await expect(page).not.toHaveURL(/broad/i);
  await page.getByLabel("Search").fill("");
  await page.getByLabel("With a star").check();
  await expect(cards).toHaveCount(1);
  expect(await (await request.get(`/jobs/${job}`)).text()).not.toContain("Broad");
  await page.getByRole("button", { name: "Forget them" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Forget" }).click();
  await expect(page.getByText("No job fits the filters")).toBeVisible();
  expect(await page.evaluate(() => localStorage.getItem("voxelsmith.marks"))).toBe("{}");
});

test("an encoding shows the file name of its scan, which the service does not have", async ({
  page,
  request,
  scans,
}) => {
  await page.goto("/#/encode");
  await page.getByLabel("Model", { exact: true }).selectOption("tiny");
  await page.locator('input[type="file"]').setInputFiles(`${scans}/ball.nii.gz`);
  await page.getByRole("button", { name: /^Encode/ }).click();
  await succeeded(page);
  const job = jobOf(page);
  await page.goto("/#/jobs");
  await page.reload();
  const card = page.getByRole("article", { name: job.slice(0, 8) });
  await expect(card).toContainText("Scan ball.nii.gz");
  await page.getByLabel("Search").fill("ball.nii");
  await expect(page.getByRole("list", { name: "Jobs" }).getByRole("article")).toHaveCount(1);
  expect(await (await request.get(`/jobs/${job}`)).text()).not.toContain("ball");
});

test.describe("several at once", () => {
  test.use({ allowed: /Failed to load resource: the server responded with a status of (404|500)/ });

  test("several jobs are removed after one question, and what is refused is told by job", async ({ page, request }) => {
    const jobs = [await made(page, 9311), await made(page, 9312), await made(page, 9313)];
    await page.goto("/#/jobs");
    for (const job of jobs) await page.getByRole("checkbox", { name: `Select Generate ${job.slice(0, 8)}` }).check();
    const [, refused = "", gone = ""] = jobs;
    await page.route(`**/jobs/${refused}`, (route) =>
      route.request().method() === "DELETE"
        ? route.fulfill({
            status: 500,
            contentType: "application/problem+json",
            body: JSON.stringify({ title: "The store is away", detail: "Try later.", status: 500, code: "x" }),
          })
        : route.continue(),
    );
    await request.delete(`/jobs/${gone}`); // by somebody else, meanwhile
    await page.getByRole("button", { name: "Delete 3 jobs" }).click();
    await expect(page.getByRole("dialog")).toContainText("3 volumes go with them");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    const alert = page.getByRole("alert");
    await expect(alert).toContainText("1 job could not be deleted");
    await expect(alert).toContainText(`Generate ${refused.slice(0, 8)}: The store is away. Try later.`);
    const statuses = await Promise.all(jobs.map(async (job) => (await request.get(`/jobs/${job}`)).status()));
    expect(statuses).toEqual([404, 200, 404]);
  });
});

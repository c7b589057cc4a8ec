// A service with API keys: on a stack that is this file's own.
import { drawn, generate, status, succeeded } from "./page";
import { startStack, type Stack } from "./stack";
import { expect, test as base } from "./test";

const test = base.extend<object, { stack: Stack }>({
  stack: [
    async ({}, use) => {
      const stack = await startStack({ keys: true });
      await use(stack);
      await stack.stop();
    },
    { scope: "worker", timeout: 300_000 },
  ],
  url: async ({ stack }, use) => use(stack.url),
});
test.use({ allowed: /Failed to load resource/ });

test("the key is asked for once, refused when wrong, and kept for the tab alone", async ({ page, context, stack }) => {
  await page.goto("/");
  const dialog = page.getByRole("dialog", { name: "API key" });
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("Key", { exact: true }).fill("vs_wrong");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeVisible();
  await expect(dialog.getByRole("alert")).toBeVisible();
  await dialog.getByLabel("Key", { exact: true }).fill(stack.key);
  await dialog.getByRole("button", { name: "Use the key" }).click();
  await expect(dialog).toBeHidden();
  await generate(page, "tiny", 1);
  await succeeded(page);
  await drawn(page);
  const kept = await page.evaluate(() => JSON.stringify([localStorage, document.cookie]));
  expect(kept).not.toContain(stack.key);
  await page.reload();
  await drawn(page);
  await expect(dialog).toBeHidden();
  const tab = await context.newPage();
  await tab.goto("/");
  await expect(tab.getByRole("dialog", { name: "API key" })).toBeVisible();
});

test("another key does not see the jobs of the one before", async ({ page, stack }) => {
  await page.goto("/");
  const dialog = page.getByRole("dialog", { name: "API key" });
  await dialog.getByLabel("Key", { exact: true }).fill(stack.key);
  await page.keyboard.press("Enter");
  await generate(page, "tiny", 3);
  await succeeded(page);
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  const jobs = page.getByRole("list", { name: "Jobs" }).getByRole("article");
  await expect(jobs.first()).toBeVisible();
  await page.getByRole("button", { name: /^API key/ }).click();
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  await page.route("**/models", (route) => held.then(() => route.continue()));
  await dialog.getByLabel("Key", { exact: true }).fill("vs_wrong");
  await page.keyboard.press("Enter");
  await expect(dialog.getByRole("alert")).toBeVisible();
  await expect(jobs).toHaveCount(0);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  const late = page.waitForResponse("**/models");
  letGo();
  await late; // a refusal of before does not ask again
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(dialog.getByRole("alert"), "the same refusal is told again").toBeVisible();
});

test("a service that goes away is told, and the page finds it when it is back", async ({ page, stack }) => {
  await page.goto("/");
  await page.getByRole("dialog").getByLabel("Key", { exact: true }).fill(stack.key);
  await page.keyboard.press("Enter");
  await generate(page, "tiny", 2);
  await drawn(page);
  await page.context().setOffline(true);
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await expect(page.getByRole("alert")).toContainText("The service does not answer");
  await page.context().setOffline(false);
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await expect(page.getByRole("alert")).toHaveCount(0);
  await succeeded(page);
});

test("a connection that is lost is told, and what was refused meanwhile is no news when it is back", async ({
  page,
  stack,
}) => {
  await page.goto("/");
  await page.getByRole("dialog").getByLabel("Key", { exact: true }).fill(stack.key);
  await page.keyboard.press("Enter");
  await page.route("**/events", (route) => route.abort());
  await generate(page, "tiny", 4);
  await expect(status(page)).toContainText("Connection lost, trying again");
  await page.route("**/generate", (route) => route.abort());
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await expect(page.getByRole("alert")).toContainText("The service does not answer");
  await page.unrouteAll();
  await succeeded(page);
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(status(page)).toContainText("1 volume in");
});

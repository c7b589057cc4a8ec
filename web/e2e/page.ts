// The page as a person uses it: the few steps that many tests share.
import { expect, type Locator, type Page } from "./test";

export const SLOW = { timeout: 300_000 };
/** A 256^3 forward pass on a busy machine without a GPU takes its time. */

export function pane(page: Page, index = 0): Locator {
  return page.getByTestId(`pane-${index}`);
}

export function canvas(page: Page, index = 0): Locator {
  return pane(page, index).locator("canvas");
}

export function status(page: Page): Locator {
  return page.getByTestId("job-status");
}

export async function choose(page: Page, model: string): Promise<void> {
  await page.getByLabel("Model", { exact: true }).selectOption(model);
}

/** Fills the form of a fresh page and sends it. */
export async function generate(page: Page, model: string, seed: number, samples = 1): Promise<void> {
  await choose(page, model);
  await page.getByLabel("Seed", { exact: true }).fill(String(seed));
  await page.getByRole("slider", { name: "Samples" }).fill(String(samples));
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
}

/** Waits until the pane has drawn a volume. */
export async function drawn(page: Page, index = 0, options: { timeout?: number } = {}): Promise<Locator> {
  await expect(pane(page, index)).toHaveAttribute("data-phase", "shown", options);
  return canvas(page, index);
}

export async function succeeded(page: Page, options: { timeout?: number } = {}): Promise<void> {
  await expect(status(page)).toHaveAttribute("data-state", "succeeded", options);
}

/** The job that the address names. */
export function jobOf(page: Page): string {
  return /job(?:s\/|=)([0-9a-f]{32})/.exec(page.url())?.[1] ?? "";
}

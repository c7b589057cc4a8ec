// `test` for the page: an address, and nobody's tolerance for noise: no error in the console, no call to another host.
import { test as base, expect, type ConsoleMessage, type Locator, type Page } from "@playwright/test";

import { type Picture, pictureOf } from "./png";

export { expect };
export type { Locator, Page };

interface Extras {
  /** Where the service is. */
  url: string;
  scans: string;
  /** What the console may say where a test has a call refused on purpose. */
  allowed: RegExp | null;
  quiet: undefined;
}

const IS_OWN = /^(blob:|data:|about:)/;
/** A job that moved on between the page's look at it and its cancel: the page asks again. */
const IS_BY_DESIGN = /the server responded with a status of 412/;

export const test = base.extend<Extras>({
  url: async ({}, use) => use(process.env["E2E_URL"] ?? ""),
  scans: async ({}, use) => use(process.env["E2E_SCANS"] ?? ""),
  baseURL: async ({ url }, use) => use(url),
  allowed: [null, { option: true }],
  quiet: [
    async ({ context, url, allowed }, use) => {
      const noise: string[] = [];
      const hear = (text: string): void => {
        if (!IS_BY_DESIGN.test(text) && !allowed?.test(text)) noise.push(text);
      };
      context.on("console", (message: ConsoleMessage) => {
        if (message.type() === "error" || message.type() === "warning") hear(`console: ${message.text()}`);
      });
      context.on("weberror", (fault) => hear(`exception: ${fault.error().message}`));
      context.on("request", (request) => {
        if (!IS_OWN.test(request.url()) && !request.url().startsWith(url)) hear(`foreign request: ${request.url()}`);
      });
      await use(undefined);
      expect(noise, "the page is quiet and stays at home").toEqual([]);
    },
    { auto: true },
  ],
});

/** What a canvas shows, as it is on screen, once it rests: without a GPU the 3D view comes a moment after the planes. */
export async function look(canvas: Locator): Promise<Picture> {
  let picture = await canvas.screenshot({ animations: "disabled" });
  for (let tries = 0; tries < 20; tries++) {
    await canvas.page().waitForTimeout(500);
    const next = await canvas.screenshot({ animations: "disabled" });
    if (picture.equals(next)) break;
    picture = next;
  }
  return pictureOf(picture);
}

/** The share of pixels brighter than the viewer's own dark paper and thin lines. */
export function lit({ grey }: Picture): number {
  return grey.filter((value) => value > 40).length / grey.length;
}

export function mean({ grey }: Picture): number {
  return grey.reduce((sum, value) => sum + value, 0) / grey.length;
}

/** How many of 16 shades of grey are there in earnest: text and lines have few, tissue has many. */
export function shades({ grey }: Picture): number {
  const counts = new Array<number>(16).fill(0);
  for (const value of grey) {
    const shade = Math.min(15, value >> 4);
    counts[shade] = (counts[shade] ?? 0) + 1;
  }
  return counts.filter((count) => count > grey.length / 1000).length;
}

/** Mean difference of two pictures of one size, 0 to 255. */
export function apart(a: Picture, b: Picture): number {
  if (a.grey.length !== b.grey.length) throw new Error("pictures of two sizes");
  return a.grey.reduce((sum, value, k) => sum + Math.abs(value - (b.grey[k] ?? 0)), 0) / a.grey.length;
}

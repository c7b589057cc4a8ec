// Where the page may stand: under a path that a proxy gives it, and on plain HTTP beyond loopback.
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { chromium } from "./chromium";
import { drawn, generate, jobOf, succeeded } from "./page";
import { startStack } from "./stack";
import { expect, test as base } from "./test";

const PREFIX = "/user/me/proxy/8000";
const NAME = "voxelsmith.test";

interface Places {
  /** The page under a path: of a proxy that takes it away, and of one that does not. */
  stripped: string;
  whole: string;
  /** The page by a name that is not of this machine. */
  named: string;
}

/** A proxy in front of the service, which has it under the prefix alone. */
function proxy(port: number, isStripping: boolean): Promise<Server> {
  const server = createServer((asked, reply) => {
    if (!asked.url?.startsWith(PREFIX)) return void reply.writeHead(404).end();
    const path = isStripping ? asked.url.slice(PREFIX.length) || "/" : asked.url;
    const { method, headers } = asked;
    const passed = request({ host: "127.0.0.1", port, path, method, headers }, (answer) => {
      reply.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(reply);
    });
    passed.on("error", () => reply.destroy());
    reply.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const test = base.extend<{ place: keyof Places }, { places: Places }>({
  places: [
    async ({}, use) => {
      const environment = { VOXELSMITH_ROOT_PATH: `${PREFIX}/`, VOXELSMITH_ALLOWED_HOSTS: NAME };
      const stack = await startStack({ environment });
      const port = Number(new URL(stack.url).port);
      const proxies = await Promise.all([true, false].map((isStripping) => proxy(port, isStripping)));
      const [stripped = "", whole = ""] = proxies.map((server) => `http://127.0.0.1:${portOf(server)}${PREFIX}`);
      await use({ stripped, whole, named: `http://${NAME}:${port}` });
      for (const server of proxies) server.close();
      await stack.stop();
    },
    { scope: "worker", timeout: 300_000 },
  ],
  place: ["stripped", { option: true }],
  url: async ({ places, place }, use) => use(places[place]),
});
const usual = chromium();
test.use({ launchOptions: { ...usual, args: [...(usual.args ?? []), `--host-resolver-rules=MAP ${NAME} 127.0.0.1`] } });

for (const place of ["stripped", "whole", "named"] as const) {
  test.describe(`the page, ${place}`, () => {
    // Chromium says of plain HTTP that one of the service's header fields has no effect there.
    test.use({ place, allowed: place === "named" ? /Cross-Origin-Opener-Policy header has been ignored/ : null });

    test("makes a volume, draws it, keeps it under its address and lets it go", async ({ page, url }) => {
      // The slash that is missing is added by the service, where the proxy lets it see what was asked for.
      await page.goto(place === "whole" ? url : `${url}/`);
      expect(await page.evaluate(() => isSecureContext)).toBe(place !== "named");
      await generate(page, "tiny", 7, 2);
      await succeeded(page);
      await drawn(page);
      await page.goto(`${url}/#/jobs/${jobOf(page)}`);
      await drawn(page);
      await expect(page.getByRole("region", { name: "The call for a shell" })).toContainText(`${url}/generate`);
      await page.getByRole("button", { name: "curl" }).click();
      await expect(page.getByRole("status").filter({ hasText: "Copied as curl." })).toBeVisible();
      const saved = page.waitForEvent("download");
      await page.getByText("Download", { exact: true }).click();
      await page.getByRole("button", { name: /^000\.nii/ }).click();
      expect((await saved).suggestedFilename()).toContain("000");
      await page.getByRole("button", { name: "Delete the job" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await expect(page).toHaveURL(`${url}/#/jobs`);
    });
  });
}

test("what names a path names it under the prefix", async ({ url, request: http }) => {
  const answer = await http.post(`${url}/generate`, { data: { model: "tiny", seed: 1 } });
  expect(answer.headers()["location"]).toMatch(new RegExp(`^${PREFIX}/jobs/`));
  const schema = (await (await http.get(`${url}/openapi.json`)).json()) as { servers: unknown };
  expect(schema.servers).toEqual([{ url: PREFIX }]);
});

// One worker on one service: the machine may have two slow cores, and WebGL is drawn in software.
import { defineConfig } from "@playwright/test";

import { chromium } from "./chromium";

export default defineConfig({
  testDir: ".",
  projects: [
    { name: "page", testMatch: "*.spec.ts" },
    { name: "pictures", testMatch: "pictures.ts" },
    { name: "measure", testMatch: "measure.ts" },
  ],
  outputDir: "../test-results",
  globalSetup: "./setup.ts",
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env["CI"],
  retries: process.env["CI"] ? 1 : 0, // told as flaky; see docs/decisions/0031
  timeout: 180_000,
  expect: { timeout: 60_000 },
  reporter: [["list"], ["./summary.ts"]],
  use: {
    actionTimeout: 90_000,
    launchOptions: chromium(),
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    reducedMotion: "reduce",
    trace: "off",
    screenshot: "only-on-failure",
  },
});

// Debian's Chromium, with WebGL in software, quiet towards the network.
import { execFileSync } from "node:child_process";

import type { LaunchOptions } from "@playwright/test";

export function chromium(): LaunchOptions {
  return {
    executablePath: process.env["CHROMIUM"] || found(),
    chromiumSandbox: false, // tests run as root in CI
    args: [
      ...["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
      ...[
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    ],
  };
}

function found(): string {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // the next one
    }
  }
  throw new Error("No Chromium: apt-get install chromium, or set CHROMIUM=/path/to/it");
}

// The whole service for the tests: embedded Valkey, API and a real worker, on tiny models beside those that ship.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const PYTHON = join(ROOT, ".venv", "bin", "python");
const START_MS = 180_000;

export interface Stack {
  url: string;
  /** Files to drop on the page: ball.nii, .nii.gz, .nrrd, .mha, its core.nii.gz and edges.nii.gz; letter.nii, which is no scan. */
  scans: string;
  /** An API key, where the stack was started with keys. */
  key: string;
  stop: () => Promise<void>;
}

export async function startStack(
  options: { keys?: boolean; environment?: Record<string, string> } = {},
): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), "voxelsmith-e2e-"));
  // Pictures show what a user has: the models that ship.
  const models = process.env["E2E_SHIPPED_ONLY"] ? [] : ["--models", join(folder, "models")];
  const command = (...words: string[]): string[] => ["-m", "voxelsmith", ...models, ...words];
  const data = ["--data", join(folder, "data")];
  execFileSync(PYTHON, ["-m", "tests.support.models.web_models", folder], { cwd: ROOT, stdio: "inherit" });
  const environment = { ...process.env, PYTHONUNBUFFERED: "1", ...options.environment };
  const service = spawn(PYTHON, command("serve", "--port", "0", ...data), {
    cwd: ROOT,
    env: environment,
    stdio: ["ignore", "pipe", process.env["E2E_LOG"] ? "inherit" : "ignore"],
  });
  const stop = async (): Promise<void> => {
    await ended(service);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const url = await address(service);
    await ready(url, service);
    const made = options.keys
      ? execFileSync(PYTHON, command("keys", "create", "--json", ...data), { cwd: ROOT, encoding: "utf8" })
      : "";
    const key = made ? (JSON.parse(made) as { key: string }).key : "";
    return { url, scans: join(folder, "scans"), key, stop };
  } catch (fault) {
    await stop();
    throw fault;
  }
}

/** The address that the service prints when it listens. */
async function address(service: ChildProcess): Promise<string> {
  if (!service.stdout) throw new Error("the service has no output");
  for await (const line of createInterface(service.stdout)) {
    const found = /listening on (http:\S+)/.exec(line);
    if (found?.[1]) {
      service.stdout.resume();
      return found[1];
    }
  }
  throw new Error("the service ended before it listened");
}

async function ready(url: string, service: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (service.exitCode !== null) throw new Error("the service ended before it was ready");
    if (Date.now() > deadline) throw new Error("the service was not ready in time");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** SIGTERM to this very process, which stops its parts in order; SIGKILL where it does not. */
async function ended(service: ChildProcess): Promise<void> {
  if (service.exitCode !== null || service.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const impatient = setTimeout(() => service.kill("SIGKILL"), 30_000);
    service.once("exit", () => {
      clearTimeout(impatient);
      resolve();
    });
    service.kill("SIGTERM");
  });
}

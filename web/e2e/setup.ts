// Before all tests: one service for all of them. After them it is stopped.
import { startStack } from "./stack";

export default async function setup(): Promise<() => Promise<void>> {
  const stack = await startStack();
  process.env["E2E_URL"] = stack.url;
  process.env["E2E_SCANS"] = stack.scans;
  return stack.stop;
}

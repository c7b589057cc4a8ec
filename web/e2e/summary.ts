// Last in the log, why tests failed: of a long log often the end alone is kept.
import type { FullConfig, Reporter, Suite } from "@playwright/test/reporter";

const LINES = 12;

export default class Summary implements Reporter {
  private root: Suite | null = null;

  onBegin(_config: FullConfig, root: Suite): void {
    this.root = root;
  }

  onEnd(): void {
    for (const test of this.root?.allTests() ?? []) {
      for (const { retry, errors } of test.results) {
        for (const { message } of errors) {
          // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
          const plain = (message ?? "").replace(/\u001b\[[0-9;]*m/g, "");
          console.log(`== ${test.title} (try ${retry + 1}): ${plain.split("\n").slice(0, LINES).join("\n   ")}`);
        }
      }
    }
  }

  printsToStdio(): boolean {
    return false;
  }
}

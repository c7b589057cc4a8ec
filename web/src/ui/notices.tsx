// What stands where something is missing: while it loads, when there is none, when it failed.
import type { ComponentChildren } from "preact";

import type { Problem } from "../api/problem";
import { Button } from "./controls";
import { Icon, type IconName } from "./icons";

export function ProblemNotice({ problem, onRetry }: { problem: Problem; onRetry?: (() => void) | undefined }) {
  return (
    <div class="notice problem" role="alert">
      <Icon name="warning" />
      <div>
        <p class="notice-title">{problem.title}</p>
        {problem.detail && <p>{problem.detail}</p>}
        {problem.errors.length > 0 && (
          <ul>
            {problem.errors.map((item) => (
              <li key={item.pointer}>
                <code>{item.pointer || "/"}</code> {item.detail}
              </li>
            ))}
          </ul>
        )}
        {onRetry && (
          <Button icon="repeat" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="notice empty">
      <Icon name={icon} />
      <div>
        <p class="notice-title">{title}</p>
        {children}
      </div>
    </div>
  );
}

export function Skeleton({ lines = 3, label = "Loading" }: { lines?: number; label?: string }) {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} />
      ))}
    </div>
  );
}

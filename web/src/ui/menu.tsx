// A menu that opens from a button, and closes by itself when the hand or the focus goes elsewhere.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { Icon, type IconName } from "./icons";

interface MenuProps {
  icon: IconName;
  label: string;
  /** The sign alone. */
  isCompact?: boolean;
  children: ComponentChildren;
}

export function Menu({ icon, label, isCompact = false, children }: MenuProps) {
  const details = useRef<HTMLDetailsElement>(null);
  const close = (): void => {
    if (details.current) details.current.open = false;
  };
  useEffect(() => {
    const elsewhere = (event: PointerEvent): void => {
      if (!details.current?.contains(event.target as Node)) close();
    };
    addEventListener("pointerdown", elsewhere);
    return () => removeEventListener("pointerdown", elsewhere);
  }, []);
  return (
    <details
      class="menu"
      ref={details}
      onFocusOut={(event) => {
        const next = event.relatedTarget as Node | null;
        if (next && !details.current?.contains(next)) close();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        close();
        details.current.querySelector("summary")?.focus();
      }}
    >
      {isCompact ? (
        <summary class="button quiet square" aria-label={label} title={label}>
          <Icon name={icon} />
        </summary>
      ) : (
        <summary class="button plain">
          <Icon name={icon} />
          {label}
        </summary>
      )}
      <ul>{children}</ul>
    </details>
  );
}

// Light or dark: as the system has it, until somebody chooses.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const SLOT = "voxelsmith.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function stored(): Theme {
  const value = localStorage.getItem(SLOT);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = signal<Theme>(stored());

export function turnTheme(): void {
  theme.value = NEXT[theme.value];
}

/** Keeps the document in the chosen theme. */
export function applyTheme(): void {
  effect(() => {
    if (theme.value === "system") {
      delete document.documentElement.dataset["theme"];
      localStorage.removeItem(SLOT);
    } else {
      document.documentElement.dataset["theme"] = theme.value;
      localStorage.setItem(SLOT, theme.value);
    }
  });
}

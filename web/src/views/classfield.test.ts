import { expect, test } from "vitest";

import type { ModelCard } from "../api/types";
import { givenFor } from "./classfield";

const withClasses = (...classes: string[]): ModelCard => ({ classes }) as unknown as ModelCard;

test("a class is a name, or an index as older requests have it", () => {
  const card = withClasses("mild", "severe");
  expect(givenFor(card, "severe")).toEqual({ class_label: "severe" });
  expect(givenFor(card, "1")).toEqual({ class_label: "severe" });
  expect(givenFor(card, "")).toEqual({ class_label: "mild" });
  expect(givenFor(card, "of another model")).toEqual({ class_label: "mild" });
  expect(givenFor(withClasses(), "mild")).toEqual({});
});

import { expect, test } from "vitest";

import { moved } from "./latents";

test("a latent moves along every direction by its strength, in each row of w alike", () => {
  const steps = [
    { vector: [1, 0], std: 2, strength: 1.5 },
    { vector: [0, 1], std: 1, strength: -1 },
  ];
  expect(moved([1, 1], steps)).toEqual([4, 0]);
  expect(
    moved(
      [
        [0, 0],
        [1, 2],
      ],
      steps,
    ),
  ).toEqual([
    [3, -1],
    [4, 1],
  ]);
});

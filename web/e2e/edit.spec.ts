// Edit: sliders along directions, the way between two volumes, styles of two in one, directions of one's own.
import { canvas, choose, drawn, SLOW, succeeded } from "./page";
import { apart, expect, look, type Page, test } from "./test";

interface Step {
  request: { edit: { direction: string; strengths: number[] } };
}
interface Listed {
  items: { id: string; kind: string; state: string }[];
}

/** Asks for the start, which nothing else makes. */
async function show(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Show the start" }).click();
}

async function settled(page: Page): Promise<void> {
  await expect(page.getByTestId("edit-status")).toHaveAttribute("data-busy", "false");
  await drawn(page);
}

test("the start is told while it is made, and when it is", async ({ page }) => {
  await page.route("**/edit", async (route) => {
    await page.waitForTimeout(1500);
    await route.continue();
  });
  await page.goto("/#/edit?model=tiny");
  const status = page.getByTestId("edit-status");
  await expect(status).toContainText("Nothing is made before you ask for it");
  await show(page);
  await expect(status).toContainText("Making the start");
  await settled(page);
  await expect(status).toContainText(/Done.*1 volume/);
});

test("the start's job goes when another start is chosen or the page is left, unless it is kept", async ({
  page,
  request,
}) => {
  const made = async (seed: number): Promise<number> => {
    const { items } = (await (await request.get("/jobs?kind=edit&model=tiny&limit=50")).json()) as {
      items: { request: { source: { seed?: number } } }[];
    };
    return items.filter((item) => item.request.source.seed === seed).length;
  };
  const startFrom = async (seed: number): Promise<void> => {
    await page.getByLabel("Start: seed", { exact: true }).fill(String(seed));
    await page.keyboard.press("Enter");
    await show(page);
    await expect.poll(() => made(seed)).toBe(1);
    await settled(page);
  };
  await page.goto("/#/edit?model=tiny");
  await startFrom(7701);
  await startFrom(7702);
  await expect.poll(() => made(7701)).toBe(0);
  await page.getByRole("button", { name: "Keep to compare" }).click();
  await startFrom(7703);
  await page.getByText("An earlier result", { exact: true }).click();
  await expect.poll(() => made(7703), "what goes is not offered").toBe(0);
  await page.getByText("A seed", { exact: true }).click();
  await startFrom(7704);
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  await expect.poll(() => made(7704)).toBe(0);
  expect(await made(7702), "its volume is kept").toBe(1);
});

test("an edit is of the class that is chosen, at first that of the result it starts from", async ({
  page,
  request,
}) => {
  await page.goto("/");
  await choose(page, "tiny-classes");
  await page.getByLabel("Class").selectOption("severe");
  await page
    .getByRole("main")
    .getByRole("button", { name: /^Generate/ })
    .click();
  await succeeded(page);
  await page.getByRole("main").getByRole("link", { name: "Edit it" }).click();
  await expect(page.getByLabel("Class")).toHaveValue("severe");
  await page.getByText("Interpolate", { exact: true }).click();
  const classes = async (): Promise<unknown[]> => {
    const listed = await request.get("/jobs?kind=edit&model=tiny-classes&state=succeeded");
    return ((await listed.json()) as { items: { request: { class_label: unknown } }[] }).items.map(
      (job) => job.request.class_label,
    );
  };
  const interpolate = page.getByRole("button", { name: "Interpolate" });
  await interpolate.click();
  await expect.poll(classes).toEqual(["severe"]);
  await page.getByLabel("Class").selectOption("mild");
  await interpolate.click();
  await expect.poll(classes).toEqual(["mild", "severe"]);
  await settled(page);
});

test("a model without directions shows its start and where to make one", async ({ page }) => {
  await page.goto("/#/edit?model=tiny-classes");
  await show(page);
  await settled(page);
  await page.getByRole("main").getByRole("link", { name: "New", exact: true }).click();
  await expect(page.getByRole("form", { name: "New direction" })).toBeVisible();
});

test("a slider moves the image, and its reset brings it back", async ({ page }) => {
  await page.goto("/#/edit?model=tiny");
  await show(page);
  await settled(page);
  const start = await look(await drawn(page));
  const slider = page.getByRole("slider", { name: "First axis" });
  await slider.fill("4");
  await expect.poll(async () => apart(start, await look(canvas(page)))).toBeGreaterThan(2);
  await settled(page);
  await page.getByText("Interpolate", { exact: true }).click();
  await page.getByText("Directions", { exact: true }).click();
  await expect(slider, "it stands where it stood").toHaveValue("4");
  await show(page);
  await expect.poll(async () => apart(start, await look(canvas(page)))).toBeGreaterThan(2);
  await settled(page);
  await page.getByRole("button", { name: "Back to the start" }).click();
  await expect.poll(async () => apart(start, await look(canvas(page)))).toBeLessThan(1);
});

test("an edit is repeated with its sliders where they were", async ({ page, request }) => {
  const edit = { op: "move", direction: "first-axis", strengths: [2.5] };
  const posted = await request.post("/edit", { data: { model: "tiny", source: { seed: 71 }, edit } });
  const { id } = (await posted.json()) as { id: string };
  await page.goto(`/#/edit?from=${id}`);
  await expect(page.getByRole("slider", { name: "First axis" })).toHaveValue("2.5");
  await expect(page.getByLabel("Start: seed", { exact: true })).toHaveValue("71");
  await show(page);
  await settled(page);
});

test("of many moves the last one wins, and no more than one job is on its way", async ({ page, request }) => {
  await page.goto("/#/edit?model=tiny");
  await show(page);
  await settled(page);
  const slider = page.getByRole("slider", { name: "Second axis" });
  await slider.focus();
  for (let step = 0; step < 12; step++) {
    await page.keyboard.press("ArrowRight");
    const { items } = (await (await request.get("/jobs?kind=edit&model=tiny&limit=50")).json()) as Listed;
    expect(items.filter(({ state }) => state === "queued" || state === "running").length).toBeLessThanOrEqual(2);
  }
  await expect(slider).toHaveValue("3");
  await settled(page);
  await expect
    .poll(async () => {
      const { items } = (await (await request.get("/jobs?kind=edit&model=tiny&limit=50")).json()) as Listed;
      return items.filter(({ state }) => !["succeeded", "canceled"].includes(state)).length;
    })
    .toBe(0);
  const steps = async (): Promise<Step[]> => {
    const { items } = (await (await request.get("/jobs?kind=edit&model=tiny&limit=50")).json()) as { items: Step[] };
    return items.filter((item) => item.request.edit.direction === "second-axis");
  };
  await expect.poll(async () => (await steps()).length, "those in between are removed").toBe(1);
  expect((await steps())[0]?.request.edit.strengths).toEqual([3]);
});

test("a scrubber goes from one volume to the other", async ({ page }) => {
  await page.goto("/#/edit?model=tiny&tab=interpolate");
  await page.getByRole("button", { name: "Interpolate", exact: true }).click();
  const scrubber = page.getByRole("slider", { name: "Scrubber" });
  await expect(scrubber).toBeEnabled();
  await settled(page);
  const first = await look(canvas(page));
  await scrubber.focus();
  await page.keyboard.press("End");
  await expect.poll(async () => apart(first, await look(canvas(page)))).toBeGreaterThan(2);
  await expect(page.getByText("5 of 5", { exact: true })).toBeVisible();
  await page.getByRole("slider", { name: "Steps" }).fill("12");
  await expect(page.getByTestId("pane-0")).toContainText("Step 5 of 5");
});

test("a job that is opened while it runs goes on", async ({ page }) => {
  test.slow();
  await page.goto("/#/edit?model=brain-demo-256&tab=interpolate");
  await page.getByRole("button", { name: "Interpolate", exact: true }).click();
  await expect(page.getByTestId("edit-status")).toHaveAttribute("data-busy", "true");
  await page.getByRole("link", { name: "Open the job" }).click();
  await succeeded(page, SLOW);
});

test("a crossover mixes the styles of two, where a model has styles", async ({ page }) => {
  await page.goto("/#/edit?model=tiny");
  await expect(page.getByText("Mix", { exact: true })).toHaveCount(0);
  await page.goto("/#/edit?model=tiny-style&tab=mix");
  await page.getByRole("button", { name: "Mix", exact: true }).click();
  await settled(page);
  const middle = await look(canvas(page));
  const crossover = page.getByRole("slider", { name: "Crossover" });
  await crossover.focus();
  await page.keyboard.press("Home");
  await expect.poll(async () => apart(middle, await look(canvas(page)))).toBeGreaterThan(0.5);
  await settled(page);
});

test("a direction is made from measured samples, used and removed", async ({ page }) => {
  await page.goto("/#/edit?model=tiny&tab=new");
  const name = `bright-${Date.now() % 100000}`;
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Measure", { exact: true }).selectOption("mean_intensity");
  await page.getByRole("slider", { name: "Samples to measure" }).fill("16");
  await page.getByRole("button", { name: "Make the direction" }).click();
  await expect(page.getByTestId("fit-status")).toHaveAttribute("data-state", "succeeded");
  await page.getByText("Directions", { exact: true }).click();
  const slider = page.getByRole("slider", { name: new RegExp(name.replace("-", " "), "i") });
  await expect(slider).toBeVisible();
  await page.getByRole("button", { name: `Remove the direction ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep" }).click();
  await expect(slider).toBeVisible();
  await page.getByRole("button", { name: `Remove the direction ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(slider).toHaveCount(0);
});

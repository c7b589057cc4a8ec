// To a value of an attribute: typed in its units, walked by the service, and told in standard deviations.
import { drawn } from "./page";
import { expect, type Page, test } from "./test";

async function settled(page: Page): Promise<void> {
  await expect(page.getByTestId("edit-status")).toHaveAttribute("data-busy", "false");
}

interface Edit {
  request: { edit: { op: string; values?: number[]; strengths?: number[] } };
  metrics: { strengths: number[] } | null;
}

test("a typed value is walked to, and the slider stands where the walk ended", async ({ page, request }) => {
  const name = `mean-${Date.now() % 100000}`;
  const fit = { method: "regression", name, attribute: "mean value", measure: { name: "mean_intensity" } };
  const headers = { Prefer: "wait=60" };
  const fitted = await request.post("/models/tiny/directions", { data: { ...fit, num_samples: 16 }, headers });
  expect(((await fitted.json()) as { state: string }).state).toBe("succeeded");
  const found = await request.get(`/models/tiny/directions/${name}`);
  const { slope, std, units } = (await found.json()) as { slope: number; std: number; units: string };
  const newest = async (): Promise<Edit | undefined> => {
    const listed = await request.get("/jobs?kind=edit&model=tiny&limit=1&state=succeeded");
    return ((await listed.json()) as { items: Edit[] }).items[0];
  };

  await page.goto("/#/edit?model=tiny");
  const title = new RegExp(name.replace("-", " "), "i");
  const direction = page.locator(".direction").filter({ has: page.getByRole("slider", { name: title }) });
  await direction.getByText("To a value").click();
  const field = direction.getByLabel(`mean value, ${units}`);
  await page.getByRole("button", { name: "Show the start" }).click();
  await settled(page);
  await expect(direction).toContainText("Predicted of the start");
  const own = Number(
    /Predicted of the start: (\S+)/.exec((await direction.textContent()) ?? "")?.[1]?.replace(",", ""),
  );
  const wish = own + 2.5 * slope * std;
  await field.fill(String(wish));
  await direction.getByRole("button", { name: "Go there" }).click();
  await expect(direction).toContainText(/lies .* SD away/);
  await settled(page);
  await drawn(page);
  const job = await newest();
  expect(job?.request.edit).toMatchObject({ op: "target", values: [wish] });
  const walked = job?.metrics?.strengths[0] ?? Number.NaN;
  expect(Math.abs(walked - 2.5)).toBeLessThan(0.6); // the start is told in three places
  const number = direction.getByRole("spinbutton", { name: new RegExp(`Number for ${name.replace("-", " ")}`, "i") });
  await expect(number).toHaveValue(String(Number(walked.toFixed(4))));

  await number.fill("1.37"); // between two steps of the slider
  await number.press("Enter");
  await expect.poll(async () => (await newest())?.request.edit.strengths).toEqual([1.37]);
  await settled(page);
  await number.fill("-99");
  await number.press("Enter");
  await expect(number, "the bound").toHaveValue("-4");
  await settled(page);

  await field.fill(String(own + 50 * slope * std));
  await field.press("Enter");
  await expect(page.getByRole("alert")).toContainText("The target is too far");
  await request.delete(`/models/tiny/directions/${name}`);
});

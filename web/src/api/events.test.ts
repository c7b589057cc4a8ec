import { expect, test, vi } from "vitest";

vi.stubGlobal("sessionStorage", { getItem: () => null });
const { follow, isLost } = await import("./events");

test("a connection that fails twice is lost, until it is there again", async () => {
  const told: boolean[] = [];
  const answers = [0, 1, 2].map(() => () => Promise.reject(new TypeError("fetch failed")));
  vi.stubGlobal("fetch", () => {
    told.push(isLost("a"));
    const stream = 'id: 1-0\nevent: state\ndata: {"state": "running"}\n\nid: 2-0\nevent: end\ndata: {}\n\n';
    return answers.pop()?.() ?? Promise.resolve(new Response(stream));
  });
  const events: string[] = [];
  for await (const event of follow("a", new AbortController().signal)) {
    told.push(isLost("a"));
    events.push(event.type);
  }
  expect(told).toEqual([false, false, true, true, false, false]);
  expect(events).toEqual(["state", "end"]);
});

test("nothing is lost that is not followed any more", async () => {
  const stop = new AbortController();
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("fetch failed")));
  const all = (async () => {
    for await (const event of follow("b", stop.signal)) throw new Error(event.type);
  })();
  await vi.waitFor(() => expect(isLost("b")).toBe(true), { timeout: 3000 });
  stop.abort();
  await all;
  expect(isLost("b")).toBe(false);
});

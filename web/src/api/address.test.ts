import { expect, test } from "vitest";

import { serviceOf } from "./address";

test("the service is where its page is, also under a path", () => {
  expect(serviceOf("http://h:1/#/jobs/a?b=c")).toBe("http://h:1");
  expect(serviceOf("https://h/user/me/proxy/8000/#/generate")).toBe("https://h/user/me/proxy/8000");
  expect(serviceOf("https://h/a/index.html?x=/y/")).toBe("https://h/a");
});

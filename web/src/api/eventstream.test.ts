import { expect, test } from "vitest";

import { EventParser } from "./eventstream";

const STREAM =
  'id: 1-0\nevent: state\ndata: {"state": "queued"}\n\n: heartbeat\n\nid: 2-0\nevent: end\ndata: {\ndata: }\n\n';

test("events come out whole wherever the pieces are cut", () => {
  const expected = [
    { id: "1-0", type: "state", data: '{"state": "queued"}' },
    { id: "2-0", type: "end", data: "{\n}" },
  ];
  for (const ending of ["\n", "\r\n", "\r"]) {
    const text = STREAM.replaceAll("\n", ending);
    for (let size = 1; size < text.length; size += 7) {
      const parser = new EventParser();
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, k) =>
        text.slice(k * size, (k + 1) * size),
      );
      expect([...pieces, "\n"].flatMap((piece) => parser.push(piece))).toEqual(expected);
    }
  }
});

test("an event that the connection broke off does not come out", () => {
  expect(new EventParser().push("id: 1-0\nevent: result\ndata: {}\n")).toEqual([]);
});

test("the last id stands until another one comes", () => {
  const parser = new EventParser();
  expect(parser.push("id: 5-0\ndata: a\n\ndata: b\n\n").map((event) => event.id)).toEqual(["5-0", "5-0"]);
});

// The format of server-sent events, apart from where they come from.
export interface RawEvent {
  id: string;
  type: string;
  data: string;
}

/** Cuts a text stream into events (WHATWG HTML, 9.2.6); pieces may end anywhere. */
export class EventParser {
  private rest = "";
  private id = "";
  private type = "";
  private data: string[] = [];

  push(piece: string): RawEvent[] {
    const text = this.rest + piece;
    // A CR at the very end may be half of a CRLF: it waits for what follows.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.take(line));
  }

  private take(line: string): RawEvent[] {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return [];
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "event") this.type = value;
    else if (field === "data") this.data.push(value);
    return [];
  }

  private dispatch(): RawEvent[] {
    const event = { id: this.id, type: this.type || "message", data: this.data.join("\n") };
    const isEmpty = this.data.length === 0;
    this.type = "";
    this.data = [];
    return isEmpty ? [] : [event];
  }
}

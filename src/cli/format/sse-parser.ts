/** Splits a text/event-stream into its messages (WHATWG HTML §9.2), however the bytes were cut. */

export interface StreamMessage {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** Longest message that is kept: an event is a few hundred bytes, so more than this is not an event stream. */
const MAX_MESSAGE_CHARACTERS = 1024 * 1024;

export class SseParser {
  private rest = "";

  /** @throws {RangeError} when a message grows without end */
  push(text: string): StreamMessage[] {
    this.rest = (this.rest + text).replaceAll("\r\n", "\n");
    const blocks = this.rest.split("\n\n");
    this.rest = blocks.pop() ?? "";
    if (this.rest.length > MAX_MESSAGE_CHARACTERS)
      throw new RangeError("a message of the event stream does not end");
    return blocks.map(parseBlock).filter(message => message !== undefined);
  }
}

function parseBlock(block: string): StreamMessage | undefined {
  let id: string | undefined;
  let event = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") id = value;
    else if (field === "event") event = value;
    else if (field === "data") data.push(value);
  }
  return data.length === 0 ? undefined : { id, event, data: data.join("\n") };
}

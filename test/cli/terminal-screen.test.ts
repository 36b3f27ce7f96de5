import { expect, test } from "vitest";
import { TerminalScreen } from "../../src/cli/io/terminal-screen.ts";

function screenOf(rows: number, columns: number) {
  const written: string[] = [];
  const write = (text: string | Uint8Array) => {
    written.push(String(text));
    return true;
  };
  return { screen: new TerminalScreen({ rows, columns, write }), written };
}

test("a second view is drawn over the first, counting the rows of lines that wrap", () => {
  const { screen, written } = screenOf(24, 10);
  screen.show(`one\n${"x".repeat(25)}\n`);
  screen.show("two\n");
  screen.show("three\n");
  expect(written).toEqual([
    `\r\u001b[Jone\n${"x".repeat(25)}\n`,
    "\u001b[4A\r\u001b[Jtwo\n",
    "\u001b[1A\r\u001b[Jthree\n",
  ]);
});

test("colours take no room", () => {
  const { screen, written } = screenOf(24, 10);
  screen.show("\u001b[32m1234567890\u001b[0m\n");
  screen.show("two\n");
  expect(written[1]).toBe("\u001b[1A\r\u001b[Jtwo\n");
});

test("what finds no room is counted, and never more rows are drawn than the terminal has above the cursor", () => {
  const { screen, written } = screenOf(4, 80);
  screen.show("a\nb\nc\nd\ne\n");
  screen.show("a\nb\nc\n");
  screen.end("a\nb\nc\nd\n");
  expect(written).toEqual([
    "\r\u001b[Ja\nb\n… 3 more lines\n",
    "\u001b[3A\r\u001b[Ja\nb\nc\n",
    "\u001b[3A\r\u001b[Ja\nb\nc\nd\n",
  ]);
});

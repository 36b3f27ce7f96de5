/** Draws over what it drew before, so that a view changes in its place and the lines above it stay. */
import type { WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import type { Screen } from "../cli.ts";

const CLEAR_BELOW = "\u001b[J";

export class TerminalScreen implements Screen {
  private readonly terminal: Pick<WriteStream, "rows" | "columns" | "write">;
  private drawnRows = 0;

  constructor(terminal: Pick<WriteStream, "rows" | "columns" | "write">) {
    this.terminal = terminal;
  }

  show(text: string): void {
    this.draw(this.fitting(text.trimEnd().split("\n")));
  }

  end(text: string): void {
    this.draw(text.trimEnd().split("\n"));
  }

  private draw(lines: readonly string[]): void {
    const back = this.drawnRows === 0 ? "" : `\u001b[${this.drawnRows}A`;
    this.drawnRows = lines.reduce((sum, line) => sum + this.rowsOf(line), 0);
    this.terminal.write(`${back}\r${CLEAR_BELOW}${lines.join("\n")}\n`);
  }

  /** The cursor cannot climb beyond the top: what is drawn has to fit, or the next view would be written below it. */
  private fitting(lines: readonly string[]): string[] {
    let left = this.terminal.rows - 1;
    const shown: string[] = [];
    for (const line of lines) {
      left -= this.rowsOf(line);
      if (left < 1 && shown.length + 1 < lines.length) {
        return [...shown, `… ${lines.length - shown.length} more lines`];
      }
      shown.push(line);
    }
    return shown;
  }

  /** A line that is longer than the terminal is wide goes on in the next row. */
  private rowsOf(line: string): number {
    const width = Array.from(stripVTControlCharacters(line)).length;
    return Math.max(1, Math.ceil(width / this.terminal.columns));
  }
}

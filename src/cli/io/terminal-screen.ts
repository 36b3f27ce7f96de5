/** Draws over what it drew before, so that a view changes in its place and the lines above it stay. */
import type { WriteStream } from "node:tty";
import type { Screen } from "../cli.ts";

const CLEAR_BELOW = "\u001b[J";

export class TerminalScreen implements Screen {
  private readonly stream: WriteStream;
  private drawnLines = 0;

  constructor(stream: WriteStream) {
    this.stream = stream;
  }

  show(text: string): void {
    const lines = text.trimEnd().split("\n");
    // The cursor cannot climb beyond the top: what is drawn has to fit, or the next view would be written below it.
    const room = this.stream.rows - 1;
    const shown =
      lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
    const back = this.drawnLines === 0 ? "" : `\u001b[${this.drawnLines}A`;
    this.stream.write(`${back}\r${CLEAR_BELOW}${shown.join("\n")}\n`);
    this.drawnLines = shown.length;
  }
}

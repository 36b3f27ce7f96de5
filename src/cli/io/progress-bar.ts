/** A progress bar on stderr: phase, percent, rate and time left. */
import cliProgress from "cli-progress";
import { RateMeter } from "../../core/rate-meter.ts";
import type { BarProgress, ProgressBar } from "../cli.ts";
import { renderBar } from "../format/render-bar.ts";

export function startProgressBar(stderr: NodeJS.WriteStream): ProgressBar {
  return stderr.isTTY ? new TerminalBar(stderr) : new LineBar(stderr);
}

class TerminalBar implements ProgressBar {
  private readonly bar: cliProgress.SingleBar;
  private readonly rate = new RateMeter();
  private started = false;

  constructor(stream: NodeJS.WriteStream) {
    this.bar = new cliProgress.SingleBar({
      stream,
      hideCursor: false,
      clearOnComplete: true,
      format: (_options, _params, payload) => renderBar(payload, stream.columns),
    });
  }

  update(progress: BarProgress): void {
    const payload = { ...progress, rate: this.rate.measure(progress, Date.now()) };
    if (!this.started) this.bar.start(100, 0, payload);
    this.started = true;
    this.bar.update(payload);
  }

  stop(): void {
    if (this.started) this.bar.stop();
  }
}

/** For logs: one line for each new phase. */
class LineBar implements ProgressBar {
  private readonly stream: NodeJS.WriteStream;
  private label = "";

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
  }

  update({ label }: BarProgress): void {
    if (label !== this.label) this.stream.write(`${label}\n`);
    this.label = label;
  }

  stop(): void {}
}

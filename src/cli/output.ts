/** How answers leave the program: tables for people, undecorated JSON lines or YAML for programs. */
import { stringify } from "yaml";
import { type Column, type Paint, printable, renderFields, renderTable, type Tone } from "./format/table.ts";

export const OUTPUT_FORMATS = ["table", "json", "yaml"] as const;
type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export interface OutputDevice {
  readonly format: OutputFormat;
  readonly color: boolean;
  /** Of the terminal, in characters; Infinity where there is none. */
  readonly widthColumns: number;
  /** stdout */
  write(text: string): void;
  /** stderr */
  note(text: string): void;
}

export class Output {
  readonly device: OutputDevice;
  readonly paint: Paint;

  constructor(device: OutputDevice) {
    this.device = device;
    this.paint = device.color ? (tone, text) => `${COLORS[tone]}${text}${COLORS.plain}` : (_, text) => text;
  }

  /** @param whenEmpty for people: what it means that there is nothing, and what to do next */
  list<T>(items: readonly T[], columns: readonly Column<T>[], whenEmpty: string): void {
    if (this.device.format === "json") {
      for (const item of items) this.device.write(`${JSON.stringify(item)}\n`);
    } else if (this.device.format === "yaml") this.device.write(stringify(items));
    else if (items.length === 0) this.device.note(`${whenEmpty}\n`);
    else this.device.write(renderTable(items, columns, this.device.widthColumns, this.paint));
  }

  record(value: unknown, fields: readonly (readonly [string, string])[]): void {
    if (this.device.format === "table") this.device.write(renderFields(fields, this.paint));
    else this.value(value);
  }

  /** One thing was done: a sentence for people, the thing itself for programs. */
  done(value: unknown, sentence: string): void {
    if (this.device.format === "table") this.device.write(`${printable(sentence)}\n`);
    else this.value(value);
  }

  /** One line of an endless list, such as `events watch`. */
  line(value: unknown, text: string, tone: Tone = "plain"): void {
    if (this.device.format === "table") this.device.write(`${this.paint(tone, printable(text))}\n`);
    else if (this.device.format === "json") this.device.write(`${JSON.stringify(value)}\n`);
    else this.device.write(`---\n${stringify(value)}`);
  }

  /** For people, on stderr: never part of the answer. */
  remark(text: string): void {
    this.device.note(`${printable(text)}\n`);
  }

  private value(value: unknown): void {
    this.device.write(this.device.format === "json" ? `${JSON.stringify(value)}\n` : stringify(value));
  }
}

const COLORS: Record<Tone | "title", string> = {
  title: "\u001b[1m",
  good: "\u001b[32m",
  bad: "\u001b[31m",
  busy: "\u001b[36m",
  quiet: "\u001b[2m",
  plain: "\u001b[0m",
};

/** Rows as an aligned table that fits the terminal: the least important columns give way first. */
import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";

export interface Column<T> {
  readonly title: string;
  readonly cell: (item: T) => string;
  /** Columns with the highest number are left out first where the terminal is narrow; 0 always stays. */
  readonly dropFirst?: number;
  /** How narrow its text may be cut before other columns are left out for it; by default it is not cut. */
  readonly shrinkTo?: number;
  readonly align?: "left" | "right";
  /** Colour of the finished cell. Never carries meaning that the text lacks. */
  readonly tone?: (item: T) => Tone;
}

export type Tone = "good" | "bad" | "busy" | "quiet" | "plain";
export type Paint = (tone: Tone | "title", text: string) => string;

const GAP = 2;

/**
 * @param widthColumns of the terminal; Infinity when the output is not one
 * @returns lines, each ended by a newline; the last names the columns that found no room
 */
export function renderTable<T>(
  items: readonly T[],
  columns: readonly Column<T>[],
  widthColumns: number,
  paint: Paint,
): string {
  const rows = items.map(item => columns.map(column => cleanCell(column.cell(item))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map(row => displayWidth(row[index] ?? ""))),
  );
  const kept = fittingColumns(columns, widths, widthColumns);
  const fitted = shrinkWidest(
    kept.map(index => widths[index] ?? 0),
    widthColumns,
  );

  const table = new Table({
    chars: BORDERLESS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colWidths: fitted.map((width, position) => width + (position === fitted.length - 1 ? 0 : GAP)),
  });
  table.push(kept.map(index => paint("title", columns[index]?.title ?? "")));
  for (const [rowIndex, item] of items.entries()) {
    table.push(
      kept.map((index, position) => {
        const width = fitted[position] ?? 0;
        const cut = truncate(rows[rowIndex]?.[index] ?? "", width);
        const text = columns[index]?.align === "right" ? cut.padStart(width) : cut;
        return paint(columns[index]?.tone?.(item) ?? "plain", text);
      }),
    );
  }
  const lines = table
    .toString()
    .split("\n")
    .map(line => line.trimEnd());
  const left = columns.filter((_, index) => !kept.includes(index)).map(column => column.title);
  if (left.length > 0) {
    lines.push(paint("quiet", truncate(`no room for ${left.join(", ")}`, widthColumns)));
  }
  return `${lines.join("\n")}\n`;
}

/** "Name:  value" lines, values aligned; continuation lines of a value are indented to it. */
export function renderFields(fields: readonly (readonly [string, string])[], paint: Paint): string {
  const width = Math.max(...fields.map(([name]) => name.length)) + 1 + GAP;
  return fields
    .map(([name, value]) => {
      const body = value
        .split("\n")
        .map(printable)
        .join(`\n${" ".repeat(width)}`);
      return `${paint("title", `${name}:`.padEnd(width))}${body}\n`;
    })
    .join("");
}

/** Text from the wire can hold anything; a terminal must never obey it. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

function cleanCell(text: string): string {
  return printable(text.trim()) || "-";
}

function fittingColumns<T>(
  columns: readonly Column<T>[],
  widths: readonly number[],
  widthColumns: number,
): number[] {
  let kept = columns.map((_, index) => index);
  const least = (index: number) => Math.min(widths[index] ?? 0, columns[index]?.shrinkTo ?? Infinity);
  const total = () => kept.reduce((sum, index) => sum + least(index) + GAP, -GAP);
  while (total() > widthColumns) {
    const rank = (index: number) => columns[index]?.dropFirst ?? 0;
    const victim = kept.reduce((worst, index) => (rank(index) > rank(worst) ? index : worst));
    if (rank(victim) === 0) break;
    kept = kept.filter(index => index !== victim);
  }
  return kept;
}

const NARROWEST_CELL = 6;

function shrinkWidest(widths: readonly number[], widthColumns: number): number[] {
  const fitted = [...widths];
  for (;;) {
    const excess = fitted.reduce((sum, width) => sum + width + GAP, -GAP) - widthColumns;
    const widest = Math.max(...fitted);
    if (excess <= 0 || widest <= NARROWEST_CELL) return fitted;
    fitted[fitted.indexOf(widest)] = Math.max(NARROWEST_CELL, widest - 1);
  }
}

function truncate(text: string, width: number): string {
  return displayWidth(text) <= width
    ? text
    : `${Array.from(text)
        .slice(0, Math.max(0, width - 1))
        .join("")}…`;
}

function displayWidth(text: string): number {
  return Array.from(text).length;
}

const BORDERLESS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};

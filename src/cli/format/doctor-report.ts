/** What `drp doctor` found, as a check list. */
import { type Paint, printable } from "./table.ts";

export interface Check {
  readonly name: string;
  readonly result: "ok" | "problem" | "skipped";
  readonly detail: string;
  /** What to do about a problem. */
  readonly advice?: string;
}

export function renderChecks(checks: readonly Check[], paint: Paint): string {
  const width = Math.max(...checks.map(check => check.name.length));
  const lines = checks.flatMap(check => {
    const result = paint(TONES[check.result], check.result.padEnd("problem".length));
    const line = `${result}  ${check.name.padEnd(width)}  ${printable(check.detail)}`;
    return check.advice === undefined
      ? [line]
      : [line, `${" ".repeat("problem".length + 2)}→ ${check.advice}`];
  });
  const problems = checks.filter(check => check.result === "problem").length;
  const verdict =
    problems === 0 ? "no problem found" : `${problems} problem${problems === 1 ? "" : "s"} found`;
  return `${lines.join("\n")}\n\n${verdict}\n`;
}

const TONES = { ok: "good", problem: "bad", skipped: "quiet" } as const;

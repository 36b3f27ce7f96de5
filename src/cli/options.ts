/** Readers of flag values. What they refuse is a usage error that names the flag. */
import { InvalidArgumentError, Option } from "commander";

/** "90s", "10m", "2h", "7d" → milliseconds. */
function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ""];
  if (match === null || unit === undefined) throw new InvalidArgumentError("Write it as 90s, 10m, 2h or 7d.");
  return Number(match[1]) * unit;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A flag whose help shows its default as people write it. */
export function durationOption(flags: string, description: string, byDefault: string): Option {
  return new Option(flags, description).argParser(parseDuration).default(parseDuration(byDefault), byDefault);
}

export function parseCount(text: string): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError("Write a number from 1 on.");
  return Number(text);
}

export function parsePort(text: string): number {
  const port = parseCount(text);
  if (port > 65_535) throw new InvalidArgumentError("Ports end at 65535.");
  return port;
}

/** Gathers `--label key=value --label other=value`. */
export function collectLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("Write it as KEY=VALUE.");
  return { ...labels, [text.slice(0, equals)]: text.slice(equals + 1) };
}

export function collect(text: string, list: readonly string[] = []): string[] {
  return [...list, text];
}

/** "512MiB", "2GiB" → bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,6})(KiB|MiB|GiB|TiB)$/.exec(text);
  const power = ["KiB", "MiB", "GiB", "TiB"].indexOf(match?.[2] ?? "");
  if (match === null) throw new InvalidArgumentError("Write it as 512MiB or 2GiB.");
  return Number(match[1]) * 1024 ** (power + 1);
}

/** DHCP options and opaque identifiers as drp.yaml writes them, and as they go on the wire. */
import { z } from "zod";
import { encodeNamedOption } from "../dhcp/named-options.ts";
import type { OptionEntry } from "../dhcp/options.ts";
import type { ProblemList } from "./setting-problem.ts";

/** By name or by code: { domainName: "example.org", "224": "hex:0a0b" }. */
export const optionsSchema = z.record(
  z.string().max(64),
  z.union([z.string().max(1024), z.number(), z.boolean(), z.array(z.string().max(253)).max(64)], {
    error: "must be a text, a number, or a list of texts",
  }),
);
export type WrittenOptions = z.output<typeof optionsSchema>;

export function decideOptions(
  written: WrittenOptions | undefined,
  path: readonly PropertyKey[],
  problems: ProblemList,
): OptionEntry[] {
  return Object.entries(written ?? {}).flatMap(([name, value]) => {
    const option = encodeNamedOption(name, value);
    if (!("problem" in option)) return [option];
    problems.refuse([...path, name], option.problem);
    return [];
  });
}

/** @returns the bytes in hexadecimal, or undefined for anything but "hex:0a0b" and "text:port 7" */
export function parseIdentifier(text: string): string | undefined {
  const hex = /^hex:((?:[0-9a-f]{2})+)$/i.exec(text)?.[1];
  if (hex !== undefined) return hex.toLowerCase();
  const characters = /^text:(.+)$/su.exec(text)?.[1];
  return characters === undefined ? undefined : Buffer.from(characters).toString("hex");
}

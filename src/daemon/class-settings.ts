/** Classes of DHCP clients as drp.yaml writes them. */
import { z } from "zod";
import type { ClassMatch, ClientClass } from "../dhcp/client-class.ts";
import { decideOptions, optionsSchema } from "./option-settings.ts";
import type { ProblemList } from "./setting-problem.ts";

export const classSchema = z.strictObject({
  name: z.string().min(1).max(63),
  match: z.strictObject({
    vendorClass: z.string().min(1).max(255).optional(),
    userClass: z.string().min(1).max(255).optional(),
    architecture: z.int().min(0).max(65_535).optional(),
    macPrefix: z.string().optional(),
  }),
  options: optionsSchema.optional(),
});
export type WrittenClass = z.output<typeof classSchema>;

export function decideClasses(
  written: readonly WrittenClass[],
  path: readonly PropertyKey[],
  problems: ProblemList,
): ClientClass[] {
  const names = new Set<string>();
  return written.map(({ name, match, options }, index) => {
    const at = [...path, index];
    if (names.has(name)) problems.refuse([...at, "name"], `there is a class ${name} above already`);
    names.add(name);
    return {
      name,
      match: decideMatch(match, [...at, "match"], problems),
      options: decideOptions(options, [...at, "options"], problems),
    };
  });
}

function decideMatch(
  { macPrefix, ...match }: WrittenClass["match"],
  path: readonly PropertyKey[],
  problems: ProblemList,
): ClassMatch {
  const fields = Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined));
  if (macPrefix === undefined) {
    if (Object.keys(fields).length === 0) {
      const fieldNames = Object.keys(classSchema.shape.match.shape).join(", ");
      problems.refuse(path, `give at least one of ${fieldNames}; options for every client are dhcp.options`);
    }
    return fields;
  }
  const prefix = macPrefix.toLowerCase().replaceAll("-", ":");
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){0,5}$/.test(prefix)) {
    problems.refuse(
      [...path, "macPrefix"],
      `${macPrefix} is no beginning of a MAC address; write it as "b8:27:eb"`,
    );
  }
  return { ...fields, macPrefix: prefix };
}

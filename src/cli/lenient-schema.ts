/**
 * Reads an answer of a hub that may be newer than this program: new fields and new words (states, roles, formats) pass
 * untouched, a missing or mistyped field does not.
 */
import type { z } from "zod";
import { DrpError } from "../core/errors.ts";

const STRUCTURAL = new Set(["invalid_type"]);

/** @throws {DrpError} `version.unsupported`, naming the first field that is missing or of another type */
export function readLeniently<T>(schema: z.ZodType<T>, answer: unknown, what: string): T {
  const result = schema.safeParse(answer);
  if (result.success) return answer as T;
  const broken = result.error.issues.find(issue => STRUCTURAL.has(issue.code));
  if (broken === undefined) return answer as T;
  const field = broken.path.join(".") || "the answer itself";
  throw new DrpError(
    "version.unsupported",
    `the answer to ${what} is not what drp knows: ${field}: ${broken.message}`,
    {
      advice:
        "Compare `drp version` with the version in `drp status`, and use the same release on both sides.",
    },
  );
}

/** Says in one line which field of a document breaks its schema. */
import type { z } from "zod";

/** "payloads[0].sizeBytes: Invalid input: expected number, received string" */
export function describeSchemaIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return "invalid";
  const field = issue.path.map(key => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return `${field.replace(/^\./, "") || "top level"}: ${issue.message}`;
}

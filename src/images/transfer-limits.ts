/** What a site's line may carry of images, as it is kept, sent to the site, and given by the API. */
import { z } from "zod";
import {
  formatWindow,
  MAX_BITS_PER_SECOND,
  MIN_BITS_PER_SECOND,
  MIN_BUDGET_BYTES,
} from "../core/line-limits.ts";
import { findOverlap } from "./bandwidth.ts";

const bitsPerSecond = z.int().min(MIN_BITS_PER_SECOND).max(MAX_BITS_PER_SECOND);
const minuteOfDay = z.int().min(0).max(1439);

const windowSchema = z
  .strictObject({ from: minuteOfDay, to: minuteOfDay, bitsPerSecond })
  .refine(({ from, to }) => from !== to, "it ends when it begins");

export const bandwidthSchema = z.strictObject({
  bitsPerSecond: bitsPerSecond.nullable().describe("outside the windows; null: as fast as the line"),
  windows: z
    .array(windowSchema)
    .max(24)
    .superRefine((windows, context) => {
      const overlap = findOverlap(windows);
      if (overlap === undefined) return;
      const [one, other] = overlap.map(formatWindow);
      context.addIssue({ code: "custom", message: `${one} and ${other} share time of the day` });
    })
    .describe("minutes of the day in the site's time zone; over midnight where `to` is below `from`"),
});

export const budgetSchema = z.strictObject({
  bytes: z.int().min(MIN_BUDGET_BYTES),
  per: z.enum(["day", "month"]),
});

export const transferLimitsSchema = z.strictObject({
  bandwidth: bandwidthSchema,
  /** Null: none. */
  budget: budgetSchema.nullable(),
});
export type TransferLimits = z.infer<typeof transferLimitsSchema>;

export const NO_LIMITS: TransferLimits = { bandwidth: { bitsPerSecond: null, windows: [] }, budget: null };

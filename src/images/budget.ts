/** How many bytes of images may come to a site in a day or a month, as a mobile line is paid for. */
import type { Budget } from "../core/line-limits.ts";
import type { EpochMs } from "../core/time.ts";
import { startOfZonedDay, toZonedTime } from "../core/zoned-time.ts";

export interface BudgetPeriod {
  /** "2026-11-21", "2026-11": what the bytes that were used are kept by. */
  readonly name: string;
  /** When the next one begins. */
  readonly endsAt: EpochMs;
}

export function budgetPeriodAt(per: Budget["per"], timeZone: string, now: EpochMs): BudgetPeriod {
  const { year, month, day } = toZonedTime(now, timeZone);
  const name = [String(year), two(month), ...(per === "day" ? [two(day)] : [])].join("-");
  const [nextMonth, nextDay] = per === "day" ? [month, day + 1] : [month + 1, 1];
  return { name, endsAt: startOfZonedDay(year, nextMonth, nextDay, timeZone) };
}

const two = (value: number) => String(value).padStart(2, "0");

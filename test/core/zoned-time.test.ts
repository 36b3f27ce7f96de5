import fc from "fast-check";
import { expect, test } from "vitest";
import { isTimeZone, startOfZonedDay, toZonedTime } from "../../src/core/zoned-time.ts";

test("toZonedTime() shows the wall clock, also on the days that clocks change", () => {
  const inBerlin = (text: string) => toZonedTime(Date.parse(text), "Europe/Berlin");
  expect(inBerlin("2026-11-21T23:30:00Z")).toEqual({ year: 2026, month: 11, day: 22, minuteOfDay: 30 });
  expect(inBerlin("2026-03-29T00:59:00Z").minuteOfDay).toBe(119);
  expect(inBerlin("2026-03-29T01:00:00Z").minuteOfDay).toBe(180);
  expect(inBerlin("2026-10-25T00:30:00Z").minuteOfDay).toBe(150);
  expect(inBerlin("2026-10-25T01:30:00Z").minuteOfDay).toBe(150);
});

test("startOfZonedDay() finds midnight, and what stands for it where clocks are put forward at midnight", () => {
  const start = (year: number, month: number, day: number, zone: string) =>
    new Date(startOfZonedDay(year, month, day, zone)).toISOString();
  expect(start(2026, 3, 30, "Europe/Berlin")).toBe("2026-03-29T22:00:00.000Z");
  expect(start(2026, 13, 1, "Europe/Berlin")).toBe("2026-12-31T23:00:00.000Z");
  expect(start(2026, 2, 29, "Asia/Kathmandu")).toBe("2026-02-28T18:15:00.000Z");
  // Beirut, 2026-03-29: 00:00 does not come; the day begins at 01:00.
  expect(start(2026, 3, 29, "Asia/Beirut")).toBe("2026-03-28T22:00:00.000Z");
  expect(start(2026, 1, 1, "Pacific/Kiritimati")).toBe("2025-12-31T10:00:00.000Z");
  expect(start(2026, 1, 1, "Etc/GMT+12")).toBe("2026-01-01T12:00:00.000Z");
});

test("the minute before a day's start belongs to another day, in every zone", () => {
  const zones = [
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Havana",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...zones), fc.integer({ min: 0, max: 1500 }), (zone, days) => {
      const at = startOfZonedDay(2026, 1, 1 + days, zone);
      const day = new Date(Date.UTC(2026, 0, 1 + days)).getUTCDate();
      expect(toZonedTime(at, zone).day).toBe(day);
      expect(toZonedTime(at - 60_000, zone).day).not.toBe(day);
    }),
  );
});

test("isTimeZone() knows the names of the IANA database", () => {
  expect(["Europe/Berlin", "UTC", "America/Argentina/Ushuaia"].every(isTimeZone)).toBe(true);
  expect(["Berlin", "", "Mars/Olympus", "Europe/Berlin; drop"].some(isTimeZone)).toBe(false);
});

/** Sizes as drp.yaml writes them: "500MiB", "20GiB". */
import { z } from "zod";

const SIZE = /^([1-9]\d{0,5})(MiB|GiB|TiB)$/;
const UNITS = ["MiB", "GiB", "TiB"];

export const sizeSchema = z.string().regex(SIZE, "write it as 500MiB, 20GiB or 1TiB");

/** @returns bytes; null for what is not there */
export function readSize(text: string | undefined): number | null {
  const [, amount, unit = ""] = SIZE.exec(text ?? "") ?? [];
  return amount === undefined ? null : Number(amount) * 1024 ** (UNITS.indexOf(unit) + 2);
}

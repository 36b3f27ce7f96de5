/** Cursor pages: `?after=` the last row of the page before, `?limit=`. */
import { z } from "zod";
import { type Answer, json } from "./route.ts";

/** A machine with its inventory is about 3 KB: a full page stays near 3 MB. */
const MAX_LIMIT = 1_000;

export const pageQuery = {
  after: z.string().max(255).optional().describe("the `next` of the page before"),
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(100),
};

interface PageQuery {
  readonly after?: string | undefined;
  readonly limit: number;
}

/**
 * @param list asked for one row more than the page holds, which tells whether another page follows
 * @param cursorOf what `after` has to be to go on behind a row
 */
export async function answerPage<Row>(
  query: PageQuery,
  list: (page: { after?: string; limit: number }) => Promise<readonly Row[]>,
  cursorOf: (row: Row) => string,
  toWire: (rows: readonly Row[]) => unknown[] | Promise<unknown[]>,
): Promise<Answer> {
  const rows = await list({
    ...(query.after === undefined ? {} : { after: query.after }),
    limit: query.limit + 1,
  });
  const page = rows.slice(0, query.limit);
  const last = rows.length > query.limit ? page.at(-1) : undefined;
  return json({ items: await toWire(page), next: last === undefined ? null : cursorOf(last) });
}

/** What commands may ask of the hub. How it is reached stands in io/. */
import type { z } from "zod";
import type { Event } from "../api/wire.ts";

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface GetOptions {
  /** How long the hub may take; 30 seconds where nothing is said. */
  readonly timeoutMs?: number;
}

export interface ApiClient {
  /** Where the hub is, as this host knows it. */
  readonly endpoint: URL;
  get<T>(path: string, schema: z.ZodType<T>, query?: Query, options?: GetOptions): Promise<T>;
  /** All pages of a list. @param limit stop after this many items */
  list<T>(path: string, item: z.ZodType<T>, query?: Query, limit?: number): Promise<T[]>;
  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>;
  /** @param revision of what was read: the hub refuses when someone else changed it since */
  patch<T>(path: string, body: unknown, revision: number, schema: z.ZodType<T>): Promise<T>;
  delete(path: string, revision?: number): Promise<void>;
  /** POSTs bytes that are no JSON. */
  send<T>(path: string, bytes: Buffer, contentType: string, schema: z.ZodType<T>): Promise<T>;
  /** Events as they happen, resumed across broken connections. Ends when `signal` aborts. */
  watchEvents(
    query: Query,
    signal: AbortSignal,
    onState?: (connected: boolean) => void,
  ): AsyncIterable<Event>;
}

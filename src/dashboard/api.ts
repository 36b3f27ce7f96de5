/** The hub's API from the browser: the session is a cookie that scripts cannot read. */
import type { z } from "zod";
import type {
  BootExplanation,
  Event,
  Image,
  Lease,
  Machine,
  Rollout,
  roleSchema,
  Site,
  Status,
} from "../api/wire.ts";

/** Who is signed in. */
export interface Session {
  readonly name: string;
  readonly role: z.infer<typeof roleSchema>;
}

export type RolloutOrder = "pause" | "resume" | "rollback";

/** The hub does not know us (any more): time to sign in. */
export class SignedOutError extends Error {
  override readonly name = "SignedOutError";
}

const API = "api/v1";
const NEWEST_EVENTS = 60;
const TIMELINE_EVENTS = 200;
const NEWEST_ROLLOUTS = 20;
const NEWEST_BOOTS = 5;

export const getSession = () => get<Session>("session");
export const getStatus = () => get<Status>("status");
export const getSites = () => list<Site>("sites");
export const getMachines = () => list<Machine>("machines");
export const getMachine = (id: string) => get<Machine>(`machines/${encodeURIComponent(id)}`);
export const getImages = () => list<Image>("images");
export const getLeases = () => list<Lease>("leases");
export const getNewestRollouts = () => firstPage<Rollout>(`rollouts?limit=${NEWEST_ROLLOUTS}`);
export const getNewestEvents = () => firstPage<Event>(`events?from=newest&limit=${NEWEST_EVENTS}`);
export const getTimeline = (machineId: string) =>
  firstPage<Event>(`events?from=newest&limit=${TIMELINE_EVENTS}&machine=${encodeURIComponent(machineId)}`);

/** @param reference id, name or MAC address */
export const getBoots = (reference: string) =>
  get<BootExplanation>(`boots/${encodeURIComponent(reference)}?limit=${NEWEST_BOOTS}`);

export const eventStreamUrl = (afterId: number) => `${API}/events?after=${afterId}`;

/** @throws with the hub's own words when the token is refused */
export async function signIn(token: string): Promise<void> {
  await send("POST", "session", { token });
}

export async function signOut(): Promise<void> {
  await send("DELETE", "session");
}

/** @throws with the hub's own words when it refuses */
export async function orderRollout(id: string, order: RolloutOrder): Promise<void> {
  await send("POST", `rollouts/${encodeURIComponent(id)}/${order}`);
}

async function get<T>(path: string): Promise<T> {
  return read<T>(await fetch(`${API}/${path}`, { headers: { accept: "application/json" } }));
}

async function firstPage<T>(path: string): Promise<T[]> {
  return (await get<{ items: T[] }>(path)).items;
}

async function list<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let after = "";
  for (;;) {
    const page = await get<{ items: T[]; next: string | null }>(`${path}?limit=1000${after}`);
    items.push(...page.items);
    if (page.next === null) return items;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}

async function send(method: string, path: string, body?: unknown): Promise<void> {
  const answer = await fetch(`${API}/${path}`, {
    method,
    // Another site's page cannot add this header: it keeps a foreign form from acting with our cookie.
    headers: { "content-type": "application/json", "x-requested-with": "drp" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(await problemText(answer));
}

async function read<T>(answer: Response): Promise<T> {
  if (answer.status === 401) throw new SignedOutError("signed out");
  if (!answer.ok) throw new Error(await problemText(answer));
  return answer.json();
}

async function problemText(answer: Response): Promise<string> {
  const problem = await answer.json().catch(() => ({}));
  const words = [problem.detail ?? problem.title, problem.advice].filter(text => typeof text === "string");
  return words.join(" ") || `The hub answered ${answer.status}.`;
}

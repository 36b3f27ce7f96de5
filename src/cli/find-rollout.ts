/** Rollouts as people name them: by id, or by leaving it out while only one can be meant. */
import { type Rollout, rolloutSchema } from "../api/wire.ts";
import { DrpError } from "../core/errors.ts";
import type { CliContext } from "./cli.ts";
import { isEnded } from "./format/rollout-words.ts";

/** The open ones are among the newest: rollouts over the same sites exclude each other. */
const NEWEST = 100;

export const rolloutPath = (id: string) => `/rollouts/${encodeURIComponent(id)}`;

/**
 * @param id left out: the open rollout, else the newest
 * @throws {DrpError} `not-found`, or `request.invalid` where several are open
 */
export async function findRollout(context: CliContext, id: string | undefined): Promise<Rollout> {
  if (id !== undefined) return context.api().get(rolloutPath(id), rolloutSchema);
  const rollouts = await context.api().list("/rollouts", rolloutSchema, {}, NEWEST);
  const open = rollouts.filter(({ state }) => !isEnded(state));
  if (open.length > 1) {
    throw new DrpError(
      "request.invalid",
      `${open.length} rollouts are open: ${open.map(rollout => `${rollout.id} (${rollout.plan.imageName})`).join(", ")}`,
      { advice: "Say which: give the id after the verb." },
    );
  }
  const chosen = open[0] ?? rollouts[0];
  if (chosen !== undefined) return chosen;
  throw new DrpError("not-found", "there has been no rollout yet", {
    advice: "Start the first one with: drp rollout start --image VERSION --wave 1,100%",
  });
}

import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { planFromStore, startRollout } from "../../rollout/io/start-rollout.ts";
import { type OperatorOutcome, orderRollback, pauseRollout, resumeRollout } from "../../rollout/operator.ts";
import type { Refusal } from "../../rollout/refusal.ts";
import type { RolloutRecord } from "../../rollout/rollout-record.ts";
import type { Store } from "../../store/ports.ts";
import { compareAndSet } from "../compare-and-set.ts";
import type { ApiDeps } from "../deps.ts";
import { answerPage, pageQuery } from "../paging.ts";
import { type Answer, defineRoute, json, type Route } from "../route.ts";
import { pageOf, rolloutPlanSchema, rolloutRequestSchema, rolloutSchema } from "../wire.ts";

/** Rollouts: what one would do, starting one, and what a person may do to one that runs. */
export function rolloutRoutes(deps: ApiDeps): Route[] {
  const { store } = deps;
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/rollouts/plan",
      role: "viewer",
      summary: "Plans a rollout and changes nothing",
      body: rolloutRequestSchema,
      status: 200,
      answer: rolloutPlanSchema,
      handle: async ({ body }) => {
        const outcome = await planFromStore(store, body, deps.clock());
        if (outcome.kind === "refused") throw refused(outcome);
        return json(outcome.plan);
      },
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/rollouts",
      role: "operator",
      summary: "Plans a rollout and starts it",
      body: rolloutRequestSchema,
      status: 201,
      answer: rolloutSchema,
      handle: async ({ body, caller }) => {
        const outcome = await startRollout(deps, body, caller.name);
        if (outcome.kind === "refused") throw refused(outcome);
        return answerRollout(outcome.rollout);
      },
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/rollouts",
      role: "viewer",
      summary: "Lists rollouts, newest first",
      query: z.strictObject({
        ...pageQuery,
        open: z.enum(["true", "false"]).default("false").describe("true: only those that have not ended"),
      }),
      status: 200,
      answer: pageOf(rolloutSchema),
      handle: ({ query }) =>
        answerPage(
          query,
          page => store.listRollouts({ ...page, onlyOpen: query.open === "true" }),
          rollout => rollout.id,
          rollouts => rollouts.map(rollout => rolloutSchema.parse(rollout)),
        ),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/rollouts/{rollout}",
      role: "viewer",
      summary: "Shows one rollout: its plan, and where its waves and machines are",
      status: 200,
      answer: rolloutSchema,
      handle: async ({ param }) => answerRollout(await requireRollout(store, param("rollout"))),
    }),
    orderRoute(deps, "pause", "Begins, writes and reboots nothing more until it is resumed", pauseRollout),
    orderRoute(deps, "resume", "Goes on with a rollout that was paused", resumeRollout),
    orderRoute(deps, "rollback", "Takes every machine back to what it ran before", orderRollback),
  ];
}

function orderRoute(
  { store, clock }: ApiDeps,
  verb: "pause" | "resume" | "rollback",
  summary: string,
  decide: (rollout: RolloutRecord, by: string, now: EpochMs) => OperatorOutcome,
): Route {
  return defineRoute({
    method: "post",
    path: `/api/v1/rollouts/{rollout}/${verb}`,
    role: "operator",
    summary,
    status: 200,
    answer: rolloutSchema,
    handle: async ({ param, caller, expectedRevision }) => {
      const rollout = await compareAndSet<RolloutRecord>({
        store,
        expectedRevision,
        read: () => requireRollout(store, param("rollout")),
        decide: current => {
          const outcome = decide(current, caller.name, clock());
          if (outcome.kind === "refused") throw refused(outcome);
          return {
            changed: outcome.rollout,
            changes: [
              {
                kind: "update-rollout",
                rollout: outcome.rollout,
                expectedRevision: current.revision,
              },
              { kind: "append-event", event: outcome.event },
            ],
          };
        },
        taken: ({ id }) => new DrpError("internal", `an order for rollout ${id} met a taken name`),
      });
      return answerRollout(rollout);
    },
  });
}

async function requireRollout(store: Store, id: string): Promise<RolloutRecord> {
  const rollout = await store.findRollout(id);
  if (rollout !== undefined) return rollout;
  throw new DrpError("not-found", `no rollout has the id ${id}`, {
    advice: "See which there are: drp rollout list",
  });
}

/** The schema leaves out what is the engine's own. */
function answerRollout(rollout: RolloutRecord): Answer {
  return { kind: "json", value: rolloutSchema.parse(rollout), revision: rollout.revision };
}

function refused({ code, reason, advice }: Refusal): DrpError {
  return new DrpError(code, reason, { advice });
}

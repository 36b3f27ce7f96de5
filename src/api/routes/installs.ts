import type { MachineRecord } from "../../agent/hub/machine-record.ts";
import { openIntent } from "../../agent/hub/machine-record.ts";
import { orderInstall } from "../../agent/hub/order-install.ts";
import { DrpError } from "../../core/errors.ts";
import { mintId } from "../../core/ids.ts";
import { tagIn } from "../../images/image-reference.ts";
import { loadImageStanding } from "../../rollout/io/load-image-standing.ts";
import { audit } from "../audit.ts";
import { cancelInstall } from "../cancel-install.ts";
import { compareAndSet } from "../compare-and-set.ts";
import type { ApiDeps } from "../deps.ts";
import { machinesToWire } from "../machine-to-wire.ts";
import { requireImage, requireMachine } from "../references.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { installMachineSchema, machineSchema } from "../wire.ts";

/** Orders to install, and taking them back. */
export function installRoutes({ store, clock, randomBytes }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/machines/{machine}/install",
      role: "operator",
      summary: "Orders one install of an image, to begin at the machine's next network boot",
      body: installMachineSchema,
      status: 201,
      answer: machineSchema,
      handle: async ({ param, body, caller, expectedRevision }) => {
        const image = await requireImage(store, body.image);
        const denied = await store.listDeniedImages();
        const standing = await loadImageStanding(store, image, clock());
        const { siteId } = await requireMachine(store, param("machine"));
        const baseline = (await store.findSite(siteId))?.baseline ?? null;
        const machine = await compareAndSet<MachineRecord>({
          store,
          expectedRevision,
          read: () => requireMachine(store, param("machine")),
          decide: current => {
            const decision = orderInstall({
              machine: current,
              image,
              tag: tagIn(body.image, image),
              request: body,
              denied,
              standing,
              baseline,
              createdBy: caller.name,
              now: clock(),
              intentId: mintId("i", randomBytes),
            });
            if (decision.kind === "refused") {
              throw new DrpError(decision.code, decision.reason, { advice: decision.advice });
            }
            return {
              changed: decision.machine,
              changes: [
                { kind: "require-image", digest: image.digest },
                { kind: "update-machine", machine: decision.machine, expectedRevision: current.revision },
                { kind: "append-event", event: decision.event },
              ],
            };
          },
          taken: noKeyChanges,
        });
        return json((await machinesToWire(store, [machine]))[0]);
      },
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/machines/{machine}/cancel-install",
      role: "operator",
      summary: "Takes back the open install order",
      status: 200,
      answer: machineSchema,
      handle: async ({ param, caller, expectedRevision }) => {
        const machine = await compareAndSet<MachineRecord>({
          store,
          expectedRevision,
          read: () => requireMachine(store, param("machine")),
          decide: current => {
            const changed = cancelInstall(current, caller.name, clock());
            const intent = openIntent(current.state);
            return {
              changed,
              changes: [
                { kind: "update-machine", machine: changed, expectedRevision: current.revision },
                audit({
                  kind: "install.cancelled",
                  at: clock(),
                  caller,
                  did: `took back the order for ${intent?.image}`,
                  machine: changed,
                  facts: { intent: intent?.id ?? "" },
                }),
              ],
            };
          },
          taken: noKeyChanges,
        });
        return json((await machinesToWire(store, [machine]))[0]);
      },
    }),
  ];
}

function noKeyChanges({ name }: MachineRecord): DrpError {
  return new DrpError("internal", `an order for ${name} met a taken name`);
}

import { z } from "zod";
import type { MachineRecord } from "../../agent/hub/machine-record.ts";
import { DrpError } from "../../core/errors.ts";
import { mintId } from "../../core/ids.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import type { SiteRecord, Store } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import { compareAndSet } from "../compare-and-set.ts";
import type { ApiDeps } from "../deps.ts";
import { machinesToWire } from "../machine-to-wire.ts";
import { answerPage, pageQuery } from "../paging.ts";
import { requireMachine, requireSite } from "../references.ts";
import { type Answer, defineRoute, EMPTY, type Route, revised } from "../route.ts";
import {
  createMachineSchema,
  machineSchema,
  machineStateSchema,
  pageOf,
  updateMachineSchema,
} from "../wire.ts";

const STATE_KINDS = machineStateSchema.options.map(state => state.shape.kind.value);

export function machineRoutes({ store, clock, randomBytes }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/machines",
      role: "viewer",
      summary: "Lists machines by name",
      query: z.strictObject({
        ...pageQuery,
        site: z.string().max(63).optional().describe("id or name"),
        state: z.enum(STATE_KINDS).optional(),
      }),
      status: 200,
      answer: pageOf(machineSchema),
      handle: async ({ query }) => {
        const siteId = query.site === undefined ? undefined : (await requireSite(store, query.site)).id;
        const filter = {
          ...(siteId === undefined ? {} : { siteId }),
          ...(query.state === undefined ? {} : { stateKind: query.state }),
        };
        return answerPage(
          query,
          page => store.listMachines({ ...page, ...filter }),
          machine => machine.name,
          machines => machinesToWire(store, machines),
        );
      },
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/machines/{machine}",
      role: "viewer",
      summary: "Shows one machine, by id, name or MAC address",
      status: 200,
      answer: machineSchema,
      handle: async call => answerMachine(store, await requireMachine(store, call.param("machine"))),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/machines",
      role: "operator",
      summary: "Enters a machine before it is ever seen",
      body: createMachineSchema,
      status: 201,
      answer: machineSchema,
      handle: async ({ body, caller }) => {
        const site = await chooseSite(store, body.site);
        const now = clock();
        const machine: MachineRecord = {
          id: mintId("m", randomBytes),
          siteId: site.id,
          name: body.name,
          macs: parseMacs(body.macs),
          labels: body.labels ?? {},
          inventory: null,
          keyFingerprint: null,
          installGeneration: 0,
          state: { kind: "expected" },
          running: null,
          target: null,
          denied: [],
          createdAt: now,
          updatedAt: now,
          lastSeenAt: null,
          revision: 1,
        };
        const outcome = await store.commit([
          { kind: "insert-machine", machine },
          audit({ kind: "machine.created", at: now, caller, did: `entered ${machine.name}`, machine }),
        ]);
        if (outcome.kind === "conflict") throw taken(machine);
        return answerMachine(store, machine);
      },
    }),
    defineRoute({
      method: "patch",
      path: "/api/v1/machines/{machine}",
      role: "operator",
      summary: "Renames a machine or changes its labels",
      body: updateMachineSchema,
      status: 200,
      answer: machineSchema,
      handle: async ({ param, body, caller, expectedRevision }) => {
        const machine = await compareAndSet<MachineRecord>({
          store,
          expectedRevision,
          read: () => requireMachine(store, param("machine")),
          decide: current => {
            const changed: MachineRecord = {
              ...current,
              name: body.name ?? current.name,
              labels: body.labels ?? current.labels,
              updatedAt: clock(),
              revision: current.revision + 1,
            };
            const did =
              changed.name === current.name
                ? `changed ${current.name}`
                : `renamed ${current.name} to ${changed.name}`;
            return {
              changed,
              changes: [
                { kind: "update-machine", machine: changed, expectedRevision: current.revision },
                audit({ kind: "machine.updated", at: clock(), caller, did, machine: changed }),
              ],
            };
          },
          taken,
        });
        return answerMachine(store, machine);
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/machines/{machine}",
      role: "operator",
      summary: "Forgets a machine; its disk is not touched",
      status: 204,
      handle: async ({ param, caller, expectedRevision }) => {
        await compareAndSet<MachineRecord>({
          store,
          expectedRevision,
          read: () => requireMachine(store, param("machine")),
          decide: machine => ({
            changed: machine,
            changes: [
              { kind: "delete-machine", id: machine.id, expectedRevision: machine.revision },
              audit({
                kind: "machine.deleted",
                at: clock(),
                caller,
                did: `removed ${machine.name}`,
                machine,
              }),
            ],
          }),
          taken,
        });
        return EMPTY;
      },
    }),
  ];
}

async function answerMachine(store: Store, machine: MachineRecord): Promise<Answer> {
  const [described] = await machinesToWire(store, [machine]);
  return described === undefined ? EMPTY : revised(described);
}

async function chooseSite(store: Store, reference: string | undefined): Promise<SiteRecord> {
  if (reference !== undefined) return requireSite(store, reference);
  const [only, another] = await store.listSites({ limit: 2 });
  if (only !== undefined && another === undefined) return only;
  throw new DrpError("request.invalid", "body.site: there are several sites", {
    advice: "Name the site that the machine stands at; see: drp sites list",
  });
}

function parseMacs(texts: readonly string[]): MacAddress[] {
  const macs = texts.map((text, index) => {
    const mac = parseMac(text);
    if (mac === undefined) {
      throw new DrpError("request.invalid", `body.macs[${index}]: ${text} is not a MAC address`, {
        advice: "Write it as 52:54:00:12:34:56.",
      });
    }
    return mac;
  });
  return [...new Set(macs)];
}

function taken({ name, macs }: MachineRecord): DrpError {
  return new DrpError("name.taken", `another machine is called ${name} or has one of ${macs.join(", ")}`, {
    advice: `See which: drp machines show ${name}; drp machines show ${macs[0]}`,
  });
}

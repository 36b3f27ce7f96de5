import { z } from "zod";
import type { SiteRecord } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import { compareAndSet } from "../compare-and-set.ts";
import type { ApiDeps } from "../deps.ts";
import { siteTaken } from "../invite-site.ts";
import { answerPage, pageQuery } from "../paging.ts";
import { requireSite } from "../references.ts";
import { defineRoute, type Route, revised } from "../route.ts";
import { siteToWire } from "../site-to-wire.ts";
import { pageOf, siteSchema, updateSiteSchema } from "../wire.ts";

export function siteRoutes({ store, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/sites",
      role: "viewer",
      summary: "Lists sites by name",
      query: z.strictObject(pageQuery),
      status: 200,
      answer: pageOf(siteSchema),
      handle: ({ query }) =>
        answerPage(
          query,
          page => store.listSites(page),
          site => site.name,
          sites => Promise.all(sites.map(site => siteToWire(store, site))),
        ),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/sites/{site}",
      role: "viewer",
      summary: "Shows one site, by id or name",
      status: 200,
      answer: siteSchema,
      handle: async call => revised(await siteToWire(store, await requireSite(store, call.param("site")))),
    }),
    defineRoute({
      method: "patch",
      path: "/api/v1/sites/{site}",
      role: "admin",
      summary:
        "Changes a site's labels, what it does with unknown machines, or what its line may carry of images",
      body: updateSiteSchema,
      status: 200,
      answer: siteSchema,
      handle: async ({ param, body, caller, expectedRevision }) => {
        const site = await compareAndSet<SiteRecord>({
          store,
          expectedRevision,
          read: () => requireSite(store, param("site")),
          decide: current => {
            const changed: SiteRecord = {
              ...current,
              unknown: body.unknown ?? current.unknown,
              labels: body.labels ?? current.labels,
              timeZone: body.timeZone ?? current.timeZone,
              transferLimits: {
                bandwidth: body.bandwidth ?? current.transferLimits.bandwidth,
                budget: body.budget === undefined ? current.transferLimits.budget : body.budget,
              },
              revision: current.revision + 1,
            };
            return {
              changed,
              changes: [
                { kind: "update-site", site: changed, expectedRevision: current.revision },
                audit({
                  kind: "site.updated",
                  at: clock(),
                  caller,
                  did: `changed site ${changed.name}`,
                  siteId: changed.id,
                  facts: { unknown: changed.unknown },
                }),
              ],
            };
          },
          taken: ({ name }) => siteTaken(name),
        });
        return revised(await siteToWire(store, site));
      },
    }),
  ];
}

import { formatJoinToken } from "../../agent/join-token.ts";
import { DrpError } from "../../core/errors.ts";
import { mintId } from "../../core/ids.ts";
import type { StoreChange } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { inviteSite, requireInvited, siteTaken } from "../invite-site.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { SignInLimit } from "../sign-in-limit.ts";
import { siteToWire } from "../site-to-wire.ts";
import { hashTokenSecret } from "../token-secret.ts";
import { createdSiteSchema, createSiteSchema, joinedSiteSchema, joinSiteSchema } from "../wire.ts";

/** How a site that stands elsewhere becomes one of the fleet's: an admin invites it, and it joins with the token. */
export function joinRoutes({ store, clock, randomBytes, ca, siteChannelPort }: ApiDeps): Route[] {
  const limit = new SignInLimit();
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/sites",
      role: "admin",
      summary: "Invites a site to join; its token is in this answer only, and ends an earlier one",
      body: createSiteSchema,
      status: 201,
      answer: createdSiteSchema,
      handle: async ({ body, caller }) => {
        const now = clock();
        const secret = Buffer.from(randomBytes(32)).toString("base64url");
        const joinToken = formatJoinToken({ caFingerprint: ca.fingerprint, secret });
        const present = await store.findSite(body.name);
        const site = inviteSite(present, {
          wanted: body,
          tokenHash: hashTokenSecret(joinToken),
          siteId: mintId("s", randomBytes),
          now,
        });
        const save: StoreChange =
          present === undefined
            ? { kind: "insert-site", site }
            : { kind: "update-site", site, expectedRevision: present.revision };
        const outcome = await store.commit([
          save,
          audit({ kind: "site.invited", at: now, caller, did: `invited site ${site.name}`, siteId: site.id }),
        ]);
        if (outcome.kind === "conflict") throw siteTaken(site.name);
        return json({ site: await siteToWire(store, site), joinToken });
      },
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/ca.pem",
      role: "open",
      summary: "The fleet's certificate authority, for who knows its fingerprint from a join token",
      status: 200,
      handle: async () => ({ kind: "text", text: ca.caPem, type: "application/x-pem-file" }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/sites/join",
      role: "open",
      summary: "Joins a site: a join token, once, for a certificate",
      body: joinSiteSchema,
      status: 201,
      answer: joinedSiteSchema,
      handle: async ({ body, remoteAddress }) => {
        const now = clock();
        limit.requireAllowed(remoteAddress, now);
        const invited = await store.findSiteByJoinToken(hashTokenSecret(body.joinToken.trim()));
        if (invited === undefined) limit.recordFailure(remoteAddress, now);
        const site = requireInvited(invited, now);
        const { certificateRequestPem } = body;
        const issued = await ca.issueSiteCertificate({ certificateRequestPem, siteId: site.id, now });
        const joined = {
          ...site,
          membership: {
            kind: "joined",
            keyFingerprint: issued.keyFingerprint,
            joinedAt: now,
            reportsKept: 0,
          },
          revision: site.revision + 1,
        } as const;
        const outcome = await store.commit([
          { kind: "update-site", site: joined, expectedRevision: site.revision },
          {
            kind: "append-event",
            event: {
              at: now,
              kind: "site.joined",
              severity: "info",
              siteId: site.id,
              machineId: null,
              mac: null,
              summary: `site ${site.name} joined from ${remoteAddress}`,
              facts: { fromAddress: remoteAddress, key: issued.keyFingerprint },
            },
          },
        ]);
        if (outcome.kind === "conflict") throw joinConflict(site.name, outcome.reason);
        return json({
          siteId: site.id,
          siteName: site.name,
          certificatePem: issued.certificatePem,
          caPem: ca.caPem,
          siteChannelPort: siteChannelPort(),
        });
      },
    }),
  ];
}

/** Of two that join with one token at the same moment, one gets the certificate. */
function joinConflict(name: string, reason: string): DrpError {
  return reason === "taken"
    ? new DrpError("name.taken", `the key that ${name} joins with belongs to another site`, {
        advice: "Remove the site's key and join again: a copied disk must not be two sites.",
      })
    : new DrpError("token.rejected", `the join token of ${name} was used at this moment`, {
        advice: `If that was not you, ask an admin for a new one: drp sites create ${name}`,
      });
}

import { DrpError } from "../../core/errors.ts";
import { parseTrustedKey } from "../../images/keys.ts";
import type { ImageKeyRecord } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { defineRoute, EMPTY, json, type Route } from "../route.ts";
import { imageKeySchema, pageOf, trustImageKeySchema } from "../wire.ts";

/** The keys whose signatures make an image acceptable. */
export function imageKeyRoutes({ store, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/image-keys",
      role: "viewer",
      summary: "Lists the keys that may sign images",
      status: 200,
      answer: pageOf(imageKeySchema),
      handle: async () => json({ items: await store.listImageKeys(), next: null }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-keys",
      role: "admin",
      summary: "Trusts a public Ed25519 key to sign images",
      body: trustImageKeySchema,
      status: 201,
      answer: imageKeySchema,
      handle: async ({ body, caller }) => {
        const { keyId, publicKeyPem } = parseTrustedKey(body.publicKeyPem);
        const key: ImageKeyRecord = {
          keyId,
          name: body.name,
          publicKeyPem,
          trustedAt: clock(),
          trustedBy: caller.name,
        };
        const outcome = await store.commit([
          { kind: "insert-image-key", key },
          audit({
            kind: "image-key.trusted",
            at: key.trustedAt,
            caller,
            did: `trusts key ${key.name} to sign images`,
            facts: { keyId },
          }),
        ]);
        if (outcome.kind === "conflict") {
          throw new DrpError(
            "name.taken",
            `key ${keyId} is trusted already, or another one is called ${key.name}`,
            {
              advice: "See which there are: drp images keys list",
            },
          );
        }
        return json(key);
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/image-keys/{key}",
      role: "admin",
      summary: "Trusts a key no longer; images that were pushed before stay",
      status: 204,
      handle: async ({ param, caller }) => {
        const key = (await store.listImageKeys()).find(({ keyId, name }) =>
          [keyId, name].includes(param("key")),
        );
        if (key === undefined)
          throw new DrpError("not-found", `no trusted key has the id or name ${param("key")}`);
        await store.commit([
          { kind: "delete-image-key", keyId: key.keyId },
          audit({
            kind: "image-key.removed",
            at: clock(),
            caller,
            did: `trusts key ${key.name} no longer`,
            facts: { keyId: key.keyId },
          }),
        ]);
        return EMPTY;
      },
    }),
  ];
}

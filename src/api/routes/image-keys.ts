import { DrpError } from "../../core/errors.ts";
import { type KeyChain, newestKeyList } from "../../images/key-chain.ts";
import { unsignedKeyList } from "../../images/key-list.ts";
import { parseTrustedKey } from "../../images/keys.ts";
import { nextKeyList } from "../../images/next-key-list.ts";
import { loadKeyChain } from "../../rollout/io/load-key-chain.ts";
import type { KeyListRecord } from "../../store/ports.ts";
import type { ApiDeps } from "../deps.ts";
import { publishKeyLists } from "../image-trust.ts";
import { defineRoute, json, type Route } from "../route.ts";
import {
  type ImageKey,
  imageKeySchema,
  keyListSchema,
  pageOf,
  publishKeyListsSchema,
  trustImageKeySchema,
} from "../wire.ts";

/** The keys whose signatures make an image acceptable, and the chain of lists that they stand in. */
export function imageKeyRoutes({ store, clock }: ApiDeps): Route[] {
  const listKeys = async (): Promise<ImageKey[]> => {
    const records = await store.listKeyLists();
    return keysOf(await loadKeyChain(store), records);
  };
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/image-keys",
      role: "viewer",
      summary: "Lists the keys that may sign images: those of the newest key list",
      status: 200,
      answer: pageOf(imageKeySchema),
      handle: async () => json({ items: await listKeys(), next: null }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-keys",
      role: "admin",
      summary:
        "Trusts the fleet's first key; every later one comes in a key list that a trusted key has signed",
      body: trustImageKeySchema,
      status: 201,
      answer: imageKeySchema,
      handle: async ({ body, caller }) => {
        const { keyId, publicKeyPem } = parseTrustedKey(body.publicKeyPem);
        const now = clock();
        const chain = await loadKeyChain(store);
        if (chain.length > 0) {
          throw new DrpError(
            "key-list.rejected",
            `the fleet has key list ${chain.length}: another key is trusted only by a list that one of its keys has signed`,
            { advice: "drp images keys rotate --add NEW.pub --sign-with OLD.key" },
          );
        }
        const expiresAt = body.expiresAt ?? null;
        const next = nextKeyList(chain, {
          add: [{ keyId, name: body.name, publicKeyPem, expiresAt }],
          retire: [],
          now,
        });
        if (next.kind === "refused")
          throw new DrpError("key-list.rejected", next.reason, { advice: next.advice });
        await publishKeyLists(store, [unsignedKeyList(next.list)], caller, now);
        return json((await listKeys()).find(key => key.keyId === keyId));
      },
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/image-key-lists",
      role: "viewer",
      summary: "Lists every version of the key list, oldest first",
      status: 200,
      answer: pageOf(keyListSchema),
      handle: async () =>
        json({
          items: (await store.listKeyLists()).map(({ signed, ...record }) => ({ ...signed, ...record })),
          next: null,
        }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-key-lists",
      role: "admin",
      summary: "Publishes the next key lists; each must be signed by a key of the one before it",
      body: publishKeyListsSchema,
      status: 201,
      answer: pageOf(imageKeySchema),
      handle: async ({ body, caller }) => {
        await publishKeyLists(store, body.lists, caller, clock());
        return json({ items: await listKeys(), next: null });
      },
    }),
  ];
}

/** Trusted since the list that brought the key first, by whom published that. */
function keysOf(chain: KeyChain, records: readonly KeyListRecord[]): ImageKey[] {
  return (newestKeyList(chain)?.keys ?? []).map(key => {
    const first = chain.findIndex(({ list }) => list.keys.some(({ keyId }) => keyId === key.keyId));
    const record = records[first];
    return { ...key, trustedAt: record?.publishedAt ?? 0, trustedBy: record?.publishedBy ?? "" };
  });
}

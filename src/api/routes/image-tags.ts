import type { z } from "zod";
import { shortDigest } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { ImageRecord, ImageTagRecord, Store } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import { compareAndSet } from "../compare-and-set.ts";
import type { ApiDeps } from "../deps.ts";
import { requireImage, requireImageTag } from "../references.ts";
import { roleAllows } from "../roles.ts";
import { type Caller, defineRoute, EMPTY, json, type Route, revised } from "../route.ts";
import { type ImageTag, imageTagMoveSchema, imageTagSchema, pageOf, setImageTagSchema } from "../wire.ts";

/** What machines get when nobody says more: CI pushes and moves other tags, people move this one. */
const PEOPLE_ONLY = "stable";
/** Of one tag; a nightly build moves it ten years until then. */
const SHOWN_MOVES = 4_000;

/** Names that move: "app:stable" is one version today and another tomorrow. Rollouts and orders keep the digest. */
export function imageTagRoutes({ store, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/image-tags",
      role: "viewer",
      summary: "Lists the tags that stand on images",
      status: 200,
      answer: pageOf(imageTagSchema),
      handle: async () => json({ items: (await store.listImageTags()).map(tagToWire), next: null }),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/image-tags/{tag}",
      role: "viewer",
      summary: "Shows where a tag stands: NAME:TAG, or TAG where one image name has it",
      status: 200,
      answer: imageTagSchema,
      handle: async ({ param }) => revised(tagToWire(await requireImageTag(store, param("tag")))),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/image-tags/{tag}/history",
      role: "viewer",
      summary: "Lists where a tag stood, newest first; also of one that was taken away, by NAME:TAG",
      status: 200,
      answer: pageOf(imageTagMoveSchema),
      handle: async ({ param }) => json({ items: await readMoves(store, param("tag")), next: null }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-tags",
      role: "ci",
      summary: `Gives a tag to an image, or moves it there; ${PEOPLE_ONLY} needs the role operator. If-Match "0": only a new one`,
      body: setImageTagSchema,
      status: 200,
      answer: imageTagSchema,
      handle: async ({ body, caller, expectedRevision }) => {
        const { tag, reason = null } = body;
        requirePeopleFor(tag, caller);
        let image: ImageRecord | undefined;
        const moved = await compareAndSet<ImageTagRecord>({
          store,
          expectedRevision,
          read: async () => {
            image = await requireImage(store, body.image);
            return (await store.findImageTag(image.name, tag)) ?? newTag(image.name, tag);
          },
          decide: current => {
            const { digest = null, version = null } = image ?? {};
            // Where it stands already: nothing happened that anyone would look for.
            if (current.digest === digest) return { changed: current, changes: [] };
            const at = clock();
            const changed: ImageTagRecord = {
              ...current,
              digest,
              version,
              movedAt: at,
              movedBy: caller.name,
              reason,
              revision: current.revision + 1,
            };
            return {
              changed,
              changes: [
                { kind: "set-image-tag", tag: changed, expectedRevision: current.revision },
                audit({
                  kind: "image.tagged",
                  at,
                  caller,
                  did: describeMove(current, changed),
                  facts: factsOf(changed),
                }),
              ],
            };
          },
          taken: changed => looksLikeVersion(changed),
        });
        return revised(tagToWire(moved));
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/image-tags/{tag}",
      role: "operator",
      summary: "Takes a tag away; its history stays",
      status: 204,
      handle: async ({ param, caller, expectedRevision }) => {
        await compareAndSet<ImageTagRecord>({
          store,
          expectedRevision,
          read: () => requireImageTag(store, param("tag")),
          decide: current => {
            const at = clock();
            const changed: ImageTagRecord = {
              ...current,
              digest: null,
              version: null,
              movedAt: at,
              movedBy: caller.name,
              reason: null,
              revision: current.revision + 1,
            };
            return {
              changed,
              changes: [
                { kind: "set-image-tag", tag: changed, expectedRevision: current.revision },
                audit({
                  kind: "image.untagged",
                  at,
                  caller,
                  did: describeMove(current, changed),
                  facts: factsOf(changed),
                }),
              ],
            };
          },
          taken: looksLikeVersion,
        });
        return EMPTY;
      },
    }),
  ];
}

function requirePeopleFor(tag: string, caller: Caller): void {
  if (tag !== PEOPLE_ONLY || roleAllows(caller.role, "operator")) return;
  throw new DrpError(
    "auth.forbidden",
    `the tag ${tag} is moved by people: role operator, not ${caller.role}`,
    {
      advice: "Let CI move another tag, such as canary, and move this one once that image has proved itself.",
    },
  );
}

function newTag(name: string, tag: string): ImageTagRecord {
  return { name, tag, digest: null, version: null, movedAt: 0, movedBy: "", reason: null, revision: 0 };
}

/** Continues "NAME …". */
function describeMove(before: ImageTagRecord, after: ImageTagRecord): string {
  const tag = `${after.name}:${after.tag}`;
  const why = after.reason === null ? "" : ` (${after.reason})`;
  if (after.digest === null) return `took the tag ${tag} away from ${before.version}`;
  if (before.digest === null) return `gave ${after.name}:${after.version} the tag ${after.tag}${why}`;
  return `moved the tag ${tag} from ${before.version} ${shortDigest(before.digest)} to ${after.version} ${shortDigest(after.digest)}${why}`;
}

function factsOf({ name, tag, digest, reason }: ImageTagRecord) {
  return {
    tag: `${name}:${tag}`,
    ...(digest === null ? {} : { image: digest }),
    ...(reason === null ? {} : { reason }),
  };
}

function looksLikeVersion({ name, tag }: ImageTagRecord): DrpError {
  return new DrpError("name.taken", `${name} has a version ${tag}: a tag of that name would hide it`, {
    advice: "Choose another name for the tag.",
  });
}

/** Only tags that stand somewhere get here. */
function tagToWire({ digest, version, ...rest }: ImageTagRecord): ImageTag {
  return { ...rest, digest: digest ?? "", version: version ?? "" };
}

async function readMoves(store: Store, reference: string): Promise<z.infer<typeof imageTagMoveSchema>[]> {
  const { name, tag } = await requireImageTag(store, reference, { orTakenAway: true });
  const moves = await store.listImageTagMoves(name, tag, SHOWN_MOVES);
  return moves.map((move, index) => {
    const from = moves[index + 1];
    return { ...move, fromDigest: from?.digest ?? null, fromVersion: from?.version ?? null };
  });
}

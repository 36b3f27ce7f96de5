/** The Store over any database that Kysely speaks. What differs between databases comes in as `DatabaseErrors`. */
import type { Kysely } from "kysely";
import { CommitQueue, type DatabaseErrors } from "./commit-queue.ts";
import * as tagQueries from "./image-tags.ts";
import type {
  CommitOutcome,
  EventFilter,
  EventRecord,
  ImageFilter,
  MachineFilter,
  Page,
  RolloutFilter,
  Store,
  StoreChange,
} from "./ports.ts";
import * as queries from "./queries.ts";
import { rowToDeniedImage, rowToRollout, rowToToken } from "./rows.ts";
import type { Schema } from "./schema.ts";
import * as trust from "./trust.ts";

type EventListener = (events: readonly EventRecord[]) => void;
type CommitListener = (changes: readonly StoreChange[]) => void;

export class KyselyStore implements Store {
  readonly #db: Kysely<Schema>;
  readonly #commits: CommitQueue;
  readonly #eventListeners = new Set<EventListener>();
  readonly #commitListeners = new Set<CommitListener>();

  constructor(db: Kysely<Schema>, errors: DatabaseErrors) {
    this.#db = db;
    this.#commits = new CommitQueue(db, errors, {
      onEvents: events => {
        for (const listener of this.#eventListeners) listener(events);
      },
      onCommitted: changes => {
        for (const listener of this.#commitListeners) listener(changes);
      },
    });
  }

  listSites(page: Page) {
    return queries.listSites(this.#db, page);
  }

  findSite(reference: string) {
    return queries.findSite(this.#db, reference);
  }

  findSiteByKey(fingerprint: string) {
    return queries.findSiteBy(this.#db, "key_fingerprint", fingerprint);
  }

  findSiteByJoinToken(tokenHash: string) {
    return queries.findSiteBy(this.#db, "join_token_hash", tokenHash);
  }

  listMachines(filter: MachineFilter) {
    return queries.listMachines(this.#db, filter);
  }

  findMachine(reference: string) {
    return queries.findMachine(this.#db, reference);
  }

  countMachines(siteId?: string) {
    return queries.countMachines(this.#db, siteId);
  }

  listImages(filter: ImageFilter) {
    return queries.listImages(this.#db, filter);
  }

  findImages(reference: string) {
    return queries.findImages(this.#db, reference);
  }

  listImageTags() {
    return tagQueries.listImageTags(this.#db);
  }

  findImageTag(name: string, tag: string) {
    return tagQueries.findImageTag(this.#db, name, tag);
  }

  listImageTagMoves(name: string, tag: string, limit: number) {
    return tagQueries.listImageTagMoves(this.#db, name, tag, limit);
  }

  async listPreviousImages() {
    const rows = await this.#db.selectFrom("previous_images").selectAll().orderBy("site_id").execute();
    return rows.map(row => ({ siteId: row.site_id, digest: row.digest, rolloutId: row.rollout_id }));
  }

  listRollouts(filter: RolloutFilter) {
    return queries.listRollouts(this.#db, filter);
  }

  async findRollout(id: string) {
    const row = await this.#db.selectFrom("rollouts").selectAll().where("id", "=", id).executeTakeFirst();
    return row === undefined ? undefined : rowToRollout(row);
  }

  async listDeniedImages() {
    const rows = await this.#db.selectFrom("denied_images").selectAll().orderBy("at").execute();
    return rows.map(rowToDeniedImage);
  }

  async listTokens() {
    const rows = await this.#db.selectFrom("tokens").selectAll().orderBy("name").execute();
    return rows.map(rowToToken);
  }

  async findTokenByHash(secretHash: string) {
    const row = await this.#db
      .selectFrom("tokens")
      .selectAll()
      .where("secret_hash", "=", secretHash)
      .executeTakeFirst();
    return row === undefined ? undefined : rowToToken(row);
  }

  listKeyLists() {
    return trust.listKeyLists(this.#db);
  }

  listReleaseFloors() {
    return trust.listReleaseFloors(this.#db);
  }

  listEvents(filter: EventFilter) {
    return queries.listEvents(this.#db, filter);
  }

  commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    return this.#commits.commit(changes);
  }

  onEvents(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onCommitted(listener: CommitListener): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#commits.idle();
    await this.#db.destroy();
  }
}

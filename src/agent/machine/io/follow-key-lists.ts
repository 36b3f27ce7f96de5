/** Brings the machine's key lists to the site's newest, as far as the list that it holds vouches for them. */
import { join } from "node:path";
import { KeyListFile } from "../../../images/io/key-list-file.ts";
import { signedKeyListsSchema } from "../../../images/key-list.ts";
import { KEY_LISTS } from "../agent-files.ts";
import { explainError, type Say } from "./console.ts";
import type { SiteClient } from "./site-client.ts";

/** Never throws: a machine goes on reporting whatever it thinks of a list. */
export async function followKeyLists(
  home: string,
  siteVersion: number,
  client: Pick<SiteClient, "get">,
  say: Say,
): Promise<void> {
  if (siteVersion === 0) return;
  try {
    const file = await KeyListFile.open(join(home, KEY_LISTS), "Install the machine again.");
    if (siteVersion <= file.version) return;
    const decision = await file.take(await client.get("/key-lists", signedKeyListsSchema));
    if (decision.kind === "accepted") say(`key list ${file.version} counts from now on`);
    if (decision.kind === "refused")
      say(`the site's key lists are refused: ${decision.reason} → ${decision.advice}`);
  } catch (error) {
    say(`the site's key lists cannot be followed: ${explainError(error)}`);
  }
}

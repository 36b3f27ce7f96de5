/** What a box keeps of the fleet that it has joined: whose site it is, its key and certificate, and the fleet's CA. */
import { join } from "node:path";
import { z } from "zod";
import { DrpError } from "../../../core/errors.ts";
import { readFileIfPresent, writeFileDurably } from "../../../daemon/io/secret-file.ts";

const siteFileSchema = z.object({
  siteId: z.string(),
  siteName: z.string(),
  /** Of the hub's site channel: "https://HUB:8444". */
  hubUrl: z.url(),
});

export interface SiteMembership extends z.infer<typeof siteFileSchema> {
  readonly caPem: string;
  readonly tls: { readonly key: string; readonly cert: string };
}

/** Undefined when this box has joined no fleet. @throws {DrpError} input.unreadable */
export function readMembership(folder: string): SiteMembership | undefined {
  const [site, key, cert, caPem] = ["site.json", "site.key", "site.crt", "ca.pem"].map(name =>
    readFileIfPresent(join(folder, name)),
  );
  if (site === undefined) return undefined;
  try {
    const parts = z.tuple([z.string(), z.string(), z.string()]).parse([key, cert, caPem]);
    return {
      ...siteFileSchema.parse(JSON.parse(site)),
      tls: { key: parts[0], cert: parts[1] },
      caPem: parts[2],
    };
  } catch (cause) {
    throw new DrpError("input.unreadable", `${folder} does not hold a whole membership`, {
      advice: "Remove its site.json and join again with a new token: drp site join",
      cause,
    });
  }
}

/** The box has joined when site.json is there: it comes last. */
export function writeMembership(folder: string, { tls, caPem, ...site }: SiteMembership): void {
  writeFileDurably(join(folder, "site.key"), tls.key, 0o600);
  writeFileDurably(join(folder, "site.crt"), tls.cert, 0o644);
  writeFileDurably(join(folder, "ca.pem"), caPem, 0o644);
  writeFileDurably(join(folder, "site.json"), `${JSON.stringify(site, null, 2)}\n`, 0o644);
}

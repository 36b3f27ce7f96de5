/** Commands that main.ts starts itself, before this tree is loaded: they stand here for --help and completion. */
export interface RoleCommand {
  readonly path: string;
  readonly summary: string;
}

export const ROLE_COMMANDS: readonly RoleCommand[] = [
  { path: "serve", summary: "run the hub, with a local site" },
  { path: "site join", summary: "on a box at a site: join a hub with the token of `drp sites create`" },
  { path: "site run", summary: "serve the machines of this site" },
  { path: "machine install", summary: "in the boot ramdisk: register, then install what the site orders" },
  { path: "machine run", summary: "in the installed system: check health and report it" },
];

/** Who may import whom: core <- domains <- { store ports, io, api } <- the roles' main.ts <- src/main.ts. */
const DOMAIN = "^src/(dhcp|pxe|images|rollout|agent)/";
const IMPURE = "/io/|/main\\.ts$";
const PURE = { path: `^src/core/|${DOMAIN}`, pathNot: IMPURE };
/** Packages that do no I/O. */
const PURE_PACKAGES = "node_modules/(zod|ipaddr\\.js|canonicalize)/";

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "core-is-bottom",
      severity: "error",
      comment: "core is shared vocabulary: it knows nobody.",
      from: { path: "^src/core/" },
      to: { path: "^src/", pathNot: "^src/core/" },
    },
    {
      name: "pure-has-no-builtins",
      severity: "error",
      comment:
        "Sockets, files, clocks and processes live in io/. Hashing is deterministic, so node:crypto may stay.",
      from: PURE,
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?crypto$" },
    },
    {
      name: "pure-has-no-packages",
      severity: "error",
      from: PURE,
      to: {
        dependencyTypes: ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg", "unknown"],
        pathNot: PURE_PACKAGES,
      },
    },
    {
      name: "pure-does-not-reach-out",
      severity: "error",
      comment: "Decisions never import io, store, api, cli, daemon or dashboard.",
      from: PURE,
      to: { path: `^src/(store|api|cli|daemon|dashboard)/|${IMPURE}` },
    },
    {
      name: "domain-arrows",
      severity: "error",
      comment: "Between domains only: pxe->dhcp, rollout->images, agent->images, agent->rollout.",
      from: { path: "^src/(dhcp|images)/" },
      to: { path: "^src/(dhcp|pxe|images|rollout|agent)/", pathNot: "^src/$1/" },
    },
    {
      name: "pxe-only-sees-dhcp",
      severity: "error",
      from: { path: "^src/pxe/" },
      to: { path: "^src/(images|rollout|agent)/" },
    },
    {
      name: "rollout-only-sees-images",
      severity: "error",
      from: { path: "^src/rollout/", pathNot: IMPURE },
      to: { path: "^src/(dhcp|pxe|agent)/" },
    },
    {
      name: "agent-core-sees-images-and-rollout",
      severity: "error",
      from: { path: "^src/agent/", pathNot: IMPURE },
      to: { path: "^src/(dhcp|pxe)/" },
    },
    {
      name: "io-uses-store-ports-only",
      severity: "error",
      comment: "Adapters are chosen by a main.ts; everyone else sees src/store/ports.ts.",
      from: { path: "^src/", pathNot: "^src/store/|/main\\.ts$" },
      to: { path: "^src/store/", pathNot: "^src/store/ports\\.ts$" },
    },
    {
      name: "store-holds-no-behaviour",
      severity: "error",
      from: { path: "^src/store/" },
      to: { path: `^src/(api|cli|daemon|dashboard)/|${IMPURE}`, pathNot: "^src/store/" },
    },
    {
      name: "cli-and-dashboard-speak-http",
      severity: "error",
      comment:
        "Clients share wire types, never decisions or storage. The tables of local commands may call the domain.",
      from: { path: "^src/(cli|dashboard)/", pathNot: "^src/cli/(local|trust)-commands\\.ts$" },
      to: {
        path: "^src/",
        pathNot: "^src/(core|cli|dashboard)/|^src/api/wire\\.ts$|^src/agent/protocol\\.ts$",
      },
    },
    {
      name: "machine-agent-stays-small",
      severity: "error",
      comment:
        "It ships inside the boot image: wire protocol, images and core only, also through what it imports.",
      from: { path: "^src/agent/machine/" },
      to: {
        path: "^src/(dhcp|pxe|rollout|store|api|cli|daemon|dashboard)/|^src/agent/(site|hub)/",
        reachable: true,
      },
    },
    {
      name: "nobody-imports-a-root",
      severity: "error",
      comment: "src/main.ts picks a role; a role's main.ts wires it.",
      from: { path: "^src/", pathNot: "^src/main\\.ts$" },
      to: { path: "^src/.*main\\.ts$" },
    },
    {
      name: "src-does-not-import-test",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^test/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".ts", ".tsx", ".js"] },
  },
};

/** `drp tokens …`: what people and CI prove themselves with. */
import { Option } from "commander";
import { createdTokenSchema, type Token, tokenSchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { type Cli, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";
import { parseCount } from "../options.ts";

export function addTokens(cli: Cli): void {
  const tokens = cli.root.command("tokens").description("access to this hub");

  cli.on(tokens.command("list").description("every token, never its secret"), async ({ context }) => {
    const items = await context.api().list("/tokens", tokenSchema);
    context.out.list(items, columns(context.now()), "No tokens.");
  });

  const create = tokens
    .command("create")
    .argument("<name>")
    .description("make a token; its secret is shown once")
    .addOption(
      new Option("--role <role>", "what it may do")
        .choices(["admin", "operator", "ci", "viewer"])
        .makeOptionMandatory(),
    )
    .option("--expires-in-days <days>", "(default: never)", parseCount);
  cli.on<{ role: string; expiresInDays?: number }>(create, async call => {
    const { role, expiresInDays } = call.options;
    const body = { name: firstArgument(call), role, expiresInDays: expiresInDays ?? null };
    const created = await call.context.api().post("/tokens", body, createdTokenSchema);
    call.context.out.done(created, created.secret);
    call.context.out.remark(
      `token ${created.token.name} may act as ${created.token.role}; keep the secret, it is not shown again`,
    );
  });

  const destroy = tokens
    .command("destroy")
    .argument("<token>", "name or id")
    .description("end a token at once");
  cli.on(destroy, async call => {
    const api = call.context.api();
    const reference = firstArgument(call);
    const token = (await api.list("/tokens", tokenSchema)).find(
      ({ id, name }) => id === reference || name === reference,
    );
    if (token === undefined) {
      throw new DrpError("not-found", `no token is ${reference}`, {
        advice: "See them with: drp tokens list",
      });
    }
    await api.delete(`/tokens/${encodeURIComponent(token.id)}`);
    call.context.out.done(token, `token ${token.name} ended`);
  });
}

function columns(now: EpochMs): Column<Token>[] {
  return [
    { title: "NAME", cell: token => token.name },
    { title: "ROLE", cell: token => token.role },
    { title: "ID", cell: token => token.id, dropFirst: 2 },
    { title: "CREATED", cell: token => formatAge(token.createdAt, now), dropFirst: 3 },
    { title: "EXPIRES", cell: token => formatAge(token.expiresAt, now), dropFirst: 1 },
  ];
}

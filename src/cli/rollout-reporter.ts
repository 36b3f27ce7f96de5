/** Shows a rollout under way: drawn anew in its place on a terminal, else a line for each step. */
import type { Rollout } from "../api/wire.ts";
import type { CliContext } from "./cli.ts";
import { rolloutChanges } from "./format/rollout-changes.ts";
import { renderRollout } from "./format/rollout-view.ts";
import { isEnded } from "./format/rollout-words.ts";
import { formatTime } from "./format/words.ts";

export type ShowRollout = (rollout: Rollout) => void;

/** The answer of `rollout watch`: on stdout, for programs the rollout itself each time it has changed. */
export function showOnStdout(context: CliContext, nameOf: (digest: string) => string): ShowRollout {
  const { out } = context;
  if (out.device.format !== "table") {
    return onChange((rollout, before) => {
      if (before?.revision !== rollout.revision) out.line(rollout, "");
    });
  }
  const screen = context.openScreen();
  if (screen === undefined) {
    return onChange((rollout, before) => {
      for (const { tone, text } of rolloutChanges(before, rollout, context.now()))
        out.line(rollout, `${formatTime(context.now())}  ${text}`, tone);
    });
  }
  const { widthColumns } = out.device;
  return rollout => {
    const text = renderRollout(rollout, { now: context.now(), nameOf, widthColumns, paint: out.paint });
    if (isEnded(rollout.state)) screen.end(text);
    else screen.show(text);
  };
}

/** Beside an answer for programs: lines on stderr. */
export function showOnStderr(context: CliContext): ShowRollout {
  return onChange((rollout, before) => {
    for (const { text } of rolloutChanges(before, rollout, context.now())) context.out.remark(text);
  });
}

function onChange(report: (rollout: Rollout, before: Rollout | undefined) => void): ShowRollout {
  let before: Rollout | undefined;
  return rollout => {
    report(rollout, before);
    before = rollout;
  };
}

import { describe, expect, test } from "vitest";
import type { KeptUpdate } from "../../../src/agent/machine/agent-files.ts";
import { type RunningSystem, settleBoot } from "../../../src/agent/machine/boot-outcome.ts";
import type { BootState } from "../../../src/images/grub-env.ts";

const V1 = `sha256:${"1".repeat(64)}`;
const V2 = `sha256:${"2".repeat(64)}`;
const OLD_BOOT = "11111111-1111-4111-8111-111111111111";
const NEW_BOOT = "22222222-2222-4222-8222-222222222222";

const ON_A: RunningSystem = { slot: "a", image: V1, bootId: NEW_BOOT };
const ON_B: RunningSystem = { slot: "b", image: V2, bootId: NEW_BOOT };

const idle: BootState = { confirmed: "a", trial: null, tries: 0, attempt: 7 };
const armed: BootState = { ...idle, trial: "b", tries: 1 };
const taken: BootState = { ...armed, tries: 0 };
const confirmedB: BootState = { ...idle, confirmed: "b" };

function kept(phase: KeptUpdate["phase"], change: Partial<KeptUpdate> = {}): KeptUpdate {
  return {
    rolloutId: "r-1",
    attempt: 7,
    image: V2,
    strategy: "ab",
    phase,
    doneBytes: 5,
    totalBytes: 5,
    reason: "",
    armedInBoot: phase === "armed" || phase === "trial" ? OLD_BOOT : null,
    ...change,
  };
}

interface Case {
  readonly name: string;
  readonly running: RunningSystem;
  readonly bootState: BootState | null;
  readonly kept: KeptUpdate | null;
  /** "trial" or not, the phase that is kept, its reason, and what the ESP then says. */
  readonly becomes: readonly [
    isTrial: boolean,
    phase: string | null,
    reason: string | RegExp,
    bootState: BootState,
  ];
}

const CASES: readonly Case[] = [
  { name: "an ordinary boot", running: ON_A, bootState: idle, kept: null, becomes: [false, null, "", idle] },
  ...(["fetching", "written", "confirmed", "failed", "fell-back"] as const).map(phase => ({
    name: `an ordinary boot with ${phase} kept`,
    running: ON_A,
    bootState: idle,
    kept: kept(phase),
    becomes: [false, phase, "", idle] as const,
  })),
  {
    name: "the trial boot",
    running: ON_B,
    bootState: taken,
    kept: kept("armed"),
    becomes: [true, "trial", "", taken],
  },
  {
    name: "the agent's restart in the trial",
    running: ON_B,
    bootState: taken,
    kept: kept("trial", { reason: "app" }),
    becomes: [true, "trial", "app", taken],
  },
  {
    name: "a trial whose record is lost",
    running: ON_B,
    bootState: taken,
    kept: null,
    becomes: [true, null, "", taken],
  },
  {
    name: "a trial of another attempt",
    running: ON_B,
    bootState: taken,
    kept: kept("armed", { attempt: 8 }),
    becomes: [true, null, "", taken],
  },
  {
    name: "the boot after a trial that confirmed",
    running: ON_B,
    bootState: confirmedB,
    kept: kept("confirmed"),
    becomes: [false, "confirmed", "", confirmedB],
  },
  {
    name: "a confirmation that was cut off between ESP and drp-data",
    running: ON_B,
    bootState: confirmedB,
    kept: kept("trial"),
    becomes: [false, "confirmed", "", confirmedB],
  },
  {
    name: "the fallback from a trial that said why",
    running: ON_A,
    bootState: taken,
    kept: kept("trial", { reason: "health check app: 1" }),
    becomes: [false, "fell-back", "health check app: 1", idle],
  },
  {
    name: "the fallback from a trial that was cut off",
    running: ON_A,
    bootState: taken,
    kept: kept("trial"),
    becomes: [false, "fell-back", /could say why/, idle],
  },
  {
    name: "the fallback from a slot that never reached its agent",
    running: ON_A,
    bootState: taken,
    kept: kept("armed"),
    becomes: [false, "fell-back", /before its agent started/, idle],
  },
  {
    name: "a fallback that was cut off between drp-data and ESP",
    running: ON_A,
    bootState: taken,
    kept: kept("fell-back", { reason: "app" }),
    becomes: [false, "fell-back", "app", idle],
  },
  {
    name: "a fallback whose record is lost",
    running: ON_A,
    bootState: taken,
    kept: null,
    becomes: [false, null, "", idle],
  },
  {
    name: "arming that was cut off between drp-data and ESP",
    running: ON_A,
    bootState: idle,
    kept: kept("armed"),
    becomes: [false, "written", "", idle],
  },
  {
    name: "the agent's restart between arming and reboot",
    running: ON_A,
    bootState: armed,
    kept: kept("armed", { armedInBoot: NEW_BOOT }),
    becomes: [false, "armed", "", armed],
  },
  {
    name: "a boot in which GRUB did not take the try",
    running: ON_A,
    bootState: armed,
    kept: kept("armed"),
    becomes: [false, "failed", /GRUB did not take the trial of slot b/, idle],
  },
  {
    name: "disarming that was cut off between ESP and drp-data",
    running: ON_A,
    bootState: idle,
    kept: kept("armed", { armedInBoot: NEW_BOOT }),
    becomes: [false, "written", "", idle],
  },
  {
    name: "a lost environment block without an update",
    running: ON_B,
    bootState: null,
    kept: null,
    becomes: [false, null, "", { ...confirmedB, attempt: 0 }],
  },
  {
    name: "a lost environment block with an armed trial",
    running: ON_A,
    bootState: null,
    kept: kept("armed"),
    becomes: [false, "failed", /environment block .* was lost/, { ...idle, attempt: 0 }],
  },
  {
    name: "GRUB's way out of an empty confirmed slot",
    running: ON_A,
    bootState: confirmedB,
    kept: null,
    becomes: [false, null, "", idle],
  },
  {
    name: "the agent's restart before a reimage",
    running: ON_A,
    bootState: idle,
    kept: kept("armed", { strategy: "reimage", armedInBoot: NEW_BOOT }),
    becomes: [false, "armed", "", idle],
  },
  {
    name: "a reimage that came back from its own disk",
    running: ON_A,
    bootState: idle,
    kept: kept("armed", { strategy: "reimage" }),
    becomes: [false, "failed", /the network did not install it/, idle],
  },
];

describe("settleBoot()", () => {
  test.each(CASES)("knows $name", ({ running, bootState, kept, becomes }) => {
    const outcome = settleBoot(running, bootState, kept);
    const [isTrial, phase, reason, nextBootState] = becomes;
    expect(outcome.isTrial).toBe(isTrial);
    expect(outcome.kept?.phase ?? null).toBe(phase);
    expect(outcome.kept?.reason ?? "").toMatch(reason instanceof RegExp ? reason : new RegExp(`^${reason}$`));
    expect(outcome.bootState).toEqual(nextBootState);
  });

  test.each(CASES)("settles $name once: a second look changes nothing", ({ running, bootState, kept }) => {
    const once = settleBoot(running, bootState, kept);
    expect(settleBoot(running, once.bootState, once.kept)).toEqual(once);
  });

  test.each(CASES)("never leaves a trial armed on the way back ($name)", ({ running, bootState, kept }) => {
    const outcome = settleBoot(running, bootState, kept);
    if (outcome.kept?.phase === "armed") return;
    expect(outcome.bootState.tries).toBe(0);
  });
});

import { useEffect, useState } from "preact/hooks";
import type { BootExplanation, ExplainedBoot } from "../api/wire.ts";
import { formatDuration } from "../core/time.ts";
import { getBoots } from "./api.ts";
import { age, clockTime, dayAndTime, sentence, type Tone } from "./words.ts";

interface Props {
  readonly machineId: string;
  /** Another one: something has happened, and the boots are read again. */
  readonly newestEventId: number;
  readonly now: number;
}

/** The newest boots of a machine, the latest first and open: how far each came, why it went no further, what to do. */
export function Boots({ machineId, newestEventId, now }: Props) {
  const explanation = useBoots(machineId, newestEventId);
  if (explanation === undefined) return <p class="quiet">Reading…</p>;
  if (explanation === "failed") return <p class="quiet">The boots cannot be read now.</p>;
  if (explanation.silence !== null) return <Verdict verdict={explanation.silence} />;
  return (
    <div class="boots">
      {explanation.boots.toReversed().map((boot, index, newestFirst) => (
        <Boot
          key={boot.startedAt}
          boot={boot}
          next={newestFirst[index - 1]}
          isNewest={index === 0}
          now={now}
        />
      ))}
    </div>
  );
}

interface BootProps {
  readonly boot: ExplainedBoot;
  readonly next: ExplainedBoot | undefined;
  readonly isNewest: boolean;
  readonly now: number;
}

function Boot({ boot, next, isNewest, now }: BootProps) {
  const { startedAt, lastAt, clients, verdict } = boot;
  const when =
    next === undefined
      ? age(lastAt, now)
      : `it began to boot again ${formatDuration(next.startedAt - lastAt)} later`;
  return (
    <details class="boot" open={isNewest}>
      <summary>
        <time dateTime={new Date(startedAt).toISOString()} title={dayAndTime(startedAt)}>
          {clockTime(startedAt)}
        </time>{" "}
        <span class={`pill ${verdict.tone}`}>{VERDICT_WORDS[verdict.tone]}</span>{" "}
        <span class="quiet">{clients.join(", then ")}</span>
      </summary>
      <ol class="steps" aria-label="Stages of the boot">
        {boot.stages.map(({ name, state, note }) => (
          <li key={name} class={`step ${STAGE_TONES[state]}`}>
            {sentence(name)} <span class="detail quiet">{note || STAGE_WORDS[state]}</span>
          </li>
        ))}
      </ol>
      <Verdict verdict={verdict} when={when} />
      <ol class="packets" aria-label="Packets and decisions">
        {boot.lines.map(line => (
          <li key={`${line.at} ${line.title}`} class={line.tone}>
            <time title={dayAndTime(line.at)}>{sinceStart(line.at - startedAt)}</time>
            <span>
              <b>{line.title}</b> {line.text}
              {line.times > 1 && (
                <span class="quiet">
                  {" "}
                  ({line.times} times in {formatDuration(line.untilAt - line.at)})
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function Verdict({
  verdict,
  when,
}: {
  readonly verdict: NonNullable<BootExplanation["silence"]>;
  readonly when?: string;
}) {
  const { tone, last, meaning, advice } = verdict;
  return (
    <div class={`explained verdict ${tone}`}>
      <p>
        {begin(last)}
        {when !== undefined && ` (${when})`}.
      </p>
      {meaning !== "" && (
        <p>
          {tone === "bad" ? "Likely: " : ""}
          {tone === "bad" ? meaning : begin(meaning)}.
        </p>
      )}
      {advice.length > 0 && (
        <ul>
          {advice.map(text => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

const VERDICT_WORDS = { good: "fine", busy: "under way", bad: "stopped", quiet: "nothing to do" } as const;
const STAGE_TONES: Record<ExplainedBoot["stages"][number]["state"], Tone> = {
  done: "good",
  going: "busy",
  failed: "bad",
  open: "quiet",
};
const STAGE_WORDS = { done: "done", going: "under way", failed: "failed", open: "not reached" } as const;

/** As a sentence; names of files and machines keep their letters. */
function begin(text: string): string {
  return /^[a-z]+ /.test(text) ? sentence(text) : text;
}

/** "+7.1 s", "+4 min 10 s"; events of the site may stand before the boot. */
function sinceStart(durationMs: number): string {
  const ms = Math.abs(durationMs);
  const text = ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms);
  return `${durationMs < 0 ? "−" : "+"}${text}`;
}

function useBoots(machineId: string, newestEventId: number): BootExplanation | "failed" | undefined {
  const [explanation, setExplanation] = useState<BootExplanation | "failed">();
  // Whatever happens to the machine may be part of a boot.
  useEffect(() => {
    let wanted = true;
    getBoots(machineId).then(
      boots => wanted && setExplanation(boots),
      () => wanted && setExplanation("failed"),
    );
    return () => {
      wanted = false;
    };
  }, [machineId, newestEventId]);
  return explanation;
}

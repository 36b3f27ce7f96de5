import { useRef, useState } from "preact/hooks";
import type { Rollout } from "../api/wire.ts";
import { orderRollout, type RolloutOrder, type Session } from "./api.ts";

interface Props {
  readonly rollout: Rollout;
  readonly role: Session["role"];
}

/** Pause, resume, roll back: for those who may, while the rollout can still hear it. */
export function RolloutActions({ rollout, role }: Props) {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");
  const dialog = useRef<HTMLDialogElement>(null);
  const { state, plan, id } = rollout;
  const mayOrder = role === "admin" || role === "operator";
  if (!mayOrder || (state.kind !== "running" && state.kind !== "paused")) return null;

  const give = async (order: RolloutOrder) => {
    setBusy(true);
    setRefusal("");
    try {
      await orderRollout(id, order);
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const titleId = `rollback-${id}`;
  return (
    <div class="actions">
      <button
        type="button"
        class="plain"
        disabled={busy}
        onClick={() => give(state.kind === "running" ? "pause" : "resume")}
      >
        {state.kind === "running" ? "Pause" : "Resume"}
      </button>
      <button type="button" class="plain danger" disabled={busy} onClick={() => dialog.current?.showModal()}>
        Roll back…
      </button>
      <dialog
        ref={dialog}
        class="confirm card"
        aria-labelledby={titleId}
        onClose={event => {
          if (event.currentTarget.returnValue === "rollback") void give("rollback");
          event.currentTarget.returnValue = "";
        }}
      >
        <form method="dialog">
          <h3 id={titleId}>Roll {plan.imageName} back?</h3>
          <p>
            {plural(touched(rollout))} updated or on the way to it: each goes back to what it ran before. The
            others stay as they are.
          </p>
          <div class="actions">
            <button type="submit" class="plain" value="">
              Keep going
            </button>
            <button type="submit" class="primary danger" value="rollback">
              Roll back
            </button>
          </div>
        </form>
      </dialog>
      {refusal !== "" && (
        <p class="refusal" role="alert">
          {refusal}
        </p>
      )}
    </div>
  );
}

function touched({ machines }: Rollout): number {
  return Object.values(machines).filter(({ kind }) => kind !== "queued").length;
}

const plural = (count: number) => (count === 1 ? "1 machine is" : `${count} machines are`);

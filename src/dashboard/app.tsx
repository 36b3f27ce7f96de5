import { useEffect, useState } from "preact/hooks";
import { signOut } from "./api.ts";
import { EventList } from "./event-list.tsx";
import type { Fleet } from "./fleet.ts";
import { Header } from "./header.tsx";
import { ImageList } from "./image-list.tsx";
import { Installs } from "./installs.tsx";
import { MachinePanel } from "./machine-panel.tsx";
import { MachineTable } from "./machine-table.tsx";
import { Rollouts } from "./rollouts.tsx";
import { SignIn } from "./sign-in.tsx";
import { SiteList } from "./site-list.tsx";
import { Summary } from "./summary.tsx";
import { type Line, useFleet } from "./use-fleet.ts";
import { useNow } from "./use-now.ts";

export function App() {
  const [state, restart] = useFleet();
  switch (state.kind) {
    case "signed-out":
      return <SignIn onSignedIn={restart} />;
    case "loading":
      return <p class="notice">Reading the fleet…</p>;
    case "failed":
      return (
        <p class="notice" role="alert">
          The hub does not answer: {state.reason} Trying again…
        </p>
      );
    case "ready":
      return <Page fleet={state.fleet} line={state.line} onSignOut={() => void signOut().finally(restart)} />;
  }
}

function Page({ fleet, line, onSignOut }: { fleet: Fleet; line: Line; onSignOut: () => void }) {
  const [machineId, openMachine] = useMachineInAddress();
  const now = useNow();
  const machine = fleet.machines.find(({ id }) => id === machineId);
  return (
    <>
      <Header status={fleet.status} line={line} onSignOut={onSignOut} />
      <main>
        <Rollouts fleet={fleet} />
        <Summary machines={fleet.machines} />
        <Installs fleet={fleet} onOpen={openMachine} />
        <MachineTable fleet={fleet} now={now} openId={machineId} onOpen={openMachine} />
        <div class="columns">
          <EventList events={fleet.events} machines={fleet.machines} now={now} onOpen={openMachine} />
          <div class="stack">
            <SiteList fleet={fleet} now={now} />
            <ImageList images={fleet.images} now={now} />
          </div>
        </div>
      </main>
      {machine !== undefined && (
        <MachinePanel
          key={machine.id}
          fleet={fleet}
          machine={machine}
          now={now}
          onClose={() => openMachine(undefined)}
        />
      )}
    </>
  );
}

/** The open machine stands in the address, so that it survives a reload and can be sent to somebody. */
function useMachineInAddress(): readonly [string | undefined, (id: string | undefined) => void] {
  const read = () => /^#machine=(.+)$/.exec(location.hash)?.[1];
  const [id, setId] = useState(read);
  useEffect(() => {
    const follow = () => setId(read());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const open = (next: string | undefined) => {
    history.replaceState(null, "", next === undefined ? location.pathname : `#machine=${next}`);
    setId(next);
  };
  return [id, open];
}

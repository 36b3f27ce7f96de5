import type { Machine } from "../api/wire.ts";
import { addressOf, type Fleet, imagesOf } from "./fleet.ts";
import { StatePill } from "./pill.tsx";
import { age, healthLabel, isUpdating, needsAttention, stateReason } from "./words.ts";

interface Props {
  readonly fleet: Fleet;
  readonly now: number;
  readonly openId: string | undefined;
  readonly onOpen: (id: string) => void;
}

export function MachineTable(props: Props) {
  const { machines } = props.fleet;
  return (
    <section aria-labelledby="machines-title">
      <h2 id="machines-title">Machines</h2>
      {machines.length === 0 ? (
        <NoMachines />
      ) : (
        <div class="card table-card">
          <table>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">State</th>
                <th scope="col">Image</th>
                <th scope="col" class="wide">
                  Slot
                </th>
                <th scope="col" class="medium">
                  Checks passed
                </th>
                <th scope="col" class="medium">
                  Last seen
                </th>
                <th scope="col" class="wide">
                  Address
                </th>
                <th scope="col" class="wide">
                  Site
                </th>
              </tr>
            </thead>
            <tbody>
              {machines.map(machine => (
                <Row key={machine.id} machine={machine} {...props} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ machine, fleet, now, openId, onOpen }: Props & { machine: Machine }) {
  const { running, coming } = imagesOf(fleet, machine);
  return (
    <tr class={machine.id === openId ? "open" : ""} onClick={() => onOpen(machine.id)}>
      <th scope="row">
        <button type="button" class="link" aria-haspopup="dialog">
          {machine.name}
        </button>
      </th>
      <td>
        <StatePill kind={isUpdating(machine) ? "updating" : machine.state.kind} />
        {needsAttention(machine.state.kind) && (
          <span class="reason medium">{stateReason(machine.state)}</span>
        )}
      </td>
      <td class="image">
        {running ?? (coming === undefined ? "–" : "")}
        {coming !== undefined && (
          <span class="quiet">
            {running === undefined ? "→ " : " → "}
            {coming}
          </span>
        )}
      </td>
      <td class="wide">{machine.running?.slot ?? "–"}</td>
      <td class="medium">{healthLabel(machine)}</td>
      <td class="medium">{age(machine.lastSeenAt, now)}</td>
      <td class="wide code">{addressOf(fleet, machine) ?? machine.macs[0]}</td>
      <td class="wide">{machine.siteName}</td>
    </tr>
  );
}

function NoMachines() {
  return (
    <div class="card empty">
      <p>
        <strong>No machines yet.</strong> Power one on with network boot in the same network as this hub: it
        shows up here by itself, within a minute.
      </p>
      <p>Or enter one first, so that it has a name:</p>
      <pre>
        <code>drp machines create NAME --mac 52:54:00:12:34:56</code>
      </pre>
      <p class="quiet">
        Nothing comes? <code>drp doctor</code> asks the network what a booting machine would meet.
      </p>
    </div>
  );
}

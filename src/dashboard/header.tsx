import type { Status } from "../api/wire.ts";
import type { Line } from "./use-fleet.ts";

type Service = Status["services"][number];

export function Header({ status, line, onSignOut }: { status: Status; line: Line; onSignOut: () => void }) {
  const off = status.services.filter(service => service.state === "off");
  return (
    <header>
      <div class="bar">
        <h1 class="brand">drp</h1>
        <span class="quiet version">{status.version}</span>
        <ul class="services" aria-label="Services of this hub">
          {status.services.map(service => (
            <li key={service.name} class={`service ${service.state}`} title={service.detail}>
              {service.name} <span class="word">{service.state}</span>
            </li>
          ))}
        </ul>
        <span class={`line ${line}`} role="status">
          {line === "live" ? "Live" : "Reconnecting…"}
        </span>
        <button type="button" class="plain" onClick={onSignOut}>
          Sign out
        </button>
      </div>
      {off.length > 0 && <OffServices services={off} />}
    </header>
  );
}

function OffServices({ services }: { services: readonly Service[] }) {
  return (
    <ul class="off-services" aria-label="Services that are off, and why">
      {services.map(service => (
        <li key={service.name}>
          <strong>{service.name} is off</strong> {service.detail}
        </li>
      ))}
    </ul>
  );
}

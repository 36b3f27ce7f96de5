/** Which reservation of a subnet a client has. Knows what messages carry, not which addresses are free. */
import type { Ipv4 } from "../core/ipv4.ts";
import type { ClientKey } from "./client-key.ts";
import { type DhcpOptions, OPTION } from "./options.ts";
import { readRelayAgent } from "./relay-agent.ts";
import type { Reservation } from "./subnet.ts";

export class ReservationTable {
  private readonly byClient = new Map<ClientKey, Reservation>();
  private readonly byClientId = new Map<string, Reservation>();
  private readonly byCircuit = new Map<string, Reservation>();
  private readonly circuitByAddress = new Map<Ipv4, Reservation>();

  constructor(reservations: readonly Reservation[]) {
    for (const reservation of reservations) {
      const { client, address } = reservation;
      switch (client.kind) {
        case "mac":
          this.byClient.set(client.mac, reservation);
          break;
        case "client-id":
          this.byClientId.set(client.clientId, reservation);
          break;
        case "circuit":
          this.byCircuit.set(circuitKey(client.circuitId, client.remoteId), reservation);
          this.circuitByAddress.set(address, reservation);
          break;
      }
    }
  }

  /**
   * By hardware address first, because it is the machine; then by identifier, which a new card keeps; last by the relay's
   * port, which says where somebody is and not who.
   *
   * @param held what the client holds now: a renewal goes past the relay and carries no option 82, and keeps the reservation
   *   of the port that its lease came by
   */
  find(client: ClientKey, options: DhcpOptions, held: Ipv4 | undefined): Reservation | undefined {
    return this.byClient.get(client) ?? this.findByIdentifier(options) ?? this.findByCircuit(options, held);
  }

  private findByIdentifier(options: DhcpOptions): Reservation | undefined {
    if (this.byClientId.size === 0) return undefined;
    const identifier = options.get(OPTION.clientIdentifier);
    return identifier === undefined ? undefined : this.byClientId.get(hex(identifier));
  }

  private findByCircuit(options: DhcpOptions, held: Ipv4 | undefined): Reservation | undefined {
    if (this.byCircuit.size === 0) return undefined;
    const relay = readRelayAgent(options);
    if (relay === undefined) return held === undefined ? undefined : this.circuitByAddress.get(held);
    const { circuitId, remoteId } = relay;
    if (circuitId === undefined) return undefined;
    const circuit = hex(circuitId);
    const withRemote =
      remoteId === undefined ? undefined : this.byCircuit.get(circuitKey(circuit, hex(remoteId)));
    return withRemote ?? this.byCircuit.get(circuitKey(circuit, null));
  }
}

function circuitKey(circuitId: string, remoteId: string | null): string {
  return remoteId === null ? circuitId : `${circuitId}/${remoteId}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

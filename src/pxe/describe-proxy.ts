/** A ProxyDHCP decision as a line of the machine's timeline. */
import type { BootEvent } from "../dhcp/boot-event.ts";
import type { DhcpReply, DhcpSilence, ReceivedOn } from "../dhcp/decide.ts";
import { describeDecision } from "../dhcp/describe.ts";
import { OPTION, readUint8 } from "../dhcp/options.ts";
import type { DhcpMessage } from "../dhcp/packet.ts";
import { MESSAGE_TYPE } from "../dhcp/packet.ts";
import type { ProxyDecision } from "./proxy.ts";

/** "proxy.offer", "proxy.ack" or "proxy.silent". */
export function proxyEventKind(decision: ProxyDecision): string {
  if (decision.kind === "silent") return "proxy.silent";
  const isOffer = readUint8(decision.message.options, OPTION.messageType) === MESSAGE_TYPE.offer;
  return isOffer ? "proxy.offer" : "proxy.ack";
}

/** The facts are those of DHCP's own events. */
export function describeProxyDecision(
  message: DhcpMessage,
  receivedOn: ReceivedOn,
  decision: ProxyDecision,
): BootEvent {
  const asDhcp: DhcpReply | DhcpSilence =
    decision.kind === "silent"
      ? { kind: "silent", change: null, notice: null, because: null, reason: decision.reason }
      : { ...decision, change: null, probe: null, because: null };
  const { summary, facts } = describeDecision(message, receivedOn, asDhcp);
  const because =
    decision.kind === "silent" && decision.because !== null ? { because: decision.because } : {};
  return { kind: proxyEventKind(decision), summary, facts: { ...facts, ...because } };
}

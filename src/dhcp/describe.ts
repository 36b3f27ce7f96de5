/** A DHCP decision as a line of the machine's timeline. */
import { formatIpv4, UNSPECIFIED } from "../core/ipv4.ts";
import type { BootEvent } from "./boot-event.ts";
import type { DhcpDecision } from "./decide.ts";
import { OPTION, readText, readUint8, readUint16 } from "./options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "./packet.ts";

const TYPE_NAMES = new Map<number, string>(Object.entries(MESSAGE_TYPE).map(([name, type]) => [type, name]));

/** "dhcp.offer", "dhcp.ack", "dhcp.nak" or "dhcp.silent", with what the client said of itself. */
export function describeDecision(message: DhcpMessage, decision: DhcpDecision): BootEvent {
  const asked = typeName(message);
  const answered = decision.kind === "reply" ? typeName(decision.message) : "silent";
  return {
    kind: `dhcp.${answered}`,
    summary: `${asked.toUpperCase()}: ${decision.reason}`,
    facts: {
      asked,
      ...(decision.kind === "reply" ? replyFacts(decision.message) : {}),
      ...clientFacts(message),
    },
  };
}

function typeName(message: DhcpMessage): string {
  return TYPE_NAMES.get(readUint8(message.options, OPTION.messageType) ?? 0) ?? "bootp";
}

function replyFacts(reply: DhcpMessage): Record<string, string> {
  const file = reply.file === "" ? readText(reply.options, OPTION.bootFile) : reply.file;
  return {
    ...(reply.yiaddr === UNSPECIFIED ? {} : { address: formatIpv4(reply.yiaddr) }),
    ...(file === undefined ? {} : { file }),
  };
}

function clientFacts(message: DhcpMessage): Record<string, string | number> {
  const vendorClass = readText(message.options, OPTION.vendorClass);
  const architecture = readUint16(message.options, OPTION.clientArchitecture);
  return {
    ...(vendorClass === undefined ? {} : { vendorClass }),
    ...(architecture === undefined ? {} : { architecture }),
    ...(message.giaddr === UNSPECIFIED ? {} : { relay: formatIpv4(message.giaddr) }),
  };
}

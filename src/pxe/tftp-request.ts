/**
 * What is done with a packet that came to the TFTP port, before any file is looked for. Knows packets and who may not be
 * answered; neither files nor transfers.
 */
import { TFTP_ERROR, type TftpPacket, type TftpRequest } from "./tftp-packet.ts";

export type RequestDecision =
  | { readonly kind: "look-up"; readonly name: string; readonly request: TftpRequest }
  | { readonly kind: "refuse"; readonly name: string; readonly code: number; readonly message: string }
  | { readonly kind: "ignore"; readonly reason: string };

/**
 * @param packet undefined: it could not be decoded
 * @param remotePort 0 is nobody's: it cannot be answered (RFC 768 lets a sender leave it out)
 */
export function decideTftpRequest(packet: TftpPacket | undefined, remotePort: number): RequestDecision {
  if (remotePort === 0) return { kind: "ignore", reason: "it came from port 0" };
  // No answer to what is no request: two servers could else answer each other for ever.
  if (packet === undefined) return { kind: "ignore", reason: "it is no TFTP packet" };
  if (packet.kind === "ack" || packet.kind === "error") {
    return { kind: "ignore", reason: "it belongs to a transfer that has ended, or to none" };
  }
  const name = servedName(packet.fileName);
  if (packet.kind === "write") {
    const message = "this server is read only";
    return { kind: "refuse", name, code: TFTP_ERROR.accessViolation, message };
  }
  if (packet.mode !== "octet") {
    // One line, for it is what an old ROM shows.
    const message = `mode ${printable(packet.mode)} is not served; ask for octet`;
    return { kind: "refuse", name, code: TFTP_ERROR.undefined, message };
  }
  return { kind: "look-up", name, request: packet };
}

/**
 * The name as it is in the table of what is served: with slashes, none in front, and without the rubbish behind it that
 * PXE ROMs send which read past the end of DHCP option 67 ("pxelinux.0\xff": Intel's UNDI PXE 2.1, docs of netboot.xyz,
 * "TFTP filename issues"). It is looked up and never becomes a path, so that ".." in it means nothing.
 */
export function servedName(fileName: string): string {
  const [clean = ""] = fileName.split(/[^\x20-\x7e]/, 1);
  return clean.replaceAll(/[\\/]+/g, "/").replace(/^\//, "");
}

/** A stranger's text, fit for a log line. */
export function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 128);
}

export type RepeatedRequest =
  /** Of the transfer that runs: its first packet may have been lost. */
  | "same"
  /** The client began anew, or asks for the next file from the same port: the old transfer is over. */
  | "new";

/** Longer than a network holds a packet back, shorter than a machine takes to restart. */
const RESTART_AFTER_MS = 1000;

/**
 * What a request means that comes from the port of a transfer that runs. ROMs use one port again and again, also after a
 * reset; networks double packets.
 *
 * @param sinceProgressMs since the running transfer last heard from the client
 */
export function judgeRepeatedRequest(
  running: { readonly request: TftpRequest; readonly confirmed: boolean },
  request: TftpRequest,
  sinceProgressMs: number,
): RepeatedRequest {
  if (running.request.fileName !== request.fileName) return "new";
  return running.confirmed && sinceProgressMs >= RESTART_AFTER_MS ? "new" : "same";
}

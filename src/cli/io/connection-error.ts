/** Node's socket and TLS errors in our words, translated at this one edge. */
import { DrpError } from "../../core/errors.ts";

const TLS_CODES = /^(?:UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|CERT_|ERR_TLS_CERT)/;

export function toConnectionError(cause: unknown, endpoint: URL): DrpError {
  if (cause instanceof DrpError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const [what, advice] = explain(code, endpoint);
  return new DrpError("hub.unreachable", what, { cause, advice });
}

function explain(code: string, endpoint: URL): [what: string, advice: string] {
  const hub = `the hub at ${endpoint.origin}`;
  if (code === "ECONNREFUSED") {
    return [
      `nothing listens at ${endpoint.origin}`,
      "Start the hub with `drp serve`, or point DRP_ENDPOINT at it.",
    ];
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return [`no host is named ${endpoint.hostname}`, "Check DRP_ENDPOINT."];
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return [`the certificate of ${hub} is not valid now`, "Check the clocks of both hosts."];
  }
  if (TLS_CODES.test(code)) {
    return [
      `${hub} could not prove who it is`,
      "Set DRP_CA to the ca.pem of the hub's data folder, and use a host name that its certificate holds.",
    ];
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL")) {
    return [
      `what answers at ${endpoint.origin} does not speak TLS`,
      "Check the port in DRP_ENDPOINT (8092 by default).",
    ];
  }
  return [`the connection to ${hub} broke`, "Check the network between here and the hub, then try again."];
}

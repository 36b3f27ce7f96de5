/** Odd clients' messages through real sockets; what is said is kept as text in test/fixtures/exchanges/peculiar. */
import { describeMessages } from "./helpers/describe-messages.ts";
import { PECULIAR_CLIENTS, PECULIAR_RESERVATIONS } from "./peculiar-clients.ts";

describeMessages("peculiar clients", "peculiar", PECULIAR_CLIENTS, { reservations: PECULIAR_RESERVATIONS });

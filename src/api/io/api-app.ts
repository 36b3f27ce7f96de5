/** The routes, the dashboard's files and the problem documents as one Express application. */
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from "express";
import helmet from "helmet";
import { DrpError } from "../../core/errors.ts";
import { Authenticator } from "../authenticator.ts";
import type { ApiDeps } from "../deps.ts";
import { openApiDocument } from "../openapi.ts";
import { invalidRequest, toProblem } from "../problem.ts";
import type { Answer, Call, Route } from "../route.ts";
import { apiRoutes } from "../routes.ts";
import { sendEventStream } from "./event-stream.ts";
import { requireCaller } from "./guard.ts";
import { formatSessionCookie } from "./session-cookie.ts";

/** The largest request that is not an image: a machine with its labels is 10 KB. */
const MAX_JSON_BYTES = 1024 * 1024;

export interface ApiAppOptions extends ApiDeps {
  readonly version: string;
  /** A file of the dashboard; undefined when there is none of that name. */
  readonly readDashboardFile: (path: string) => Buffer | undefined;
  /** Told about every failure that is ours. */
  readonly onError: (error: unknown, request: string) => void;
}

export function createApiApp(options: ApiAppOptions): Express {
  const authenticator = new Authenticator(options.store, options.clock);
  const routes = apiRoutes(options, authenticator);
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.use(securityHeaders());
  for (const route of routes)
    app[route.method](toExpressPath(route.path), ...handlers(route, options, authenticator));
  const document = openApiDocument(routes, options.version);
  app.get("/api/v1/openapi.json", (_request, response) => void response.json(document));
  app.use(serveDashboard(options.readDashboardFile));
  app.use((request: Request) => {
    throw new DrpError("not-found", `there is no ${request.method} ${request.path} here`, {
      advice: "All routes are listed in /api/v1/openapi.json.",
    });
  });
  app.use(answerProblem(options.onError));
  return app;
}

/** The dashboard may load and call nothing but this hub. */
function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        imgSrc: ["'self'", "data:"],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    // Certificates of the hub's own CA: a browser that keeps this would lock people out after a reinstall.
    strictTransportSecurity: false,
  });
}

/** "/machines/{machine}" → "/machines/:machine" */
function toExpressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

function handlers(route: Route, options: ApiAppOptions, authenticator: Authenticator): RequestHandler[] {
  const readJson = typeof route.body === "object" ? [express.json({ limit: MAX_JSON_BYTES })] : [];
  const guard: RequestHandler = async (request, response, next) => {
    response.locals.caller = await requireCaller(request, route, authenticator);
    next();
  };
  const answer: RequestHandler = async (request, response) => {
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const call: Call<unknown, unknown> = {
      param: name => String(request.params[name] ?? ""),
      query: readQuery(route, request),
      body: readBody(route, request),
      caller: response.locals.caller,
      expectedRevision: readIfMatch(request.get("if-match")),
      upload: request,
      wantsEventStream: request.accepts(["application/json", "text/event-stream"]) === "text/event-stream",
      lastEventId: readEventId(request.get("last-event-id")),
      gone: gone.signal,
      remoteAddress: request.socket.remoteAddress ?? "",
    };
    await sendAnswer(response, route, await route.handle(call), options);
  };
  return [guard, ...readJson, answer];
}

function readQuery(route: Route, request: Request): unknown {
  if (route.query === undefined) return undefined;
  const parsed = route.query.safeParse(request.query);
  if (!parsed.success) throw invalidRequest("query", parsed.error);
  return parsed.data;
}

function readBody(route: Route, request: Request): unknown {
  if (typeof route.body !== "object") return undefined;
  if (!request.is("application/json")) {
    throw new DrpError("request.invalid", "body: this request needs a JSON body", {
      advice: "Send it with Content-Type: application/json.",
    });
  }
  const parsed = route.body.safeParse(request.body);
  if (!parsed.success) throw invalidRequest("body", parsed.error);
  return parsed.data;
}

/** `"7"` or `*`; @throws {DrpError} request.invalid for what cannot be an ETag of ours */
function readIfMatch(header: string | undefined): number | undefined {
  if (header === undefined || header === "*") return undefined;
  const revision = /^"(\d{1,15})"$/.exec(header)?.[1];
  if (revision === undefined)
    throw new DrpError("request.invalid", `If-Match: ${header} is not an ETag of this hub`);
  return Number(revision);
}

function readEventId(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

async function sendAnswer(
  response: Response,
  route: Route,
  answer: Answer,
  { store, stopping }: ApiAppOptions,
): Promise<void> {
  if (answer.kind === "event-stream") return sendEventStream(response, store, answer.filter, stopping);
  response.status(route.status).set("cache-control", "no-store");
  if ("session" in answer && answer.session !== undefined) {
    response.set("set-cookie", formatSessionCookie(answer.session));
  }
  if (answer.kind === "empty") response.end();
  else if (answer.kind === "text") response.type(answer.type).send(answer.text);
  else {
    if (answer.revision !== undefined) response.set("etag", `"${answer.revision}"`);
    response.json(answer.value);
  }
}

function serveDashboard(readFile: ApiAppOptions["readDashboardFile"]): RequestHandler {
  return (request, response, next) => {
    if (request.method !== "GET" && request.method !== "HEAD") return next();
    const path = request.path === "/" ? "index.html" : request.path.slice(1);
    const file = readFile(path);
    if (file === undefined) return next();
    // Vite names what is in assets/ by its content.
    const cache = path.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache";
    response
      .set("cache-control", cache)
      .type(path.slice(path.lastIndexOf(".")))
      .send(file);
  };
}

function answerProblem(onError: ApiAppOptions["onError"]): ErrorRequestHandler {
  return (thrown: unknown, request: Request, response: Response, _next) => {
    const error = translateExpressError(thrown);
    const problem = toProblem(error);
    if (problem.status >= 500) onError(error, `${request.method} ${request.path}`);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    if (error instanceof DrpError && error.code === "auth.limited") {
      response.set("retry-after", String(error.facts.waitSeconds));
    }
    if (error instanceof DrpError && error.code === "auth.missing")
      response.set("www-authenticate", "Bearer");
    // A session whose token has ended must not go on failing at every poll of an open page.
    if (error instanceof DrpError && error.code === "auth.rejected") {
      response.set("set-cookie", formatSessionCookie(null));
    }
    response
      .status(problem.status)
      .set("cache-control", "no-store")
      .type("application/problem+json")
      .json(problem);
  };
}

/** Express and its body parser throw http-errors, whose `type` says what went wrong. */
function translateExpressError(error: unknown): unknown {
  if (error instanceof DrpError || !(error instanceof Error)) return error;
  const { type, status } = error as { type?: unknown; status?: unknown };
  if (type === "entity.too.large") {
    return new DrpError("request.too-large", `the body is larger than ${MAX_JSON_BYTES} bytes`);
  }
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new DrpError("request.invalid", `the request cannot be read: ${error.message}`, { cause: error });
  }
  return error;
}

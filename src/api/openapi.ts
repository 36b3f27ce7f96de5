/** The OpenAPI 3.1 document, made from the same routes that are served. */
import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from "@asteasolutions/zod-to-openapi";
import { z } from "zod";
import type { Route } from "./route.ts";
import { eventSchema, problemSchema } from "./wire.ts";

const PATH_PARAMETER = /\{(\w+)\}/g;

export function openApiDocument(routes: readonly Route[], version: string) {
  const registry = new OpenAPIRegistry();
  registry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  for (const route of routes) registry.registerPath(describeRoute(route));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: "3.1.0",
    info: {
      title: "drp",
      version,
      description: "Provisions edge fleets. Roles: admin > operator > ci > viewer.",
    },
  });
}

function describeRoute(route: Route): RouteConfig {
  const parameters = [...route.path.matchAll(PATH_PARAMETER)].map(([, name = ""]) => [name, z.string()]);
  return {
    method: route.method,
    path: route.path,
    summary: route.summary,
    description: route.role === "open" ? "Open to anyone." : `Needs the role ${route.role} or a higher one.`,
    security: route.role === "open" ? [] : [{ token: [] }],
    request: {
      ...(parameters.length === 0 ? {} : { params: z.object(Object.fromEntries(parameters)) }),
      ...(route.query === undefined ? {} : { query: route.query }),
      ...(route.body === undefined ? {} : { body: describeBody(route.body) }),
    },
    responses: {
      [route.status]: { description: route.summary, ...describeAnswer(route) },
      default: {
        description: "A problem document (RFC 9457); its `code` is stable and listed in docs/errors.md",
        content: { "application/problem+json": { schema: problemSchema } },
      },
    },
  };
}

function describeBody(body: z.ZodType | "stream") {
  return body === "stream"
    ? {
        required: true,
        content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
      }
    : { required: true, content: { "application/json": { schema: body } } };
}

function describeAnswer({ path, answer }: Route) {
  if (answer === undefined) return {};
  const streamed = path.endsWith("/events") ? { "text/event-stream": { schema: eventSchema } } : {};
  return { content: { "application/json": { schema: answer }, ...streamed } };
}

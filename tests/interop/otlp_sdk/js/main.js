// SPDX-License-Identifier: Apache-2.0
// One trace of two spans by the JavaScript SDK; prints its id. PROTOCOL: grpc, proto or json; the rest is told by OTEL_* variables.
const { SpanKind, SpanStatusCode, context, trace, TraceFlags } = require("@opentelemetry/api");
const { NodeTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-node");
const { resourceFromAttributes } = require("@opentelemetry/resources");

const name = { grpc: "grpc", proto: "proto", json: "http" }[process.env.PROTOCOL];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${name}`);
const exporter = new OTLPTraceExporter();
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "interop" }),
  spanProcessors: [new SimpleSpanProcessor(exporter)],
});
const tracer = provider.getTracer("interop", "1.0");
const link = { context: { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "0102030405060708", traceFlags: TraceFlags.SAMPLED } };
const parent = tracer.startSpan("parent", {
  kind: SpanKind.SERVER,
  attributes: { text: "ü", integer: 42, double: 0.5, flag: true, list: ["a", "b"] },
  links: [link],
});
const child = tracer.startSpan("child", { kind: SpanKind.CLIENT }, trace.setSpan(context.active(), parent));
child.addEvent("event", { n: 1 });
child.setStatus({ code: SpanStatusCode.ERROR, message: "broken" });
child.end();
parent.end();
provider.shutdown().then(() => console.log(parent.spanContext().traceId));

// SPDX-License-Identifier: Apache-2.0
//! One trace of two spans by the Rust SDK; prints its id. PROTOCOL: grpc, proto or json; the rest is told by OTEL_* variables.
use opentelemetry::trace::{
    Link, Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{trace::SdkTracerProvider, Resource};

fn exporter() -> SpanExporter {
    match std::env::var("PROTOCOL").unwrap().as_str() {
        "grpc" => SpanExporter::builder().with_tonic().build(),
        "json" => SpanExporter::builder().with_http().with_protocol(Protocol::HttpJson).build(),
        _ => SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build(),
    }
    .expect("an exporter")
}

fn run() -> TraceId {
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter())
        .with_resource(Resource::builder_empty().with_service_name("interop").build())
        .build();
    let tracer = provider.tracer("interop");
    let far = SpanContext::new(
        TraceId::from_hex("0102030405060708090a0b0c0d0e0f10").unwrap(),
        SpanId::from_hex("0102030405060708").unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let list = Value::Array(Array::String(vec![StringValue::from("a"), StringValue::from("b")]));
    let parent = tracer
        .span_builder("parent")
        .with_kind(SpanKind::Server)
        .with_links(vec![Link::with_context(far)])
        .with_attributes([
            KeyValue::new("text", "ü"),
            KeyValue::new("integer", 42),
            KeyValue::new("double", 0.5),
            KeyValue::new("flag", true),
            KeyValue::new("list", list),
        ])
        .start(&tracer);
    let trace_id = parent.span_context().trace_id();
    let with = Context::new().with_span(parent);
    let mut child = tracer.span_builder("child").with_kind(SpanKind::Client).start_with_context(&tracer, &with);
    child.add_event("event", vec![KeyValue::new("n", 1)]);
    child.set_status(Status::error("broken"));
    child.end();
    with.span().end();
    provider.shutdown().expect("shutdown");
    trace_id
}

#[tokio::main]
async fn main() {
    println!("{}", tokio::task::spawn_blocking(run).await.unwrap());
}

fn main() {
    datadog_opentelemetry::build::emit_otel_thread_ctx_build_instructions();
}

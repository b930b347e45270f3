// SPDX-License-Identifier: Apache-2.0

//! Spans of datadog-opentelemetry, on threads and in tokio's tasks. Prints each span's ids and, on threads, its CPU ns.

use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use opentelemetry::{global, Context};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::BatchSpanProcessor;
use std::time::Duration;

fn cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn spin(ms: u64) {
    let end = cpu_ns() + ms * 1_000_000;
    while cpu_ns() < end {}
}

fn say(context: &Context, cpu: &str) {
    let span = context.span();
    let ids = span.span_context();
    println!("span {} {} {cpu}", ids.trace_id(), ids.span_id());
}

fn within(name: &'static str, work: impl FnOnce()) {
    global::tracer("interop").in_span(name, |context| {
        let begin = cpu_ns();
        work();
        say(&context, &(cpu_ns() - begin).to_string());
    });
}

fn request() {
    within("outer", || {
        spin(3);
        std::thread::sleep(Duration::from_millis(5));
        within("inner", || {
            spin(2);
            std::thread::sleep(Duration::from_millis(4));
        });
    });
}

async fn task() {
    let context = Context::current_with_span(global::tracer("interop").start("task"));
    async {
        spin(3);
        tokio::time::sleep(Duration::from_millis(10)).await;
        spin(3);
    }
    .with_context(context.clone())
    .await;
    say(&context, "-");
    context.span().end();
}

fn main() {
    let exporter = SpanExporter::builder().with_http().build().unwrap();
    let provider = datadog_opentelemetry::tracing()
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .init();
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..10).for_each(|_| request()));
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            tokio::join!(task(), task(), task());
        }
    });
    provider.force_flush().unwrap();
    std::process::exit(0); // its own exporter would wait for an agent
}

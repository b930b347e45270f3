// SPDX-License-Identifier: Apache-2.0
// Spans of Datadog's agent on three threads. Prints each span's ids and its thread's CPU ns.
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

public class Main {
    static final ThreadMXBean cpu = ManagementFactory.getThreadMXBean();
    static final Tracer tracer = GlobalOpenTelemetry.getTracer("interop");

    interface Work {
        void run() throws InterruptedException;
    }

    static void spin(long ms) {
        long end = cpu.getCurrentThreadCpuTime() + ms * 1_000_000;
        while (cpu.getCurrentThreadCpuTime() < end) {
        }
    }

    static void in(String name, Work work) throws InterruptedException {
        Span span = tracer.spanBuilder(name).startSpan();
        try (Scope scope = span.makeCurrent()) {
            long begin = cpu.getCurrentThreadCpuTime();
            work.run();
            long ns = cpu.getCurrentThreadCpuTime() - begin;
            System.out.println("span " + span.getSpanContext().getTraceId() + " " + span.getSpanContext().getSpanId() + " " + ns);
        } finally {
            span.end();
        }
    }

    static void request() throws InterruptedException {
        in("outer", () -> {
            spin(3);
            Thread.sleep(5);
            in("inner", () -> {
                spin(2);
                Thread.sleep(4);
            });
        });
    }

    static void work() {
        try {
            for (int i = 0; i < 10; i++)
                request();
        } catch (InterruptedException interrupted) {
            throw new RuntimeException(interrupted);
        }
    }

    public static void main(String[] arguments) throws Exception {
        work(); // the agent's library is loaded by now
        System.out.println("ready");
        System.in.read();
        Thread[] threads = new Thread[3];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(Main::work);
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
    }
}

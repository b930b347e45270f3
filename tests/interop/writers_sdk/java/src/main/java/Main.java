// SPDX-License-Identifier: Apache-2.0
// Spans of Datadog's agent on three threads. Prints each span's ids, the CPU ns of its thread between the two times that
// are exported for it, and how far that may be off: the clocks are not read at one instant.
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.time.Instant;
import java.util.concurrent.ThreadLocalRandom;

public class Main {
    static final ThreadMXBean cpu = ManagementFactory.getThreadMXBean();
    static final Tracer tracer = GlobalOpenTelemetry.getTracer("interop");

    interface Work {
        void run() throws InterruptedException;
    }

    /** An exported time, with the thread's CPU clock beside it; taken again when something came in between. */
    static class Edge {
        Instant at;
        long ns, slack;

        Edge() {
            for (int i = 0; i < 3; i++) {
                long before = cpu.getCurrentThreadCpuTime();
                at = Instant.now();
                long after = cpu.getCurrentThreadCpuTime();
                ns = (before + after) / 2;
                slack = (after - before + 1) / 2;
                if (slack < 1000)
                    break;
            }
        }
    }

    static void spin(long us) {
        long end = cpu.getCurrentThreadCpuTime() + us * 1000;
        while (cpu.getCurrentThreadCpuTime() < end) {
        }
    }

    static long between(long least, long most) {
        return ThreadLocalRandom.current().nextLong(least, most + 1);
    }

    static void sleep(long us) throws InterruptedException {
        Thread.sleep(us / 1000, (int) (us % 1000) * 1000);
    }

    static void in(String name, Work work) throws InterruptedException {
        Edge start = new Edge();
        Span span = tracer.spanBuilder(name).setStartTimestamp(start.at).startSpan();
        try (Scope scope = span.makeCurrent()) {
            work.run();
        }
        Edge end = new Edge();
        span.end(end.at);
        System.out.println("span " + span.getSpanContext().getTraceId() + " " + span.getSpanContext().getSpanId() + " "
                + (end.ns - start.ns) + " " + (start.slack + end.slack));
    }

    static void request() throws InterruptedException {
        in("outer", () -> {
            spin(between(50, 3000));
            sleep(between(100, 5000));
            in("inner", () -> {
                spin(between(20, 2000));
                sleep(between(100, 4000));
            });
            in("brief", () -> spin(between(5, 200)));
            spin(between(20, 500));
        });
    }

    static void work() {
        try {
            for (int i = 0; i < 30; i++)
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

// SPDX-License-Identifier: Apache-2.0

// Spans that Grafana's otel-profiling-go publishes as pprof labels, on goroutines that keep their threads.
// Prints each span's ids, the CPU ns of its thread between the two times that are exported for it, and how far that may be
// off: the clocks are not read at one instant.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"

	pyroscope "github.com/grafana/otel-profiling-go"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"
)

var tracer trace.Tracer

func cpu() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

// An exported time, with the CPU clock beside it; taken again when something came in between.
func edge() (at time.Time, ns, slack int64) {
	for range 3 {
		before := cpu()
		at = time.Now()
		after := cpu()
		ns, slack = (before+after)/2, (after-before+1)/2
		if slack < 1000 {
			break
		}
	}
	return
}

func spin(us int64) {
	for end := cpu() + us*1e3; cpu() < end; {
	}
}

func within(ctx context.Context, name string, work func(context.Context)) {
	start, begun, slack := edge()
	ctx, span := tracer.Start(ctx, name, trace.WithTimestamp(start))
	work(ctx)
	end, ended, more := edge()
	span.End(trace.WithTimestamp(end))
	ids := span.SpanContext()
	fmt.Printf("span %s %s %d %d\n", ids.TraceID(), ids.SpanID(), ended-begun, slack+more)
}

func between(least, most int64) int64 {
	return least + rand.Int64N(most-least+1)
}

func request() {
	within(context.Background(), "outer", func(ctx context.Context) {
		spin(between(50, 3000))
		sleep(between(50, 5000))
		within(ctx, "inner", func(context.Context) {
			spin(between(20, 2000))
			sleep(between(50, 4000))
		})
		within(ctx, "brief", func(context.Context) { spin(between(5, 200)) })
		spin(between(20, 500))
	})
}

// A system call keeps the goroutine on its thread; time.Sleep would park it.
func sleep(us int64) {
	pause := unix.NsecToTimespec(us * 1e3)
	for unix.Nanosleep(&pause, &pause) == unix.EINTR {
	}
}

func main() {
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		panic(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter))
	tracer = pyroscope.NewTracerProvider(provider, pyroscope.WithSpanIDLabelScope(pyroscope.ScopeAllSpans)).Tracer("interop")
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	time.Sleep(100 * time.Millisecond)
	var group sync.WaitGroup
	for range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			runtime.LockOSThread()
			for range 30 {
				request()
			}
		}()
	}
	group.Wait()
	provider.Shutdown(context.Background())
}

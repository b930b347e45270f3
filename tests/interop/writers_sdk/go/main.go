// SPDX-License-Identifier: Apache-2.0

// Spans that Grafana's otel-profiling-go publishes as pprof labels, on goroutines that keep their threads.
// Prints each span's ids and its thread's CPU ns.
package main

import (
	"context"
	"fmt"
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

func spin(ms int64) {
	for end := cpu() + ms*1e6; cpu() < end; {
	}
}

func within(ctx context.Context, name string, work func(context.Context)) {
	ctx, span := tracer.Start(ctx, name)
	begin := cpu()
	work(ctx)
	ids := span.SpanContext()
	fmt.Printf("span %s %s %d\n", ids.TraceID(), ids.SpanID(), cpu()-begin)
	span.End()
}

func request() {
	within(context.Background(), "outer", func(ctx context.Context) {
		spin(3)
		sleep(5)
		within(ctx, "inner", func(context.Context) {
			spin(2)
			sleep(4)
		})
	})
}

// A system call keeps the goroutine on its thread; time.Sleep would park it.
func sleep(ms int64) {
	pause := unix.NsecToTimespec(ms * 1e6)
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
			for range 10 {
				request()
			}
		}()
	}
	group.Wait()
	provider.Shutdown(context.Background())
}

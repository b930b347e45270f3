// SPDX-License-Identifier: Apache-2.0

// Labels goroutines with spans, each on a thread of its own, and prints for
// each "span TID TRACE SPAN"; then "ready". Ends when its standard input does.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	_ "go.opentelemetry.io/otel/sdk"
)

func work(worker int, started *sync.WaitGroup) {
	runtime.LockOSThread()
	trace := fmt.Sprintf("%032x", 0xfeed00+worker)
	span := fmt.Sprintf("%016x", 0xabc0+worker)
	labels := pprof.Labels("trace_id", trace, "endpoint", "GET /", "span_id", span)
	pprof.Do(context.Background(), labels, func(context.Context) {
		fmt.Println("span", syscall.Gettid(), trace, span)
		started.Done()
		for {
			moment := syscall.Timespec{Nsec: 5e6}
			syscall.Nanosleep(&moment, nil)
		}
	})
}

func main() {
	var started sync.WaitGroup

	time.AfterFunc(time.Minute, func() { os.Exit(0) }) // nobody may leave us behind
	for worker := 0; worker < 3; worker++ {
		started.Add(1)
		go work(worker, &started)
	}
	started.Wait()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

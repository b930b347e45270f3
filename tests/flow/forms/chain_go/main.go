// SPDX-License-Identifier: Apache-2.0

// A Go program that waits and works at known places, as chain.c does. Reads
// a word a line, makes a span, does there what the word says, and answers
// with a line of JSON.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"syscall"
	"time"

	_ "go.opentelemetry.io/otel/sdk"
)

//go:noinline
func waitForRow() {
	moment := syscall.Timespec{Nsec: 20e6}
	syscall.Nanosleep(&moment, nil)
}

//go:noinline
func queryRows() { waitForRow() }

type report struct{}

//go:noinline
func (*report) make() { queryRows() }

//go:noinline
func renderPage() (total int) {
	for end := time.Now().Add(60 * time.Millisecond); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			total += i * total
		}
	}
	return total
}

// Words that only some forms of the program know.
var more = map[string]func(){}

//go:noinline
func handleReport(word string) {
	switch word {
	case "sleep":
		queryRows()
	case "method":
		(&report{}).make()
	case "sort":
		rows := []int{2, 1}
		sort.Slice(rows, func(a, b int) bool {
			queryRows()
			return rows[a] < rows[b]
		})
	case "spin":
		renderPage()
	default:
		more[word]()
	}
}

func makeSpan(word string) {
	var ids [24]byte
	rand.Read(ids[:])
	trace, span := fmt.Sprintf("%x", ids[:16]), fmt.Sprintf("%x", ids[16:])
	start := time.Now()
	pprof.Do(context.Background(), pprof.Labels("trace_id", trace, "span_id", span),
		func(context.Context) { handleReport(word) })
	fmt.Printf("{\"trace\": %q, \"span\": %q, \"start\": %d, \"end\": %d, \"pid\": %d}\n", trace, span,
		start.UnixNano(), time.Now().UnixNano(), os.Getpid())
}

func main() {
	runtime.LockOSThread()
	time.AfterFunc(2*time.Minute, func() { os.Exit(0) }) // nobody may leave us behind
	fmt.Println("\"started\"")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		makeSpan(lines.Text())
	}
}

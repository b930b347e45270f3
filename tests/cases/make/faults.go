// SPDX-License-Identifier: Apache-2.0

// Go programs with one fault each: `faults CASE FOLDER` writes the profiles of CASE.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

var run = 1500 * time.Millisecond

var folder string
var sink int
var kept []string

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func create(name string) *os.File {
	file, err := os.Create(filepath.Join(folder, name))
	must(err)
	return file
}

// cpu records while work runs again and again.
func cpu(name string, work func()) {
	file := create(name)
	must(pprof.StartCPUProfile(file))
	for end := time.Now().Add(run); time.Now().Before(end); {
		work()
	}
	pprof.StopCPUProfile()
	must(file.Close())
}

func named(profile, name string) {
	file := create(name)
	if profile == "heap" {
		runtime.GC()
		runtime.GC()
	}
	must(pprof.Lookup(profile).WriteTo(file, 0))
	must(file.Close())
}

//go:noinline
func burn(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i * i % 7
	}
	return sum
}

type row struct {
	ID    int
	Name  string
	Tags  map[string]string
	Items []float64
}

func rows(n int) (out []row) {
	for i := 0; i < n; i++ {
		out = append(out, row{i, fmt.Sprint("row ", i), map[string]string{"a": "b", "c": "d", "e": "f"}, []float64{1.5, 2.5, 3.5}})
	}
	return out
}

//go:noinline
func serializeResponse(in []row) int {
	out, err := json.Marshal(in)
	must(err)
	return len(out)
}

//go:noinline
func queryDB() int { return burn(200000) }

// serialization: most of the CPU in reflection-driven JSON.
func serialization() {
	in := rows(400)
	cpu("serialization.pb.gz", func() { sink += queryDB(); sink += serializeResponse(in) })
}

// Many callers, one callee: no single path shows it.
//
//go:noinline
func encodeValue(n int) int { return burn(n) }

//go:noinline
func listOrders() int { return burn(60000) + encodeValue(60000) }

//go:noinline
func showUser() int { return burn(60000) + encodeValue(60000) }

//go:noinline
func searchItems() int { return burn(60000) + encodeValue(60000) }

//go:noinline
func exportReport() int { return burn(60000) + encodeValue(60000) }

//go:noinline
func importReport() int { return burn(60000) + encodeValue(60000) }

func callee() {
	cpu("callee.pb.gz", func() { sink += listOrders() + showUser() + searchItems() + exportReport() + importReport() })
}

//go:noinline
func validateEmail(re *regexp.Regexp, text string) bool { return re.MatchString(text) }

func hotRegex() {
	re := regexp.MustCompile(`^([a-z]+)*@([a-z]+\.)+[a-z]{2,}$`)
	text := strings.Repeat("abcdef", 40) + "@example"
	cpu("regex.pb.gz", func() {
		for i := 0; i < 50; i++ {
			if validateEmail(re, text) {
				sink++
			}
		}
		sink += burn(100000)
	})
}

type node struct {
	left, right *node
	payload     [64]byte
}

//go:noinline
func buildTree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: buildTree(depth - 1), right: buildTree(depth - 1)}
}

func gcPressure() {
	live := buildTree(17)
	cpu("gc.pb.gz", func() { sink += len(buildTree(12).payload); sink += burn(20000) })
	runtime.KeepAlive(live)
}

//go:noinline
func walkTree(n *node, depth int) int {
	if n == nil {
		return 0
	}
	return burn(40) + walkTree(n.left, depth+1) + walkTree(n.right, depth+1)
}

//go:noinline
func loadTree() int { return burn(300000) }

func recursion() {
	tree := buildTree(13)
	cpu("recursion.pb.gz", func() { sink += walkTree(tree, 0); sink += loadTree() })
}

// scoreRow is small enough to be inlined into rankRows.
func scoreRow(v int) int { return v*v%31 + v%17 }

//go:noinline
func rankRows(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += scoreRow(i)
	}
	return sum
}

func inlining() {
	cpu("inlining.pb.gz", func() { sink += rankRows(700000); sink += burn(150000) })
}

type logEntry struct{ fields []string }

//go:noinline
func (e *logEntry) format() string { return strings.Join(e.fields, " ") }

// leak: the log path keeps every line it formats.
func leak() {
	runtime.MemProfileRate = 4096
	entry := &logEntry{fields: []string{strings.Repeat("x", 300), strings.Repeat("y", 300), "end"}}
	in := rows(20)
	for step := 0; step < 3; step++ {
		for i := 0; i < 4000; i++ {
			kept = append(kept, entry.format())
			sink += serializeResponse(in)
		}
		named("heap", fmt.Sprintf("leak_%d.pb.gz", step))
		time.Sleep(300 * time.Millisecond)
	}
}

// churn: much is allocated, nothing is kept.
//
//go:noinline
func decodeBatch(n int) int { return len(make([]byte, n)) }

func churn() {
	runtime.MemProfileRate = 4096
	table := make([][]byte, 2000)
	for i := range table {
		table[i] = make([]byte, 2048)
	}
	for step := 0; step < 2; step++ {
		for i := 0; i < 60000; i++ {
			sink += decodeBatch(4096 + i%3)
		}
		named("heap", fmt.Sprintf("churn_%d.pb.gz", step))
		time.Sleep(100 * time.Millisecond)
	}
	runtime.KeepAlive(table)
}

// sawtooth: a cache that is filled and emptied: the last profile is taken while it is full.
var cache [][]byte

//go:noinline
func fillCache(n int) {
	for i := 0; i < n; i++ {
		cache = append(cache, make([]byte, 8192))
	}
}

func sawtooth() {
	runtime.MemProfileRate = 4096
	for step, n := range []int{300, 1800, 200, 1500} {
		cache = nil
		fillCache(n)
		named("heap", fmt.Sprintf("sawtooth_%d.pb.gz", step))
		time.Sleep(100 * time.Millisecond)
	}
}

// lock: everybody waits for one mutex that is held too long.
var ledger sync.Mutex

//go:noinline
func postEntry() {
	ledger.Lock()
	time.Sleep(4 * time.Millisecond)
	ledger.Unlock()
}

func lock() {
	runtime.SetBlockProfileRate(1)
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for k := 0; k < 30; k++ {
				postEntry()
			}
		}()
	}
	group.Wait()
	named("block", "lock.pb.gz")
}

// regression: the second version does three times the work in parseHeader.
//
//go:noinline
func parseHeader(n int) int { return burn(n) }

//go:noinline
func routeRequest(n int) int { return burn(n) }

func regression() {
	run = 6 * time.Second // two profiles of 150 samples each differ by chance alone
	cpu("regression_0.pb.gz", func() { sink += parseHeader(100000); sink += routeRequest(200000) })
	cpu("regression_1.pb.gz", func() { sink += parseHeader(400000); sink += routeRequest(200000) })
	cpu("regression_2.pb.gz", func() { sink += parseHeader(100000); sink += routeRequest(200000) })
}

func main() {
	folder = os.Args[2]
	cases := map[string]func(){
		"serialization": serialization, "callee": callee, "regex": hotRegex, "gc": gcPressure,
		"recursion": recursion, "inlining": inlining, "leak": leak, "churn": churn, "sawtooth": sawtooth,
		"lock": lock, "regression": regression,
	}
	cases[os.Args[1]]()
}

// SPDX-License-Identifier: Apache-2.0

// Go programs with one fault each: `third CASE FOLDER` writes the profiles of CASE.
package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

var folder string
var sink int

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

func cpuFor(name string, length time.Duration, work func()) {
	file := create(name)
	must(pprof.StartCPUProfile(file))
	for end := time.Now().Add(length); time.Now().Before(end); {
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
func spin(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i ^ sum<<1
	}
	return sum
}

// Subscribers went away; every event leaves a goroutine that can never send. Six workers wait for jobs.

//go:noinline
func publishEvent(subscriber chan int, event int) { subscriber <- event }

//go:noinline
func indexWorker(jobs chan int) {
	for job := range jobs {
		sink += job
	}
}

func goroutines() {
	jobs, gone := make(chan int), make(chan int)
	for i := 0; i < 6; i++ {
		go indexWorker(jobs)
	}
	for step := 0; step < 3; step++ {
		for i := 0; i < 120; i++ {
			go publishEvent(gone, i)
		}
		time.Sleep(1100 * time.Millisecond)
		named("goroutine", fmt.Sprintf("t_goroutines_%d.pb.gz", step))
	}
}

// A channel of two slots lets two of sixteen requests work at a time; each holds its slot while it naps.

var slots = make(chan struct{}, 2)

//go:noinline
func acquireSlot() { slots <- struct{}{} }

//go:noinline
func exportReport() {
	acquireSlot()
	time.Sleep(4 * time.Millisecond)
	<-slots
}

func slotsCase() {
	runtime.SetBlockProfileRate(1)
	var all sync.WaitGroup
	for i := 0; i < 16; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for k := 0; k < 20; k++ {
				exportReport()
			}
		}()
	}
	all.Wait()
	named("block", "t_slots.pb.gz")
}

// A cache that is rebuilt under a write lock; a second, short lock beside it.

type registry struct {
	sync.RWMutex
	entries map[int]int
}

//go:noinline
func (r *registry) rebuild() {
	r.Lock()
	for i := 0; i < 20000; i++ {
		r.entries[i%500] += i
	}
	r.Unlock()
}

var countLock sync.Mutex

//go:noinline
func countHit() {
	countLock.Lock()
	sink++
	countLock.Unlock()
}

func registryCase() {
	runtime.SetMutexProfileFraction(1)
	entries := &registry{entries: map[int]int{}}
	var all sync.WaitGroup
	for i := 0; i < 6; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for k := 0; k < 150; k++ {
				entries.rebuild()
				countHit()
			}
		}()
	}
	all.Wait()
	named("mutex", "t_registry.pb.gz")
}

// A badge is drawn three times as often as before: more is allocated, nothing is kept.

//go:noinline
func renderBadge(n int) []byte { return bytes.Repeat([]byte("ab"), 3000+n%7) }

//go:noinline
func renderRow(n int) string { return strings.Repeat("row", 900+n%5) }

func badges() {
	runtime.MemProfileRate = 2048
	for step, times := range []int{1, 3} {
		for i := 0; i < 4000; i++ {
			for k := 0; k < times; k++ {
				sink += len(renderBadge(i))
			}
			sink += len(renderRow(i))
		}
		time.Sleep(1100 * time.Millisecond)
		named("heap", fmt.Sprintf("t_badges_%d.pb.gz", step))
	}
}

// Twenty-four layers of middleware, with profiler labels, above one slow step.

type handler func(ctx context.Context, n int)

func layer(name string, next handler) handler {
	return func(ctx context.Context, n int) {
		pprof.Do(ctx, pprof.Labels("layer", name, "tenant", fmt.Sprint(n%3)), func(ctx context.Context) {
			sink += spin(300)
			next(ctx, n)
		})
	}
}

//go:noinline
func scalePixels(n int) { sink += spin(n) }

//go:noinline
func resizeThumbnail() {
	scalePixels(1500000)
	scalePixels(900000)
}

//go:noinline
func writeHeaders() { sink += spin(500000) }

func thumbnails() {
	chain := handler(func(ctx context.Context, n int) {
		resizeThumbnail()
		writeHeaders()
	})
	for i := 0; i < 24; i++ {
		chain = layer(fmt.Sprintf("layer%d", i), chain)
	}
	count := 0
	cpuFor("t_thumbnails.pb.gz", 3*time.Second, func() { count++; chain(context.Background(), count) })
}

// A large index stays in memory; the collector is told to run at each 4 % of growth (GOGC=4).

type entry struct {
	next, other *entry
	text        string
}

var index []*entry

//go:noinline
func buildIndex() {
	var last *entry
	for i := 0; i < 700000; i++ {
		last = &entry{next: last, text: fmt.Sprint(i)}
		if i%3 == 0 {
			index = append(index, last)
		}
	}
}

//go:noinline
func answerPing(n int) { sink += len(fmt.Sprintf("pong %d %d", n, len(index))) + spin(400) }

func pacing() {
	buildIndex()
	debug.SetGCPercent(4)
	cpuFor("t_pacing.pb.gz", 4*time.Second, func() {
		for i := 0; i < 1000; i++ {
			answerPing(i)
		}
	})
}

// The same work, recorded for one second and for four.

//go:noinline
func parseQuery() { sink += spin(700000) }

//go:noinline
func rankHits() { sink += spin(400000) }

func windows() {
	work := func() { parseQuery(); rankHits() }
	cpuFor("t_windows_0.pb.gz", 1500*time.Millisecond, work)
	cpuFor("t_windows_1.pb.gz", 6*time.Second, work)
}

// A quarter of a second of profile.
func glimpse() {
	cpuFor("t_glimpse.pb.gz", 250*time.Millisecond, func() { parseQuery(); rankHits() })
}

// A page cache of at most 400 pages fills up and then replaces pages: it looks like a leak at first.

var pages = map[int][]byte{}

//go:noinline
func cachePage(n int) {
	if len(pages) >= 400 {
		for old := range pages {
			delete(pages, old)
			break
		}
	}
	pages[n] = make([]byte, 8<<10)
}

func plateau() {
	runtime.MemProfileRate = 4096
	for step := 0; step < 5; step++ {
		for i := 0; i < 330; i++ {
			cachePage(step*330 + i)
		}
		time.Sleep(1100 * time.Millisecond)
		named("heap", fmt.Sprintf("t_plateau_%d.pb.gz", step))
	}
	runtime.KeepAlive(pages)
}

// Jobs are kept in a retry list that nobody empties, while ten times as much memory comes and goes.

var retryList [][]byte

//go:noinline
func keepForRetry(n int) { retryList = append(retryList, bytes.Repeat([]byte{byte(n)}, 3000)) }

//go:noinline
func decodeJob(n int) { sink += len(strings.Repeat("j", 30000+n%9)) }

func retries() {
	runtime.MemProfileRate = 4096
	for step := 0; step < 4; step++ {
		for i := 0; i < 900; i++ {
			keepForRetry(i)
			decodeJob(i)
		}
		time.Sleep(1100 * time.Millisecond)
		named("heap", fmt.Sprintf("t_retries_%d.pb.gz", step))
	}
	runtime.KeepAlive(retryList)
}

// What is in flight follows the load: in the third profile three times as many requests are open.

var inFlight [][]byte

//go:noinline
func openRequest(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 6000) }

func surge() {
	runtime.MemProfileRate = 4096
	for step, load := range []int{1, 1, 3} {
		for round := 0; round < 10; round++ {
			inFlight = inFlight[:0]
			for i := 0; i < 300*load; i++ {
				inFlight = append(inFlight, openRequest(i))
			}
		}
		time.Sleep(1100 * time.Millisecond)
		named("heap", fmt.Sprintf("t_surge_%d.pb.gz", step))
	}
	runtime.KeepAlive(inFlight)
}

// A recursive descent whose work is inlined into it, and a shared helper of no weight.

type tree struct {
	left, right *tree
	weight      int
}

func mix(n int) int { return n*31 ^ n>>3 }

//go:noinline
func (t *tree) sum(depth int) int {
	if t == nil {
		return 0
	}
	total := 0
	for i := 0; i < 60; i++ {
		total += mix(t.weight + i)
	}
	return total + t.left.sum(depth+1) + t.right.sum(depth+1)
}

func grow(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{grow(depth - 1), grow(depth - 1), rand.Int()}
}

//go:noinline
func priceBasket(t *tree) { sink += t.sum(0) }

func basket() {
	root := grow(14)
	cpuFor("t_basket.pb.gz", 3*time.Second, func() { priceBasket(root); sink += spin(200000) })
}

func main() {
	cases := map[string]func(){"goroutines": goroutines, "slots": slotsCase, "registry": registryCase, "badges": badges,
		"thumbnails": thumbnails, "pacing": pacing, "windows": windows, "glimpse": glimpse, "plateau": plateau,
		"retries": retries, "surge": surge, "basket": basket}
	folder = os.Args[2]
	cases[os.Args[1]]()
}

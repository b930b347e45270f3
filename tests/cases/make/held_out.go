// SPDX-License-Identifier: Apache-2.0

// More Go programs with one fault each: `held_out CASE FOLDER` writes the profiles of CASE.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sort"
	"strings"
	"sync"
	"time"
)

var run = 3 * time.Second

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
func spend(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i ^ sum<<1
	}
	return sum
}

// A session store that never forgets, beside a bounded pool of buffers that is in full swing.

type session struct {
	token [32]byte
	data  []byte
}

type sessionStore struct{ sessions map[int]*session }

//go:noinline
func (s *sessionStore) open(id int) {
	s.sessions[id] = &session{data: make([]byte, 700)}
}

var buffers = make(chan []byte, 64)

//go:noinline
func borrowBuffer() []byte {
	select {
	case buffer := <-buffers:
		return buffer
	default:
		return make([]byte, 16<<10)
	}
}

//go:noinline
func renderPage() {
	buffer := borrowBuffer()
	sink += len(fmt.Sprintf("%s %d", "page", len(buffer)))
	select {
	case buffers <- buffer:
	default:
	}
}

func sessions() {
	runtime.MemProfileRate = 4096
	store := &sessionStore{sessions: map[int]*session{}}
	for step := 0; step < 2; step++ {
		for i := 0; i < 12000; i++ {
			store.open(step*12000 + i)
			renderPage()
		}
		named("heap", fmt.Sprintf("h_sessions_%d.pb.gz", step))
		time.Sleep(200 * time.Millisecond)
	}
	runtime.KeepAlive(store)
}

// A large cache that is warmed up once, and a small audit trail that grows for ever.

var priceTable [][]byte
var auditTrail [][]byte

//go:noinline
func warmPrices() {
	for i := 0; i < 3000; i++ {
		priceTable = append(priceTable, make([]byte, 8<<10))
	}
}

//go:noinline
func appendAudit() { auditTrail = append(auditTrail, make([]byte, 1024)) }

func warmup() {
	runtime.MemProfileRate = 2048
	for step := 0; step < 5; step++ {
		if step == 1 {
			warmPrices()
		}
		for i := 0; i < 4000; i++ {
			appendAudit()
			sink += len(make([]byte, 256+i%7))
		}
		named("heap", fmt.Sprintf("h_warmup_%d.pb.gz", step))
		time.Sleep(200 * time.Millisecond)
	}
}

// Strings are joined piece by piece; nothing is kept.

//go:noinline
func joinLines(lines []string) string {
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	return text
}

func joining() {
	runtime.MemProfileRate = 4096
	lines := make([]string, 120)
	for i := range lines {
		lines[i] = strings.Repeat("x", 60)
	}
	for step := 0; step < 2; step++ {
		for i := 0; i < 3000; i++ {
			sink += len(joinLines(lines))
		}
		named("heap", fmt.Sprintf("h_joining_%d.pb.gz", step))
		time.Sleep(200 * time.Millisecond)
	}
}

// Readers wait for a lock whose writer reloads a file; many workers wait for jobs that hardly come.

var settings sync.RWMutex
var jobs = make(chan int)

//go:noinline
func reloadSettings() {
	settings.Lock()
	time.Sleep(15 * time.Millisecond)
	settings.Unlock()
}

//go:noinline
func readSetting() int {
	settings.RLock()
	defer settings.RUnlock()
	return 7
}

//go:noinline
func thumbnailWorker(done *sync.WaitGroup) {
	defer done.Done()
	for job := range jobs {
		sink += spend(job)
	}
}

func settingsLock() {
	runtime.SetBlockProfileRate(1)
	var workers, requests sync.WaitGroup
	for i := 0; i < 12; i++ {
		workers.Add(1)
		go thumbnailWorker(&workers)
	}
	for i := 0; i < 5; i++ {
		requests.Add(1)
		go func() {
			defer requests.Done()
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				sink += readSetting()
				time.Sleep(time.Millisecond)
			}
		}()
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		reloadSettings()
		time.Sleep(2 * time.Millisecond)
		jobs <- 100
	}
	requests.Wait()
	close(jobs)
	workers.Wait()
	named("block", "h_settings_lock.pb.gz")
}

// Every request counts under one mutex, for too long.

var counters struct {
	sync.Mutex
	byPath map[string]int
}

//go:noinline
func countRequest(path string) {
	counters.Lock()
	defer counters.Unlock()
	counters.byPath[path] += spend(20000)
}

func counting() {
	runtime.SetMutexProfileFraction(1)
	counters.byPath = map[string]int{}
	var group sync.WaitGroup
	for i := 0; i < 6; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				countRequest("/cart")
			}
		}()
	}
	group.Wait()
	named("mutex", "h_counting.pb.gz")
}

// A tokenizer makes an object of each token, with much live data to mark.

type token struct {
	next *token
	text *string
}

//go:noinline
func tokenize(text string) *token {
	var head *token
	for i := 0; i < len(text); i += 3 {
		piece := text[i:min(i+3, len(text))]
		copied := strings.Clone(piece)
		head = &token{head, &copied}
	}
	return head
}

func tokens() {
	text := strings.Repeat("abcdefghijkl", 200)
	var live []*token
	for i := 0; i < 600; i++ {
		live = append(live, tokenize(text))
	}
	cpu("h_tokens.pb.gz", func() {
		if tokenize(text) != nil {
			sink += spend(3000)
		}
	})
	runtime.KeepAlive(live)
}

// Compression at the highest level.

//go:noinline
func archiveChunk(chunk []byte) int {
	var out bytes.Buffer
	writer, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	must(err)
	_, err = writer.Write(chunk)
	must(err)
	must(writer.Close())
	return out.Len()
}

//go:noinline
func collectChunk(n int) []byte {
	chunk := make([]byte, n)
	for i := range chunk {
		chunk[i] = byte(i*i>>5 ^ i)
	}
	return chunk
}

func archive() {
	cpu("h_archive.pb.gz", func() { sink += archiveChunk(collectChunk(1 << 18)) })
}

// clampColour and mixColours are inlined into shadePixels.

func clampColour(v int) int {
	if v > 255 {
		return 255
	}
	return v
}

func mixColours(a, b int) int { return clampColour(a*3+b*5) ^ clampColour(a+b) }

//go:noinline
func shadePixels(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += mixColours(i&255, i>>3&255)
	}
	return sum
}

//go:noinline
func loadScene() int { return spend(300000) }

func shading() {
	cpu("h_shading.pb.gz", func() { sink += shadePixels(1200000) + loadScene() })
}

// Two functions that call each other, and a smaller one beside them.

//go:noinline
func evalSum(depth int) int {
	sum := spend(150)
	for i := 0; i < 2 && depth > 0; i++ {
		sum += evalProduct(depth - 1)
	}
	return sum
}

//go:noinline
func evalProduct(depth int) int {
	product := spend(150)
	for i := 0; i < 2 && depth > 0; i++ {
		product += evalSum(depth - 1)
	}
	return product
}

//go:noinline
func readFormula() int { return spend(250000) }

func formula() {
	cpu("h_formula.pb.gz", func() { sink += readFormula() + evalSum(11) })
}

// One comparison is behind four lists that are sorted.

//go:noinline
func compareTitles(a, b string) bool {
	weight := 0
	for i := 0; i < 300; i++ {
		weight += i * i % 7
	}
	sink += weight
	return strings.ToLower(a) < strings.ToLower(b)
}

func titles(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("Title %d", (i*7919)%n)
	}
	return out
}

//go:noinline
func listBooks() int {
	in := titles(150)
	sort.Slice(in, func(i, k int) bool { return compareTitles(in[i], in[k]) })
	return spend(60000)
}

//go:noinline
func listAuthors() int {
	in := titles(150)
	sort.Slice(in, func(i, k int) bool { return compareTitles(in[i], in[k]) })
	return spend(60000)
}

//go:noinline
func listSeries() int {
	in := titles(150)
	sort.Slice(in, func(i, k int) bool { return compareTitles(in[i], in[k]) })
	return spend(60000)
}

//go:noinline
func suggestBooks() int {
	in := titles(150)
	sort.Slice(in, func(i, k int) bool { return compareTitles(in[i], in[k]) })
	return spend(60000)
}

func sorting() {
	cpu("h_sorting.pb.gz", func() { sink += listBooks() + listAuthors() + listSeries() + suggestBooks() })
}

// Eight steps of about the same size: nothing stands out.

//go:noinline
func checkStock() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 3 % 11
	}
	return
}

//go:noinline
func checkPrice() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 5 % 13
	}
	return
}

//go:noinline
func checkUser() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 7 % 17
	}
	return
}

//go:noinline
func checkCart() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 9 % 19
	}
	return
}

//go:noinline
func checkTax() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 11 % 23
	}
	return
}

//go:noinline
func checkRoute() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 13 % 29
	}
	return
}

//go:noinline
func checkOffer() (s int) {
	for i := 0; i < 100000; i++ {
		s += i * 15 % 31
	}
	return
}

func even() {
	cpu("h_even.pb.gz", func() {
		sink += checkStock() + checkPrice() + checkUser() + checkCart() + checkTax() + checkRoute() + checkOffer()
	})
}

// The second version normalizes each path twice as often, from two places.

//go:noinline
func normalizePath(n int) int { return spend(n) }

//go:noinline
func serveStatic(n int) int { return spend(150000) + normalizePath(n) }

//go:noinline
func serveUpload(n int) int { return spend(150000) + normalizePath(n) }

func paths() {
	run = 6 * time.Second
	cpu("h_paths_0.pb.gz", func() { sink += serveStatic(60000) + serveUpload(60000) })
	cpu("h_paths_1.pb.gz", func() { sink += serveStatic(180000) + serveUpload(180000) })
}

func main() {
	folder = os.Args[2]
	cases := map[string]func(){
		"sessions": sessions, "warmup": warmup, "joining": joining, "settings_lock": settingsLock,
		"counting": counting, "tokens": tokens, "archive": archive, "shading": shading, "formula": formula,
		"sorting": sorting, "even": even, "paths": paths,
	}
	cases[os.Args[1]]()
}

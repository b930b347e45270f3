// SPDX-License-Identifier: Apache-2.0

// Waits of Go's, each in a span of its labels, all of them at each line that
// comes in: of threads in system calls, and of goroutines, for which none waits.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	_ "go.opentelemetry.io/otel/sdk"
)

const while = 30 * time.Millisecond

func say(value map[string]any) {
	line, _ := json.Marshal(value)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func random(bytes int) string {
	ids := make([]byte, bytes)
	_, err := rand.Read(ids)
	must(err)
	return hex.EncodeToString(ids)
}

func inSpan(name string, wait func()) {
	trace, span := random(16), random(8)
	start := time.Now().UnixNano()
	pprof.Do(context.Background(), pprof.Labels("trace_id", trace, "span_id", span),
		func(context.Context) { wait() })
	say(map[string]any{"name": name, "trace": trace, "span": span, "start": start, "end": time.Now().UnixNano()})
}

// The end, on a thread of its own, a while after the wait has begun.
func ended(name, kind string, wait, end func()) {
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		runtime.LockOSThread()
		say(map[string]any{"name": name, "waker": kind, "waker_tid": syscall.Gettid()})
		moment := syscall.NsecToTimespec(int64(while))
		syscall.Nanosleep(&moment, nil)
		end()
	}()
	inSpan(name, wait)
	done.Wait()
}

func timed(name string, wait func()) {
	say(map[string]any{"name": name, "waker": "timer", "waker_tid": 0})
	inSpan(name, wait)
}

func threads() {
	var ends [2]int
	letter := make([]byte, 1)
	timed("nanosleep", func() {
		moment := syscall.NsecToTimespec(int64(while))
		syscall.Nanosleep(&moment, nil)
	})
	must(syscall.Pipe(ends[:]))
	ended("pipe", "thread", func() { syscall.Read(ends[0], letter) }, func() { syscall.Write(ends[1], letter) })
	one, err := os.Create("go.dat")
	must(err)
	other, err := os.Open("go.dat")
	must(err)
	must(syscall.Flock(int(other.Fd()), syscall.LOCK_EX))
	ended("flock", "thread", func() { syscall.Flock(int(one.Fd()), syscall.LOCK_EX) },
		func() { syscall.Flock(int(other.Fd()), syscall.LOCK_UN) })
	one.Write(make([]byte, 1<<20))
	inSpan("fsync", func() { one.Sync() })
	one.Close()
	other.Close()
	sleeper := exec.Command("sleep", "0.05")
	must(sleeper.Start())
	say(map[string]any{"name": "child", "waker": "thread", "waker_tid": sleeper.Process.Pid})
	inSpan("child", func() { sleeper.Process.Wait() })
}

func goroutines() {
	var lock sync.Mutex
	words := make(chan int)
	inSpan("goroutine-sleep", func() { time.Sleep(while) })
	ended("channel", "", func() { <-words }, func() { words <- 1 })
	lock.Lock()
	ended("mutex", "", func() { lock.Lock() }, func() { lock.Unlock() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	there, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	here, err := listener.Accept()
	must(err)
	ended("netpoll", "", func() { here.Read(make([]byte, 1)) }, func() { there.Write(make([]byte, 1)) })
	here.Close()
	there.Close()
	listener.Close()
}

func main() {
	fmt.Println(`"started"`)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		threads()
		goroutines()
		fmt.Println(`"done"`)
	}
}

// Goroutines, the network, subprocesses, signals and collections of Go.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "path %s", r.URL.Path) }))
	var wg sync.WaitGroup
	answers := make([]string, 50)
	for i := range answers {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			r, err := http.Get(fmt.Sprintf("http://%s/%d", l.Addr(), i))
			if err != nil {
				answers[i] = err.Error()
				return
			}
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			answers[i] = string(b)
		}(i)
	}
	wg.Wait()
	fmt.Println(answers)
}

// A loop without calls keeps the only processor until a signal takes it away.
func preempt() {
	runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(4)
	done := make(chan bool)
	go func() {
		for x := 0; x != -1; x++ {
		}
	}()
	go func() { time.Sleep(50 * time.Millisecond); done <- true }()
	<-done
	fmt.Println("preempted")
}

func processes() {
	out, err := exec.Command("echo", "sub").Output()
	fmt.Printf("%q %v\n", out, err)
	_, err = exec.Command("/nonexistent").Output()
	fmt.Println(err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	fmt.Println(exec.CommandContext(ctx, "sleep", "100").Run())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-ch)
}

func memory() {
	m := map[int][]byte{}
	for i := 0; i < 100000; i++ {
		m[i%1000] = make([]byte, i%5000)
	}
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println(len(m), stats.NumGC > 3)
	defer func() { fmt.Println("recovered", recover()) }()
	var p *int
	fmt.Println(*p)
}

func main() {
	serve()
	preempt()
	processes()
	memory()
	sum, ch := 0, make(chan int)
	for i := 0; i < 1000; i++ {
		go func(i int) { ch <- i }(i)
	}
	for i := 0; i < 1000; i++ {
		sum += <-ch
	}
	fmt.Println(sum)
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { testscript.Main(leakChecked{m}, map[string]func(){"streamdown": main}) }

type leakChecked struct{ *testing.M }

func (l leakChecked) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// patience bounds every wait of a script.
const patience = 2 * time.Minute

// TestScripts runs testdata/scripts/*.txtar. Besides testscript's own commands they have:
//
//	exits CODE PROGRAM ARGS...   the program ends with exactly this code
//	until PATTERN PROGRAM ARGS.. run it again and again until its output matches
//	serve NAME ARGS...           streamdown run ARGS in the background; sets KAFKA and HTTP to where it listens
//	end NAME SIGNAL CODE        end it with INT, TERM, KILL or INT TWICE; what it logged is in NAME.log
//	hup NAME                     send it SIGHUP
//	broker start|stop            an embedded broker (no Kafka) at BROKER, with topics orders and clicks, 2 partitions each
//	refuse VALUE CODE            the broker refuses batches that hold a record of that value, with Kafka's code; 0: no more
//	produce ADDR TOPIC N         send so many records and see them acked; TOPIC/PARTITION for one partition
//	flip FILE POSITION           change one byte; a negative position counts from the end
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, "BROKER="+l.Addr().String(), "NO_COLOR=1")
			e.Values[stageKey{}] = &stage{processes: map[string]*process{}, dir: e.WorkDir}
			return l.Close() // nobody answers there until the script starts a broker
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "serve": serve, "end": end, "hup": hup, "broker": broker, "produce": produce, "flip": flip, "refuse": refuse,
		},
	})
}

type stageKey struct{}

// stage is what one script has running.
type stage struct {
	dir       string
	processes map[string]*process
	cluster   *kfake.Cluster
	refused   atomic.Pointer[refusal]
}

func on(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", code, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%v: no %q in\n%s%s", err, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		case <-tick.C:
		}
	}
}

// process is a streamdown that runs in the background.
type process struct {
	cmd      *exec.Cmd
	mu       sync.Mutex // guards log
	log      bytes.Buffer
	stopping chan struct{} // it took a signal
	done     chan struct{} // its output has ended
}

var serving = regexp.MustCompile(`kafka=(\S+) http=(\S+)`)

func serve(ts *testscript.TestScript, _ bool, args []string) {
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if file := filepath.Join(dir, "streamdown"); path == "" {
			if _, err := os.Stat(file); err == nil {
				path = file
			}
		}
	}
	p := &process{cmd: exec.Command(path, append([]string{"run"}, args[1:]...)...), stopping: make(chan struct{}), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), append(os.Environ(), "BROKER="+ts.Getenv("BROKER"))
	pipe, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	on(ts).processes[args[0]] = p
	up := make(chan []string, 1)
	go func() {
		defer close(p.done)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			p.mu.Lock()
			p.log.WriteString(s.Text() + "\n")
			p.mu.Unlock()
			if m := serving.FindStringSubmatch(s.Text()); m != nil {
				up <- m
			}
			if strings.Contains(s.Text(), "stopping; ") {
				close(p.stopping)
			}
		}
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // nothing to kill if the script stopped it
		<-p.done
		_ = p.cmd.Wait()
	})
	select {
	case m := <-up:
		ts.Setenv("KAFKA", m[1])
		ts.Setenv("HTTP", m[2])
		return
	case <-p.done:
	case <-time.After(patience):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ts.Fatalf("it does not serve:\n%s", p.log.String())
}

func hup(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(on(ts).processes[args[0]].cmd.Process.Signal(syscall.SIGHUP))
}

func end(ts *testscript.TestScript, _ bool, args []string) {
	p := on(ts).processes[args[0]]
	signals := map[string][]os.Signal{
		"INT": {os.Interrupt}, "TERM": {syscall.SIGTERM}, "KILL": {os.Kill}, "TWICE": {os.Interrupt, os.Interrupt},
	}[args[1]]
	for i, sig := range signals {
		if i > 0 {
			<-p.stopping
		}
		ts.Check(p.cmd.Process.Signal(sig))
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("it does not stop")
	}
	_ = p.cmd.Wait() // the exit code says it
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".log"), p.log.Bytes(), 0o600))
	if code := strconv.Itoa(p.cmd.ProcessState.ExitCode()); code != args[2] {
		ts.Fatalf("exit code %s, want %s:\n%s", code, args[2], p.log.String())
	}
}

func broker(ts *testscript.TestScript, _ bool, args []string) {
	s := on(ts)
	if args[0] == "stop" {
		s.cluster.Close()
		return
	}
	_, port, err := net.SplitHostPort(ts.Getenv("BROKER"))
	ts.Check(err)
	number, err := strconv.Atoi(port)
	ts.Check(err)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.DataDir(filepath.Join(s.dir, "broker")), kfake.SeedTopics(2, "orders", "clicks"))
	ts.Check(err)
	s.cluster = c
	ts.Defer(c.Close)
}

func produce(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	topic, at, one := strings.Cut(args[1], "/")
	opts := []kgo.Opt{kgo.SeedBrokers(args[0]), kgo.DefaultProduceTopic(topic)}
	partition := 0
	if one {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		partition, err = strconv.Atoi(at)
		ts.Check(err)
	}
	cl, err := kgo.NewClient(opts...)
	ts.Check(err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range n {
		r := kgo.KeySliceRecord(fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i))
		r.Partition = int32(partition)
		ts.Check(cl.ProduceSync(ctx, r).FirstErr())
	}
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%d files match %s", len(files), args[0])
	}
	b, err := os.ReadFile(files[0])
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x40
	ts.Check(os.WriteFile(files[0], b, 0o600))
}

func TestTextFromOutsideCannotMoveTheCursor(t *testing.T) {
	for in, want := range map[string]string{"orders": "orders", "a\x1b[2Jb": `a\x1b[2Jb`, "a\tb\n": `a\tb\n`, `"q"`: `"q"`, "\u202e": `\u202e`, "": ""} {
		if got := plain(in); got != want || strings.ContainsRune(got, '\x1b') {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

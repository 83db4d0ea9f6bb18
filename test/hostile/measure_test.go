package hostile_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/hostile"
)

var measure = flag.Bool("measure", false, "measure processor time of each item and what a healthy client notices; for an idle machine")

// repetitions of each item, so that what else the program does counts little.
const repetitions = 20

// TestWhatHostileInputCosts prints figures and judges none: that is for a person, on a machine that does nothing else.
//
// The processor time is that of the program under test alone, which is a process of its own, divided by the
// repetitions; what it does anyway in that time is part of it.
func TestWhatHostileInputCosts(t *testing.T) {
	if !*measure {
		t.Skip("go test ./test/hostile -run WhatHostileInputCosts -measure -v")
	}
	h := open(t)
	t.Run("each", func(t *testing.T) { each(t, h) })
	t.Run("beside", func(t *testing.T) { beside(t, h) })
}

// each prints the processor time of one item, by kind.
func each(t *testing.T, h *house) {
	type figure struct {
		hostile.Item
		cpu time.Duration
	}
	dearest := map[string][]figure{}
	n := 0
	for _, i := range hostile.All() {
		pid := h.doors[i.Door].PID()
		before := processorTime(t, pid)
		for range repetitions {
			n++
			if got, _, err := h.throw(t.Context(), i, n); err != nil || got == silent {
				t.Fatalf("%v: %v %v", i, got, err)
			}
		}
		dearest[i.Kind] = append(dearest[i.Kind], figure{i, (processorTime(t, pid) - before) / repetitions})
	}
	for kind, f := range dearest {
		slices.SortFunc(f, func(a, b figure) int { return int(b.cpu - a.cpu) })
		t.Logf("%-28s median %v, dearest %v (%v), %v (%v), %v (%v)", kind, f[len(f)/2].cpu, f[0].cpu, f[0].Name, f[1].cpu, f[1].Name, f[2].cpu, f[2].Name)
	}
}

// beside prints what a healthy client notices of others.
func beside(t *testing.T, h *house) {
	for _, door := range []hostile.Door{hostile.Plain, hostile.Stranger, hostile.Encrypted} {
		cl := h.healthy(t, door)
		alone := latencies(t, cl)
		ctx, stop := context.WithCancel(t.Context())
		var peers sync.WaitGroup
		thrown := 0
		begun := make(chan struct{})
		peers.Go(func() { thrown = h.barrage(ctx, door, begun) })
		<-begun // making the table costs, and is not theirs
		among := latencies(t, cl)
		stop()
		peers.Wait()
		again := latencies(t, cl)
		t.Logf("a healthy client at %v: p50 %v, p99 %v alone; p50 %v, p99 %v beside %d hostile items; p50 %v, p99 %v alone again", door, alone[0], alone[1], among[0], among[1], thrown, again[0], again[1])
	}
}

// barrage throws the items of a door, perSecond of them, until ctx ends.
func (h *house) barrage(ctx context.Context, door hostile.Door, begun chan<- struct{}) (thrown int) {
	const perSecond = 300
	pace := time.NewTicker(time.Second / perSecond)
	defer pace.Stop()
	var peers sync.WaitGroup
	defer peers.Wait()
	room := make(chan struct{}, 200)
	all := hostile.All()
	close(begun)
	for n := 1 << 20; ; {
		for _, i := range all {
			if i.Door != door {
				continue
			}
			select {
			case <-pace.C:
			case <-ctx.Done():
				return thrown
			}
			n++
			thrown++
			room <- struct{}{}
			peers.Go(func() {
				_, _, _ = h.throw(ctx, i, n)
				<-room
			})
		}
	}
}

// latencies are the median and the 99th percentile of 2,000 records that are sent one by one, 200 a second.
func latencies(t *testing.T, cl *kgo.Client) [2]time.Duration {
	pace := time.NewTicker(time.Second / 200)
	defer pace.Stop()
	var all []time.Duration
	for range 2000 {
		<-pace.C
		began := time.Now()
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return [2]time.Duration{all[len(all)/2], all[len(all)*99/100]}
}

// processorTime is what the threads of a process have used, to the nanosecond.
func processorTime(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		used, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(used, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

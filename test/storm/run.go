package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/realkafka"
)

type options struct {
	duration time.Duration
	seed     uint64
	rate     int
	unclean  bool
	dir      string
	log      *slog.Logger
}

// run is a storm under way.
type run struct {
	options
	rng     *rand.Rand
	cluster *realkafka.Cluster
	admin   *realkafka.Admin
	gateway *daemon.Daemon
	binary  string
	topics  []*topic
	result  result
}

// topic is one of the topics, with what was promised of it.
type topic struct {
	name       string
	partitions int32
	config     map[string]string
	exact      bool // one producer for each partition: ordinals are sequences
	checker    *check.Checker
	witness    *witness
	loads      []load.Spec
	results    []load.Result
}

const (
	settling = 10 * time.Minute // for what is left when the faults are over
	retained = "retain: 30d"    // reconcile compares what the log keeps
)

// storm runs from the first process to the verdict. The result is good as far as it goes when there is an error.
func storm(ctx context.Context, o options) (*result, error) {
	r := &run{options: o, rng: rand.New(rand.NewPCG(o.seed, 0)), result: result{Seed: o.seed, Kafka: realkafka.Version(), Faults: map[string]int{}}}
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "streamdown-storm-")
		if err != nil {
			return &r.result, err
		}
		r.dir = dir
	}
	err := r.all(ctx)
	switch {
	case err == nil && r.result.proved() && o.dir == "":
		err = os.RemoveAll(r.dir)
	case r.gateway != nil:
		fmt.Fprintf(os.Stderr, "storm: logs and data are kept in %s\nthe gateway's last words:\n%s\n", r.dir, process.Tail(r.gateway.Output(), 30))
	}
	return &r.result, err
}

func (r *run) all(ctx context.Context) error {
	err := r.open(ctx)
	defer r.close()
	if err != nil {
		return err
	}
	if err := r.weather(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settling+r.duration)
	defer cancel()
	return r.judge(ctx)
}

func (r *run) open(ctx context.Context) (err error) {
	if r.binary, err = daemon.Build(ctx, r.dir); err != nil {
		return err
	}
	r.cluster, err = realkafka.StartCluster(ctx, realkafka.ClusterOptions{
		Dir: filepath.Join(r.dir, "kafka"), Log: r.log, Properties: map[string]string{"log.retention.ms": "-1"},
	})
	if err != nil {
		return err
	}
	if r.admin, err = realkafka.NewAdmin(r.cluster.Addrs()...); err != nil {
		return err
	}
	r.gateway, err = daemon.Start(ctx, daemon.Options{
		Binary: r.binary, Dir: filepath.Join(r.dir, "gateway"), Upstream: r.cluster.Bootstrap(), Stream: retained, Log: r.log,
	})
	if err != nil {
		return err
	}
	r.topics = append(r.topics, &topic{
		name: "steady", partitions: 6, config: map[string]string{"min.insync.replicas": "2", "unclean.leader.election.enable": "false"},
	})
	if r.unclean {
		r.topics = append(r.topics, &topic{
			name: "frail", partitions: 3, exact: true, config: map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"},
		})
	}
	for _, t := range r.topics {
		if err := r.create(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// create makes the topic and the loads that write to it: two for one that is to be shared.
func (r *run) create(ctx context.Context, t *topic) error {
	var replicas [][]int32
	for p := range t.partitions {
		first := p%3 + 1
		nodes := []int32{first, first%3 + 1, (first+1)%3 + 1}
		if t.exact {
			nodes = nodes[:2]
		}
		replicas = append(replicas, nodes)
	}
	if err := r.admin.Create(ctx, t.name, replicas, t.config); err != nil {
		return err
	}
	t.checker = check.New(check.Config{MinShare: 1, NeedFault: true})
	t.witness = newWitness(t.checker)
	producers, rate := 2, r.rate*3/4
	if t.exact {
		producers, rate = 1, r.rate/4
	} else if !r.unclean {
		rate = r.rate
	}
	for i := range producers {
		t.loads = append(t.loads, load.Spec{
			Client: load.Franz, Bootstrap: r.gateway.Addr(), Topic: t.name, Partitions: t.partitions, Idempotent: true,
			Producer: uint32(100 * i), Size: load.MinSize, Rate: rate / producers, Window: 50_000, //nolint:gosec // small
			Dir: filepath.Join(r.dir, fmt.Sprintf("%s-%d", t.name, i)), Journal: t.witness,
		})
	}
	t.results = make([]load.Result, producers)
	return nil
}

// weather has the loads send while there are faults, and returns when all that was sent is acked.
func (r *run) weather(ctx context.Context) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	for _, t := range r.topics {
		for i := range t.loads {
			t.loads[i].Stop = stop
			sending.Go(func() {
				var err error
				if t.results[i], err = load.Run(ctx, t.loads[i]); err != nil {
					giveUp(err)
				}
			})
		}
	}
	began := time.Now()
	err := r.blow(ctx, began.Add(r.duration))
	r.result.Seconds = time.Since(began).Seconds()
	if err != nil {
		giveUp(err)
	}
	close(stop)
	ended := make(chan struct{})
	go func() { sending.Wait(); close(ended) }()
	late := time.NewTimer(settling)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		giveUp(errors.New("producers wait for acks long after the last fault"))
		<-ended
	}
	return context.Cause(ctx)
}

func (r *run) close() {
	if r.gateway != nil {
		_ = r.gateway.Kill()
	}
	if r.admin != nil {
		r.admin.Close()
	}
	if r.cluster != nil {
		_ = r.cluster.Close()
	}
}

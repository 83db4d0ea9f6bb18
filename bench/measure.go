package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
)

// drainWithin bounds how long a measurement waits for the gateway's backlog.
const drainWithin = 20 * time.Second

// diskWindow is how long the bare disk is measured.
func (o *options) diskWindow() time.Duration { return min(o.window/2, time.Second) }

// measured is one measurement. Pointers are nil where there is nothing to know.
type measured struct {
	Round             int      `json:"round"`
	Failed            string   `json:"failed,omitempty"` // why there are no figures
	RecordsPerSecond  float64  `json:"records_per_second"`
	MBs               float64  `json:"mb_per_second"`
	AckP50            float64  `json:"ack_p50_seconds"`
	AckP99            float64  `json:"ack_p99_seconds"`
	Latencies         int      `json:"ack_samples"`
	Lateness          *float64 `json:"offered_late_p99_seconds"` // fixed load: how late it was offered
	BatchBytes        float64  `json:"mean_batch_bytes"`
	ClientCPUPerGB    float64  `json:"client_cpu_seconds_per_gb"`
	GatewayCPUPerGB   *float64 `json:"gateway_cpu_seconds_per_gb"`
	BrokerCPUPerGB    float64  `json:"broker_cpu_seconds_per_gb"`
	GatewayResidentMB *float64 `json:"gateway_resident_mb"` // at the end
	DeliveredMBs      *float64 `json:"delivered_mb_per_second"`
	DrainSeconds      *float64 `json:"drain_seconds"`    // from the last ack until the broker had everything
	AckedLocally      *float64 `json:"acked_from_disk"`  // share of batches for which acks: remote did not wait for Kafka
	CommitBytes       *float64 `json:"bytes_per_commit"` // of the log, per fsync
	FsyncP50          *float64 `json:"fsync_p50_seconds"`
	FsyncP99          *float64 `json:"fsync_p99_seconds"`
	Disk              *diskRun `json:"bare_disk"`    // with the same bytes per sync, right after
	OthersCores       float64  `json:"others_cores"` // cores busy with something else meanwhile
}

// measure runs one cell once. An error is of the run only: the next one starts from nothing.
func (l *lab) measure(ctx context.Context, c cell, profile string) (*measured, error) {
	b := l.broker(&c.path)
	topic, err := l.topic(ctx, b)
	if err != nil {
		return nil, err
	}
	m, err := l.through(ctx, c, b, topic, profile)
	return m, errors.Join(err, l.remove(ctx, b, topic))
}

func (l *lab) through(ctx context.Context, c cell, b *broker, topic, profile string) (m *measured, err error) {
	o := offer{
		addr: b.addr, topic: topic, partitions: l.o.partitions, size: c.size,
		batch: l.o.batch, linger: l.o.linger, warm: l.o.warm(), window: l.o.window,
	}
	if c.mode == modePaced {
		o.rate, o.linger = l.o.rate, 0
	}
	var gw *daemon.Daemon
	if c.path.Acks != "" {
		dir := filepath.Join(l.dir, "gateway-"+topic)
		if gw, err = l.startGateway(ctx, dir, c.path.Acks, b.addr, profile); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, gw.Kill(), os.RemoveAll(dir)) }()
		o.addr = gw.Addr()
	}
	before, err := usages(gw, b)
	if err != nil {
		return nil, err
	}
	others, client, began := othersSince(), selfCPU(), time.Now()
	out, err := produce(ctx, o)
	if err != nil {
		return nil, err
	}
	client = selfCPU() - client
	acked := time.Now()
	m = &measured{
		RecordsPerSecond: float64(out.windowRecords) / out.window.Seconds(),
		MBs:              float64(out.windowRecords) * float64(c.size) / 1e6 / out.window.Seconds(),
		AckP50:           out.p50.Seconds(), AckP99: out.p99.Seconds(), Latencies: out.latencies,
		BatchBytes: float64(out.batchBytes) / float64(max(out.batches, 1)),
	}
	if c.mode == modePaced {
		late := out.lateness.Seconds()
		m.Lateness = &late
	}
	if gw != nil {
		if err := drained(ctx, gw, m); err != nil {
			return nil, err
		}
		delivered := float64(out.records) * float64(c.size) / 1e6 / time.Since(began).Seconds()
		drain := time.Since(acked).Seconds()
		m.DeliveredMBs, m.DrainSeconds = &delivered, &drain
	}
	after, err := usages(gw, b)
	if err != nil {
		return nil, err
	}
	gb := float64(out.records) * float64(c.size) / 1e9
	cpu := func(a, b process.Usage) float64 { return (a.CPU - b.CPU).Seconds() / gb }
	m.ClientCPUPerGB, m.BrokerCPUPerGB = client.Seconds()/gb, cpu(after[0], before[0])
	ours := client + after[0].CPU - before[0].CPU
	if gw != nil {
		perGB, resident := cpu(after[1], before[1]), float64(after[1].ResidentBytes)/1e6
		m.GatewayCPUPerGB, m.GatewayResidentMB = &perGB, &resident
		ours += after[1].CPU - before[1].CPU
	}
	m.OthersCores = others(ours)
	if out.failed > 0 {
		return nil, fmt.Errorf("%d records were not acked, the first because of: %w", out.failed, out.failure)
	}
	if n, err := held(ctx, b, topic); err != nil || n != out.records {
		return nil, errors.Join(err, fmt.Errorf("%d records were acked, the broker holds %d", out.records, n))
	}
	if gw != nil {
		if err := gw.Stop(ctx); err != nil {
			return nil, err
		}
	}
	if m.CommitBytes != nil && c.mode == modeMax && l.o.wants(diskName) {
		d, err := runDisk(l.dir, max(int(*m.CommitBytes)&^4095, 4096), l.o.diskWindow())
		if err != nil {
			return nil, err
		}
		m.Disk = &d
	}
	return m, nil
}

func (l *lab) startGateway(ctx context.Context, dir, acks, upstream, profile string) (*daemon.Daemon, error) {
	binary := l.gateway
	if profile != "" {
		binary = l.self
		if err := os.Setenv(profileEnv, profile); err != nil { // children inherit it
			return nil, err
		}
		defer func() { _ = os.Unsetenv(profileEnv) }() // fails for bad names only
	}
	return daemon.Start(ctx, daemon.Options{Binary: binary, Dir: dir, Upstream: upstream, Acks: acks, Log: l.log})
}

// usages returns what the broker and the gateway, if there is one, have used so far.
func usages(gw *daemon.Daemon, b *broker) (u [2]process.Usage, err error) {
	if u[0], err = b.usage(); err != nil || gw == nil {
		return u, err
	}
	u[1], err = gw.Usage()
	return u, err
}

// drained waits until the broker has confirmed all that the gateway accepted, and notes what the gateway counted.
func drained(ctx context.Context, gw *daemon.Daemon, m *measured) error {
	var s *api.Status
	err := poll(ctx, drainWithin, func(ctx context.Context) (err error) {
		if s, err = status(ctx, gw); err == nil && s.Records.Backlog > 0 {
			err = fmt.Errorf("%d records are not confirmed by the broker", s.Records.Backlog)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for the gateway's backlog: %w", err)
	}
	if s.Log.Groups > 0 {
		perCommit := float64(s.Log.Bytes) / float64(s.Log.Groups)
		m.CommitBytes = &perCommit
	}
	m.FsyncP50, m.FsyncP99 = s.Log.FsyncP50, s.Log.FsyncP99
	if n := s.Forward.BatchesSent; n > 0 {
		share := float64(s.Records.AckedLocally) / float64(n)
		m.AckedLocally = &share
	}
	return nil
}

func status(ctx context.Context, gw *daemon.Daemon) (*api.Status, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gw.HTTP()+"/v1/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway for its status: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var s api.Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the gateway for its status: %s: %w", resp.Status, err)
	}
	return &s, nil
}

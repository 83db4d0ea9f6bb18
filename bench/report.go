package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/streamdown/streamdown/test/realkafka"
)

// report is results.json. Times are UTC, durations in seconds, MB and GB powers of ten of record values; what is not
// known is null. Fields are only added.
type report struct {
	SchemaVersion int       `json:"schema_version"`
	StartedAt     time.Time `json:"started_at"`
	EndedAt       time.Time `json:"ended_at"`
	Elapsed       float64   `json:"elapsed_seconds"`
	Machine       machine   `json:"machine"`
	LoadBegin     load      `json:"load_average_begin"`
	LoadEnd       load      `json:"load_average_end"`
	Warnings      []string  `json:"warnings"`
	Settings      settings  `json:"settings"`
	Rounds        int       `json:"rounds"` // that were finished
	Rows          []row     `json:"rows"`
	Disk          []diskRow `json:"bare_disk"`
	Ratios        []ratio   `json:"ratios"`
	Profiles      []costs   `json:"profiles"`
}

// settings are those that all rows share.
type settings struct {
	Quick         bool    `json:"quick"`
	Producer      string  `json:"producer"`
	Partitions    int32   `json:"partitions"`
	Compression   string  `json:"compression"`
	WarmSeconds   float64 `json:"warm_up_seconds"`
	WindowSeconds float64 `json:"window_seconds"`
	GatewayBinary string  `json:"gateway"`
	Kafka         string  `json:"kafka"` // how the broker is run
}

// row is one path at one record size and one kind of load.
type row struct {
	Path          string     `json:"path"`
	Title         string     `json:"title"`
	Mode          mode       `json:"mode"`
	RecordBytes   int        `json:"record_bytes"`
	OfferedLoad   *int       `json:"offered_records_per_second"` // null = as fast as it is taken
	Acks          string     `json:"producer_acks"`
	GatewayAcks   *string    `json:"gateway_acks"`
	AckMeans      string     `json:"ack_means"`
	LatencyOf     string     `json:"ack_latency_of"` // request or record
	MaxBatchBytes int32      `json:"max_batch_bytes"`
	LingerSeconds float64    `json:"linger_seconds"`
	Partitions    int32      `json:"partitions"`
	Compression   string     `json:"compression"`
	Runs          []measured `json:"runs"`

	RecordsPerSecond *spread `json:"records_per_second"`
	MBs              *spread `json:"mb_per_second"`
	AckP50           *spread `json:"ack_p50_seconds"`
	AckP99           *spread `json:"ack_p99_seconds"`
	BatchBytes       *spread `json:"mean_batch_bytes"`
	ClientCPU        *spread `json:"client_cpu_seconds_per_gb"`
	GatewayCPU       *spread `json:"gateway_cpu_seconds_per_gb"`
	BrokerCPU        *spread `json:"broker_cpu_seconds_per_gb"`
	Delivered        *spread `json:"delivered_mb_per_second"`
	CommitBytes      *spread `json:"bytes_per_commit"`
	AckedLocally     *spread `json:"acked_from_disk"`
	Others           *spread `json:"others_cores"`
}

type diskRow struct {
	SyncBytes int       `json:"bytes_per_sync"`
	Runs      []diskRun `json:"runs"`
	MBs       *spread   `json:"mb_per_second"`
	SyncP50   *spread   `json:"commit_p50_seconds"`
	SyncP99   *spread   `json:"commit_p99_seconds"`
	CPU       *spread   `json:"cpu_seconds_per_gb"`
}

// ratio compares two paths within rounds.
type ratio struct {
	Name        string  `json:"name"`
	RecordBytes int     `json:"record_bytes"`
	Of          string  `json:"of"`
	Kind        string  `json:"kind"` // times, or a difference in seconds
	Value       *spread `json:"value"`
}

// spread is what repetitions gave.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// spreadOf returns nil for no values.
func spreadOf(v []float64) *spread {
	if len(v) == 0 {
		return nil
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return &spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1], N: n}
}

func newReport(o *options, l *lab, before load) *report {
	r := &report{
		SchemaVersion: 1, StartedAt: time.Now().UTC(), Machine: thisMachine(l.dir), LoadBegin: before,
		Warnings: []string{}, Rows: []row{}, Disk: []diskRow{}, Ratios: []ratio{}, Profiles: []costs{},
		Settings: settings{
			Quick: o.quick, Producer: "franz-go, idempotent, acks=all, one client, 5 requests in flight",
			Partitions: o.partitions, Compression: "none",
			WarmSeconds: o.warm().Seconds(), WindowSeconds: o.window.Seconds(), GatewayBinary: "cmd/streamdown of this tree",
		},
	}
	if os.Getenv("STREAMDOWN_BINARY") != "" {
		r.Settings.GatewayBinary = "STREAMDOWN_BINARY"
	}
	if l.kafka != nil {
		r.Machine.Kafka, r.Machine.Java = realkafka.Version(), javaVersion()
		r.Settings.Kafka = "one broker in one JVM (KRaft, -Xmx1g, Kafka's own defaults for threads and segments), one replica, acks from its page cache"
	}
	for _, c := range o.cells() {
		w := row{
			Path: c.path.Name, Title: c.path.Title, Mode: c.mode, RecordBytes: c.size, Acks: "all", AckMeans: c.path.AckMeans,
			LatencyOf: "request", MaxBatchBytes: o.batch, LingerSeconds: o.linger.Seconds(), Partitions: o.partitions,
			Compression: "none", Runs: []measured{},
		}
		if c.path.Acks != "" {
			w.GatewayAcks = &c.path.Acks
		}
		if c.mode == modePaced {
			w.OfferedLoad, w.LatencyOf, w.LingerSeconds = &o.rate, "record", 0
		}
		r.Rows = append(r.Rows, w)
	}
	return r
}

func (r *report) row(path string, m mode, size int) *row {
	for i := range r.Rows {
		if w := &r.Rows[i]; w.Path == path && w.Mode == m && w.RecordBytes == size {
			return w
		}
	}
	return nil
}

func (r *report) add(c cell, m measured) {
	w := r.row(c.path.Name, c.mode, c.size)
	w.Runs = append(w.Runs, m)
}

func (r *report) addDisk(d diskRun) {
	for i := range r.Disk {
		if r.Disk[i].SyncBytes == d.SyncBytes {
			r.Disk[i].Runs = append(r.Disk[i].Runs, d)
			return
		}
	}
	r.Disk = append(r.Disk, diskRow{SyncBytes: d.SyncBytes, Runs: []diskRun{d}})
}

// finish adds everything up.
func (r *report) finish(began time.Time) {
	r.EndedAt, r.Elapsed, r.LoadEnd = time.Now().UTC(), time.Since(began).Seconds(), loadNow()
	var others []float64
	for i := range r.Rows {
		w := &r.Rows[i]
		of := func(f func(*measured) *float64) *spread { return spreadOf(w.values(f)) }
		w.RecordsPerSecond = of(func(m *measured) *float64 { return &m.RecordsPerSecond })
		w.MBs = of(func(m *measured) *float64 { return &m.MBs })
		w.AckP50 = of(func(m *measured) *float64 { return &m.AckP50 })
		w.AckP99 = of(func(m *measured) *float64 { return &m.AckP99 })
		w.BatchBytes = of(func(m *measured) *float64 { return &m.BatchBytes })
		w.ClientCPU = of(func(m *measured) *float64 { return &m.ClientCPUPerGB })
		w.GatewayCPU = of(func(m *measured) *float64 { return m.GatewayCPUPerGB })
		w.BrokerCPU = of(func(m *measured) *float64 { return &m.BrokerCPUPerGB })
		w.Delivered = of(func(m *measured) *float64 { return m.DeliveredMBs })
		w.CommitBytes = of(func(m *measured) *float64 { return m.CommitBytes })
		w.AckedLocally = of(func(m *measured) *float64 { return m.AckedLocally })
		all := w.values(func(m *measured) *float64 { return &m.OthersCores })
		w.Others = spreadOf(all)
		others = append(others, all...)
	}
	for i := range r.Disk {
		d := &r.Disk[i]
		of := func(f func(*diskRun) float64) *spread {
			var v []float64
			for j := range d.Runs {
				v = append(v, f(&d.Runs[j]))
			}
			return spreadOf(v)
		}
		d.MBs = of(func(m *diskRun) float64 { return m.MBs })
		d.SyncP50 = of(func(m *diskRun) float64 { return m.SyncP50 })
		d.SyncP99 = of(func(m *diskRun) float64 { return m.SyncP99 })
		d.CPU = of(func(m *diskRun) float64 { return m.CPUPerGB })
	}
	r.Ratios = r.compare()
	r.warn(spreadOf(others))
}

// values returns a figure of every run that has it.
func (w *row) values(f func(*measured) *float64) (v []float64) {
	for i := range w.Runs {
		if m := &w.Runs[i]; m.Failed == "" {
			if x := f(m); x != nil {
				v = append(v, *x)
			}
		}
	}
	return v
}

// compare makes the ratios, each from two runs of one round. What cannot be compared is left out.
func (r *report) compare() []ratio {
	all := []ratio{}
	add := func(w *row, name, of, kind string, v *spread) {
		if v != nil {
			all = append(all, ratio{Name: w.Path + name, RecordBytes: w.RecordBytes, Of: of, Kind: kind, Value: v})
		}
	}
	for i := range r.Rows {
		w := &r.Rows[i]
		if w.GatewayAcks == nil {
			continue
		}
		p := allPaths[slices.IndexFunc(allPaths, func(p path) bool { return p.Name == w.Path })]
		base := r.row(p.straight(), w.Mode, w.RecordBytes)
		if base != nil && w.Mode == modeMax {
			add(w, " / "+base.Path, "mb_per_second", times, pairs(w, base, func(a, b *measured) float64 { return a.MBs / b.MBs }))
		}
		if base != nil && w.Mode == modePaced {
			add(w, " − "+base.Path, "ack_p50_seconds", more, pairs(w, base, func(a, b *measured) float64 { return a.AckP50 - b.AckP50 }))
			add(w, " − "+base.Path, "ack_p99_seconds", more, pairs(w, base, func(a, b *measured) float64 { return a.AckP99 - b.AckP99 }))
		}
		if w.Mode == modeMax {
			add(w, " / bare disk", "mb_per_second", times, spreadOf(w.values(func(m *measured) *float64 {
				if m.Disk == nil || m.Disk.MBs == 0 {
					return nil
				}
				x := m.MBs / m.Disk.MBs
				return &x
			})))
		}
	}
	return all
}

// Kinds of ratios.
const (
	times = "times"
	more  = "seconds more"
)

// pairs compares the runs of two rows, round by round; a round in which one failed is left out.
func pairs(a, b *row, f func(a, b *measured) float64) *spread {
	var v []float64
	for i := range a.Runs {
		for j := range b.Runs {
			x, y := &a.Runs[i], &b.Runs[j]
			if x.Round == y.Round && x.Failed == "" && y.Failed == "" && y.MBs > 0 {
				v = append(v, f(x, y))
			}
		}
	}
	return spreadOf(v)
}

// Above these the machine is called busy.
const (
	busyLoad   = 0.5  // load average per core, before anything was begun
	busyOthers = 0.25 // cores that did something else meanwhile
)

func (r *report) warn(others *spread) {
	say := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	if cores := float64(r.Machine.Cores); r.LoadBegin[0] > busyLoad*cores {
		say("the machine was busy before this began: load average %.1f on %.0f cores. Do not quote these figures; ratios are weak too", r.LoadBegin[0], cores)
	}
	if others != nil && others.Median > busyOthers {
		say("something else used %.2f cores in the median of all measurements (%.2f to %.2f; the kernel's own threads are in it)", others.Median, others.Min, others.Max)
	}
	if r.Settings.Quick || r.Rounds < 3 {
		say("%d rounds of %gs say that it runs, not how fast it is", r.Rounds, r.Settings.WindowSeconds)
	}
	for i := range r.Rows {
		w := &r.Rows[i]
		failed := 0
		for j := range w.Runs {
			if w.Runs[j].Failed != "" {
				failed++
			}
		}
		if failed > 0 {
			say("%s, %s, %d B: %d of %d runs failed and are missing; the first that did: %s", w.Title, w.Mode, w.RecordBytes, failed, len(w.Runs),
				w.Runs[slices.IndexFunc(w.Runs, func(m measured) bool { return m.Failed != "" })].Failed)
		}
	}
}

func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

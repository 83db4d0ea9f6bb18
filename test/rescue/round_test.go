//go:build real

package rescue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/reader"
	"github.com/streamdown/streamdown/test/realkafka"
	"github.com/streamdown/streamdown/test/rescue"
)

const (
	partitions = 3
	rate       = 400 // records per second of each of the six loads
)

var (
	clients = []load.Client{load.Java, load.Kcat, load.Franz}
	codecs  = []string{"none", "gzip", "snappy", "lz4", "zstd"}
)

// round runs all clients at once, each with and without idempotence, on topics of their own, and kills what they talk
// to. The compressions move on by one per round, so that five rounds show every client with each.
type round struct {
	number    int
	dir       string
	kafka     *realkafka.Broker
	gateway   *daemon.Daemon // nil = the clients talk to Kafka
	bootstrap string
	log       *slog.Logger
	rng       *rand.Rand
	lanes     []*lane
}

// lane is one client's load, from its records to their verdict.
type lane struct {
	name       string
	idempotent bool
	codec      int
	checker    *check.Checker
	journal    *rescue.Journal
	reader     *reader.Reader
	spec       load.Spec
	result     load.Result
	err        error
}

func (r *round) run(ctx context.Context, t *testing.T) {
	began := time.Now()
	stop := make(chan struct{})
	for c, client := range clients {
		for i, idempotent := range []bool{true, false} {
			l := &lane{idempotent: idempotent, codec: (r.number + c + 2*i) % len(codecs)}
			l.name = fmt.Sprintf("round%d-%s-%s-idempotent.%t", r.number, client, codecs[l.codec], idempotent)
			if err := r.kafka.CreateTopic(ctx, l.name, partitions, nil); err != nil {
				t.Fatal(err)
			}
			l.checker = check.New(check.Config{MinAcked: 1000, MinShare: 1, NeedFault: true})
			l.journal = rescue.NewJournal(l.checker)
			var err error
			if l.reader, err = reader.Open(r.kafka.Addr(), l.name, partitions, l.journal); err != nil {
				t.Fatal(err)
			}
			defer l.reader.Close()
			l.spec = load.Spec{
				Client: client, Bootstrap: r.bootstrap, Topic: l.name, Partitions: partitions,
				Producer: uint32(100 * len(r.lanes)), Incarnation: uint32(r.number), Idempotent: idempotent,
				Compression: codecs[l.codec], Size: 150 + r.rng.IntN(350), Rate: rate, Stop: stop,
				Dir: filepath.Join(r.dir, l.name), Classpath: r.kafka.Classpath(), Journal: l.journal,
			}
			if !idempotent {
				promise := check.AtLeastOnce
				if client == load.Kcat { // see load's kcat
					promise = check.Unordered
				}
				for p := range uint32(partitions) {
					l.checker.Expect(check.Stream{Producer: l.spec.Producer + p, Incarnation: l.spec.Incarnation}, promise)
				}
			}
			if client == load.Kcat && r.gateway == nil {
				// With more in flight, librdkafka 2.0.2 ends with a fatal error when a Kafka that comes back refuses
				// one request (not leader) and finds the next out of order.
				l.spec.InFlight = 1
			}
			r.lanes = append(r.lanes, l)
		}
	}
	var sending sync.WaitGroup
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	for _, l := range r.lanes {
		sending.Go(func() {
			if l.result, l.err = load.Run(ctx, l.spec); l.err != nil {
				giveUp(fmt.Errorf("%s: %w", l.name, l.err))
			}
		})
	}
	err := r.breakThings(waiting)
	close(stop)
	sending.Wait()
	if err != nil {
		t.Fatal(errors.Join(context.Cause(waiting), err))
	}
	r.settle(ctx, t)
	var silence time.Duration // a client that had no ack yet does not count its own
	for _, l := range r.lanes {
		silence = max(silence, l.result.Silence)
	}
	for _, l := range r.lanes {
		l.judge(t, silence)
	}
	t.Logf("round %d took %v", r.number, time.Since(began).Round(time.Second))
}

// settle waits until everything acked is read, ends the gateway as an operator would, and reads to the end: what comes
// after the last acked record would be a copy too many.
func (r *round) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, l := range r.lanes {
		if l.err != nil {
			t.Errorf("%s: %v", l.name, l.err)
		}
		if err := l.reader.Await(ctx, func() bool { return l.checker.Unseen() == 0 }); err != nil {
			t.Errorf("%s: %d acked records do not arrive: %v", l.name, l.checker.Unseen(), err)
		}
	}
	if r.gateway != nil {
		if err := r.gateway.Stop(ctx); err != nil {
			t.Errorf("stop streamdown: %v", err)
		}
	}
	for _, l := range r.lanes {
		if err := l.reader.CatchUp(ctx); err != nil {
			t.Error(err)
		}
	}
	if r.gateway != nil && !t.Failed() {
		if err := r.gateway.Restart(ctx); err != nil {
			t.Error(err)
		}
	}
}

// clientPatience is how long each client waits for an answer before it sends again of its own accord: franz-go, the least
// patient, 20 s. Where the machine's disk stands still for longer, those without idempotence have reason to.
const clientPatience = 19 * time.Second

func (l *lane) judge(t *testing.T, silence time.Duration) {
	t.Helper()
	report := l.checker.Final()
	fmt.Printf("%s: retried %d, longest silence %v: %v\n", l.name, l.result.Retried, l.result.Silence.Round(time.Millisecond), report)
	if report.Exit() != check.ExitOK {
		t.Errorf("%s: %+v", l.name, report)
	}
	if l.result.Failed > 0 {
		t.Errorf("%s: the client gave up on %d records, first: %s", l.name, l.result.Failed, l.result.FirstFailure)
	}
	if l.idempotent && report.ClientRetry > 0 {
		t.Errorf("%s: %d repeats of an idempotent client", l.name, report.ClientRetry)
	}
	inOrder := l.idempotent || l.spec.Client != load.Kcat
	switch repeats := l.journal.Unexplained(); {
	case !inOrder || len(repeats) == 0:
	case silence >= clientPatience && !l.idempotent:
		t.Logf("%s: not checked: whether anybody had reason to send %d records again, after a silence of %v", l.name, len(repeats), silence)
	default:
		t.Errorf("%s: %d records are there again that nobody had reason to send again, first: %s", l.name, len(repeats), repeats[0])
	}
	if codecs := l.reader.Codecs(); codecs[l.codec] == 0 {
		t.Errorf("%s: its compression did not arrive: %v", l.name, codecs)
	}
}

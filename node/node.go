package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/catalog"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/gateway"
	"github.com/streamdown/streamdown/httpin"
	"github.com/streamdown/streamdown/ingest"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/quarantine"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// Options says what to build.
type Options struct {
	Config  *config.Config
	Version string
	Logger  *slog.Logger // nil = silent
	// Level is that of Logger, to be set to what the config says; nil = it stays as it is.
	Level *slog.LevelVar
	// Source is where Config came from, so that it can be read again; nil = it cannot.
	Source *Source
	// WrapTarget, if set, stands between the forwarder and the target: the demo plants faults there.
	WrapTarget func(forward.Target) forward.Target
	// FS is the disk that holds the log; nil = this machine's.
	FS vfs.FS
	// Dial opens connections to the target; nil = a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen opens the listener that serves a purpose, such as "kafka"; nil = net.Listen. Whoever keeps sockets beyond the
	// life of a process gives them here.
	Listen func(purpose, address string) (net.Listener, error)
}

// Node is one process: a log, a gateway in front of it, a forwarder behind it.
type Node struct {
	opt     Options
	cfg     *config.Config // that the process began with; now has what is in effect
	log     *slog.Logger
	started time.Time

	wal       *wal.Log
	recovery  *wal.Recovery
	book      *delivery.Book
	ledger    *ledger.Keeper
	catalog   *catalog.Catalog
	intake    *ingest.Intake
	target    *kafkaTarget
	system    *config.System
	gateway   *gateway.Server
	door      *httpin.Door
	guard     *api.Guard
	httpTLS   *auth.TLSFiles // nil = without TLS
	forwarder *forward.Forwarder
	scrub     *scrubbing
	aside     *quarantine.Store
	rules     *ruleKeeper // nil = no rights come from Kafka
	reloading reloading
	// What the books counted while the log was opened does not count as accepted or confirmed by this process.
	replayed, replayedConfirmed int64

	kafkaL []net.Listener // one for each class, the highest first
	httpL  net.Listener
}

// drainFor bounds how long a stopping process waits for the target to confirm what is left: it is safe in the log.
const drainFor = 3 * time.Second

// Open takes the data directory, recovers its log, and binds the listeners. It writes no record and calls no upstream.
// The error of a directory in use wraps vfs.ErrLocked. Close what it returns with Run, whose context may have ended.
func Open(opt Options) (n *Node, err error) {
	n = &Node{opt: opt, cfg: opt.Config, log: opt.Logger, started: time.Now(), book: delivery.New(), catalog: catalog.New()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.system, err = target(n.cfg); err != nil {
		return nil, err
	}
	n.beginConfig()
	disk := opt.FS
	if disk == nil {
		disk = vfs.OS{}
	}
	if err := disk.MkdirAll(n.cfg.Data.Dir); err != nil {
		return nil, fmt.Errorf("data directory: %w; set data.dir to a place that this user may write to", err)
	}
	n.intake = ingest.New(ingest.Config{Confirmations: n.book, Policy: n.policy, Cluster: n.catalog.Cluster, Room: n.room})
	if refuge := n.cfg.Data.Refuge; refuge != "" {
		if st, err := os.Stat(refuge); err != nil || !st.IsDir() {
			// It is not made here: below a mount point whose disk is missing that would be the wrong disk.
			return nil, fmt.Errorf("data.refuge: %s is not a directory: mount its disk, or make it: mkdir -m 700 %s", refuge, refuge)
		}
	}
	receipts := httpin.NewReceipts(n.intake, n.book)
	n.ledger = n.newLedger()
	n.wal, n.recovery, err = wal.Open(wal.Config{
		FS: disk, Dir: n.cfg.Data.Dir, MaxSize: int64(n.cfg.Data.MaxSize), Refuge: n.cfg.Data.Refuge, Logger: n.log,
		Books: []wal.Book{n.book, receipts, n.catalog, n.ledger},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.wal.Close())
		}
	}()
	if err = n.ledger.Open(n.wal); err != nil {
		return nil, err
	}
	if err = n.wal.Begin(); err != nil {
		return nil, err
	}
	n.replayed, n.replayedConfirmed = n.book.Totals()
	n.intake.Attach(n.wal)
	n.catalog.Remember()
	client, err := kafka.New(kafka.Config{
		Bootstrap: n.system.Kafka.Bootstrap, ClientID: n.system.Kafka.ClientID, RequestTimeout: n.system.Kafka.RequestTimeout,
		Dial: opt.Dial, Credentials: &n.reloading.upstream, ProduceTimeout: n.patience() * 2 / 3, Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.target = &kafkaTarget{Client: client, takes: n.takes}
	var to forward.Target = n.target
	if opt.WrapTarget != nil {
		to = opt.WrapTarget(to)
	}
	n.aside = quarantine.New(disk, n.cfg.Data.Dir)
	n.forwarder = forward.NewForwarder(forward.Options{
		Core: forward.Config{Patience: n.patience(), Class: n.leader}, Log: n.wal, Book: n.book, Catalog: n.catalog, Target: to,
		Logger: n.log, Retain: n.retain(), Floor: n.floor, Quarantine: n.aside,
	})
	if err := n.forwarder.Custody().Tidy(n.book.Quarantines()); err != nil {
		n.log.Warn("files of batches that are not in quarantine any more were left; the next start tries again", "err", err)
	}
	n.scrub = newScrubbing(n.cfg.Data.Scrub, func(rate config.Rate) *wal.Scrubber {
		if rate <= 0 {
			return nil
		}
		return wal.NewScrubber(n.wal, wal.ScrubConfig{Rate: int64(rate), Watermark: n.book.Watermark})
	})
	who, err := n.authority()
	if err != nil {
		return nil, err
	}
	if who != nil && n.cfg.ACLs != "" {
		n.rules = newRuleKeeper(n.cfg.ACLs, n.cfg.Data.Dir, client.WriteRules, who.UseRules, n.log)
	}
	if err = n.openHTTP(who); err != nil {
		return nil, err
	}
	door := httpin.Config{MaxBody: int64(n.cfg.Listen.HTTP.MaxBody), LogID: n.wal.ID, Authorizer: n.writers(who), Logger: n.log}
	if n.door, err = httpin.New(door, n.intake, &directory{catalog: n.catalog, target: n.target, log: n.wal, takes: n.takes}, receipts); err != nil {
		return nil, err
	}
	if err = n.openKafka(); err != nil {
		return nil, err
	}
	if n.httpL, err = n.listen("http", n.cfg.Listen.HTTP.Address); err != nil {
		n.closeKafka()
		return nil, fmt.Errorf("listen.http: %w; is another process on that port?", err)
	}
	if err = n.reachable(); err != nil {
		n.closeKafka()
		return nil, errors.Join(err, n.httpL.Close())
	}
	n.gateway = gateway.New(n.gatewayConfig(who), n.intake,
		&directory{catalog: n.catalog, target: n.target, log: n.wal, takes: n.takes})
	return n, nil
}

// target returns the one system that all streams go to.
func target(cfg *config.Config) (*config.System, error) {
	name := ""
	for i := range cfg.Streams {
		switch to := cfg.Streams[i].To; {
		case name == "":
			name = to
		case to != name:
			return nil, fmt.Errorf("streams go to %s and to %s: a process forwards to one system; run a second one, with a data directory of its own, for the other", name, to)
		}
	}
	sys, ok := cfg.System(name)
	if !ok {
		return nil, fmt.Errorf("no system is called %q; name one in `systems`", name)
	}
	return sys, nil
}

func (n *Node) takes(topic string) bool {
	_, ok := n.now().Match(topic)
	return ok
}

func (n *Node) policy(topic string) (ingest.Policy, bool) {
	s, ok := n.now().Match(topic)
	if !ok {
		return ingest.Policy{}, false
	}
	return ingest.Policy{
		Remote: s.Acks == config.AcksRemote, Patience: s.AckPatience, RejectIsolated: s.WhenIsolated == config.Reject,
		Above: n.classOf(s.Priority),
	}, true
}

// patience is the shortest of the streams' patience: silence of that length opens the breaker.
func (n *Node) patience() time.Duration {
	least := n.cfg.Streams[0].AckPatience
	for i := range n.cfg.Streams {
		least = min(least, n.cfg.Streams[i].AckPatience)
	}
	return max(least, 100*time.Millisecond)
}

// retain is the longest of the streams' retention: they share the log.
func (n *Node) retain() (most time.Duration) {
	for i := range n.cfg.Streams {
		most = max(most, n.cfg.Streams[i].Retain)
	}
	return most
}

// KafkaAddr is the address that producers use: that of the highest class, where they learn of the others.
func (n *Node) KafkaAddr() string { return n.kafkaL[0].Addr().String() }

// HTTPAddr is the address of the API.
func (n *Node) HTTPAddr() string { return n.httpL.Addr().String() }

// Recovery tells what opening the log found.
func (n *Node) Recovery() *wal.Recovery { return n.recovery }

// Run serves until ctx ends. Then it stops taking records, answers what is pending, gives the target a moment to
// confirm what is left, and closes the log. It returns how many records are not confirmed: they are in the log, and
// the next start goes on with them. With the cause ErrHandOver it leaves them to the next process at once.
func (n *Node) Run(ctx context.Context) (left int64, err error) {
	forwarding, stopForwarding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopForwarding()
	var back errgroup.Group
	back.Go(func() error { return n.forwarder.Run(forwarding) })
	back.Go(func() error { return n.ledger.Run(forwarding) })
	back.Go(func() error { return n.scrub.run(ctx) })
	if n.rules != nil {
		back.Go(func() error { return n.rules.run(ctx) })
	}
	page := api.Server(n.pages(), n.log)
	back.Go(func() error { return n.serveHTTP(page) })
	defer context.AfterFunc(ctx, n.intake.HoldNoMore)()
	err = n.gateway.Serve(ctx, n.kafkaL...)
	if errors.Is(context.Cause(ctx), ErrHandOver) {
		err = errors.Join(err, closePages(ctx, page)) // its clients wait for answers, and nobody for the target
	}
	n.intake.Stop()
	if !errors.Is(context.Cause(ctx), ErrHandOver) {
		n.drain(ctx)
	}
	left = n.backlog()
	stopForwarding()
	err = errors.Join(err, closePages(ctx, page), back.Wait())
	n.target.Close()
	return left, errors.Join(err, n.wal.Close())
}

// answerFor is how long a stopping process waits for requests under way, which find the intake closed.
const answerFor = 2 * time.Second

func closePages(ctx context.Context, page *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerFor)
	defer cancel()
	if page.Shutdown(ctx) == nil {
		return nil
	}
	return page.Close()
}

// quiet is how long a stopping process waits for a sign that the target still confirms.
const quiet = 500 * time.Millisecond

// drain waits while the target keeps confirming, for a bounded time: what is left is safe in the log.
func (n *Node) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	least, since := n.backlog(), time.Now()
	for least > 0 && time.Since(since) < quiet {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if left := n.backlog(); left < least {
			least, since = left, time.Now()
		}
	}
}

func (n *Node) backlog() (records int64) {
	for _, l := range n.book.Lanes() {
		records += l.Backlog()
	}
	return records
}

// Hold stops lanes on purpose: "*", a topic, or topic/partition. It is durable when Hold returns.
func (n *Node) Hold(ctx context.Context, target, reason string) error {
	return n.order(ctx, delivery.Hold{Target: target, Held: true, Reason: reason, Since: time.Now().UTC()})
}

// Resume ends a hold, and gives lanes that were stopped another try.
func (n *Node) Resume(ctx context.Context, target string) error {
	if err := n.order(ctx, delivery.Hold{Target: target}); err != nil {
		return err
	}
	return n.forwarder.Resume(ctx, lanesOf(target))
}

func (n *Node) order(ctx context.Context, h delivery.Hold) error {
	e, err := delivery.HoldEntry(h)
	if err != nil {
		return err
	}
	if _, err := n.wal.Append(e); err != nil {
		return err
	}
	return n.wal.Wait(ctx, e.End())
}

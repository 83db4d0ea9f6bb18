package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func reconcileCommand(o *options) *cobra.Command {
	var r reconciling
	cmd := &cobra.Command{
		Use:   "reconcile [TARGET...]",
		Short: "Prove that what the log accepted is in Kafka: once, in order, unchanged",
		Long: `Compares log and ledger with the live topics, batch by batch, and writes nothing anywhere. It needs no running process and
does not disturb one. TARGETs are topics, or topic/partition; without any, all that the log knows are compared.

--proof FILE writes what was found to a file, and notes its SHA-256 in the log: through the process that owns the data
directory (as an operator), or directly when none does. --check FILE tells whether a file is a proof that the log knows.

--repair shows what is provably absent and whether the log still has it, and sends it once more when a person agrees: with
y on a terminal, or with -y. It goes out under producer ids of its own, and is listed as late from then on. No process
may have the data directory meanwhile; one that runs heals by itself what it notices. It may be interrupted and run again:
nothing is sent twice.

Exit code 0: all that log, ledger and topics still keep was compared and is the same. 3: some of it could not be compared, or
--repair --dry-run has something to do. 4: records are lost, doubled, reordered or altered, or --check does not know the
file. 5: a person has to agree. 6: nothing was compared. 69: the cluster does not answer.`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, a := range args {
				if err := api.CheckTarget(a); err != nil {
					return usage("a topic, or topic/partition", "%w", err)
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.open(o, args); err != nil {
				return err
			}
			ctx, cancel := o.within(cmd.Context(), 0)
			defer cancel()
			switch {
			case r.check != "" && (r.repair || r.proof != "" || len(args) > 0):
				return usage("--check FILE alone", "--check compares nothing")
			case r.check != "":
				return r.checkProof(ctx, o)
			case r.repair && r.proof != "":
				return usage("--repair first, then --proof", "a repair changes what a proof would say")
			case r.repair:
				return r.mend(ctx, o)
			}
			return r.run(ctx, o)
		},
	}
	o.loginFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&r.dir, "data", "", "compare the log in `DIR` (default data.dir of the config)")
	f.StringVar(&r.proof, "proof", "", "write a proof to `FILE`, and note it in the log")
	f.StringVar(&r.check, "check", "", "tell whether the log knows the proof in `FILE`")
	f.BoolVar(&r.repair, "repair", false, "send what is provably absent once more")
	f.BoolVar(&r.dry, "dry-run", false, "with --repair: print the plan and send nothing")
	f.BoolVarP(&r.yes, "yes", "y", false, "with --repair: carry the plan out without asking")
	return cmd
}

// reconciling is one call of the command.
type reconciling struct {
	dir, proof, check string
	repair, dry, yes  bool

	targets []string
	cfg     *config.Config
	system  *config.System
}

// open reads the config.
func (r *reconciling) open(o *options, targets []string) (err error) {
	r.targets = targets
	if r.cfg, err = o.load(o.logger(false)); err != nil {
		return err
	}
	if r.system, err = onlySystem(r.cfg); err != nil {
		return err
	}
	if r.dir == "" {
		r.dir = r.cfg.Data.Dir
	}
	if r.dir, err = o.dataDir(r.dir); err != nil {
		return unchecked(err)
	}
	cfg := *r.cfg
	cfg.Data.Dir = r.dir
	r.cfg = &cfg
	return nil
}

func (r *reconciling) run(ctx context.Context, o *options) error {
	p := reconcile.Proof{Tool: build(), Command: strings.Join(r.targets, " ")}
	found := p.Collect
	if r.proof == "" {
		found = nil
	}
	rep, err := r.compare(ctx, o, found)
	if err != nil {
		return err
	}
	p.Report = rep
	var kept *keptProof
	if r.proof != "" {
		if kept, err = r.keep(ctx, o, &p); err != nil {
			return err
		}
	}
	switch {
	case o.json() && kept != nil:
		err = printJSON(o.out, struct {
			*reconcile.Report
			Proof *keptProof `json:"proof"`
		}{rep, kept}, false)
	case o.json():
		err = printJSON(o.out, rep, false)
	default:
		_, err = fmt.Fprintln(o.out, plainLines(rep.String()))
		if kept != nil && err == nil {
			_, err = fmt.Fprintf(o.out, "proof: %s, SHA-256 %s, noted in the log at position %d\n", plain(kept.File), kept.SHA256, kept.LSN)
		}
	}
	return outcome(err, rep.Exit())
}

// sources are what is compared.
type sources struct {
	log    *wal.Reader
	rows   *ledger.Reader
	client *kafka.Client
	topics *reconcile.KafkaTopics
}

func (r *reconciling) sources() (*sources, error) {
	s := &sources{}
	var err error
	if s.log, s.rows, err = r.logs(); err != nil {
		return nil, err
	}
	k := &r.system.Kafka
	if s.client, err = kafka.New(kafka.Config{
		Bootstrap: k.Bootstrap, ClientID: k.ClientID, RequestTimeout: k.RequestTimeout, Credentials: k.Security,
	}); err != nil {
		s.log.Close()
		return nil, err
	}
	s.topics = reconcile.NewKafkaTopics(s.client)
	return s, nil
}

func (s *sources) close() {
	s.client.Close()
	s.log.Close()
}

func (r *reconciling) logs() (*wal.Reader, *ledger.Reader, error) {
	log, err := wal.OpenReader(vfs.OS{}, r.dir)
	if err != nil {
		return nil, nil, err
	}
	rows, err := ledger.OpenReader(vfs.OS{}, filepath.Join(r.dir, "ledger"), log.ID())
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return log, rows, nil
}

func (r *reconciling) compare(ctx context.Context, o *options, found func(reconcile.Range)) (*reconcile.Report, error) {
	s, err := r.sources()
	if err != nil {
		return nil, notCompared(err, r.system)
	}
	defer s.close()
	rep, err := reconcile.Run(ctx, reconcile.Config{
		Log: s.log, Ledger: s.rows, Topic: s.topics, Only: only(r.targets), Found: found, Progress: o.progress("reconcile"),
	})
	if err != nil {
		return nil, notCompared(err, r.system)
	}
	return rep, nil
}

// only selects the lanes of the targets; without any, all.
func only(targets []string) func(streamdown.TopicPartition) bool {
	if len(targets) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, t := range targets {
		names[t] = true
	}
	return func(tp streamdown.TopicPartition) bool { return names["*"] || names[tp.Topic] || names[tp.String()] }
}

// onlySystem is the one system that the streams go to, as node has it.
func onlySystem(cfg *config.Config) (*config.System, error) {
	s, ok := cfg.System(cfg.Streams[0].To)
	for i := range cfg.Streams {
		ok = ok && cfg.Streams[i].To == s.Name
	}
	if !ok {
		return nil, &exitError{
			code: exitConfig, err: fmt.Errorf("%s: the streams of one data directory go to one system; give the others a config of their own", cfg.Streams[0].To),
		}
	}
	return s, nil
}

// notCompared tells a cluster that does not answer from everything else that stood in the way.
func notCompared(err error, s *config.System) error {
	if kafka.CauseOf(err) != 0 {
		return &exitError{code: exitUnreachable, err: err, try: fmt.Sprintf("to change what it names, in systems.%s.kafka of the config or at the cluster", s.Name)}
	}
	if kafka.TroubleOf(err) != 0 || errors.Is(err, context.DeadlineExceeded) {
		return &exitError{code: exitUnreachable, err: err, try: fmt.Sprintf("again when %s answers; its bootstrap.servers are %v", s.Name, s.Kafka.Bootstrap)}
	}
	return unchecked(err)
}

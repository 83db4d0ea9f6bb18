package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/vfs"
)

// rulesEach is how often the rules of a Kafka cluster are read again.
const rulesEach = 30 * time.Second

// rulesFile keeps in the data directory what was read last: rights hold through an outage, also over a restart of ours.
const rulesFile = "acls.json"

// ruleKeeper gives users the rights that a Kafka cluster's rules give them.
type ruleKeeper struct {
	system string
	read   func(context.Context) ([]auth.Rule, error)
	use    func([]auth.Rule)
	dir    string
	log    *slog.Logger

	mu     sync.Mutex // guards the following
	known  keptRules
	failed string // why the last try failed; empty = it did not
}

// keptRules is what rulesFile holds.
type keptRules struct {
	SchemaVersion int         `json:"schema_version"`
	System        string      `json:"system"`
	ReadAt        time.Time   `json:"read_at"`
	Rules         []auth.Rule `json:"rules"`
}

// newRuleKeeper uses what was kept. A file that cannot be read gives nobody anything: unknown is deny.
func newRuleKeeper(system, dir string, read func(context.Context) ([]auth.Rule, error), use func([]auth.Rule), log *slog.Logger) *ruleKeeper {
	k := &ruleKeeper{system: system, read: read, use: use, dir: dir, log: log}
	var kept keptRules
	b, err := os.ReadFile(k.path())
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		log.Warn("the kept ACLs cannot be read: they give no rights until they are read from Kafka", "file", k.path(), "err", err)
	case kept.SchemaVersion != 1 || kept.System != system:
		log.Warn("the kept ACLs are of another system, or of a newer version: they give no rights until they are read from Kafka", "file", k.path(), "system", kept.System)
	default:
		k.known = kept
		use(kept.Rules)
	}
	return k
}

func (k *ruleKeeper) path() string { return filepath.Join(k.dir, rulesFile) }

// run reads the rules again and again until ctx ends. What was read last counts until something else is.
func (k *ruleKeeper) run(ctx context.Context) error {
	tick := time.NewTicker(rulesEach)
	defer tick.Stop()
	wait := time.Second // for the first answer: nobody has rights before
	for {
		if k.refresh(ctx) {
			wait = rulesEach
		} else {
			wait = min(2*wait, rulesEach)
		}
		tick.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refresh reads the rules once; false if that did not work.
func (k *ruleKeeper) refresh(ctx context.Context) bool {
	asking, cancel := context.WithTimeout(ctx, rulesEach)
	defer cancel()
	rules, err := k.read(asking)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		if said := err.Error(); said != k.failed && ctx.Err() == nil {
			k.failed = said
			k.log.Warn("Kafka's ACLs cannot be read: those read last count", "read_at", k.known.ReadAt, "rules", len(k.known.Rules), "err", err, "try", tryOf(err))
		}
		return false
	}
	k.failed = ""
	slices.SortFunc(rules, func(a, b auth.Rule) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), order(a.Prefix, b.Prefix), order(a.Deny, b.Deny))
	})
	changed := k.known.ReadAt.IsZero() || !slices.Equal(rules, k.known.Rules)
	k.known = keptRules{SchemaVersion: 1, System: k.system, ReadAt: time.Now().UTC(), Rules: rules}
	if !changed {
		return true
	}
	k.use(rules)
	k.log.Info("Kafka's ACLs were read", "system", k.system, "rules", len(rules))
	if err := k.keep(); err != nil {
		k.log.Warn("Kafka's ACLs cannot be kept: after a restart during an outage they give no rights", "err", err)
	}
	return true
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func tryOf(err error) string {
	var reply *kafka.ReplyError
	switch {
	case errors.Is(err, kafka.ErrNoAuthorizer):
		return "leave auth.acls out, and give users their topics"
	case errors.As(err, &reply):
		return "let streamdown's user describe the cluster: kafka-acls.sh --add --allow-principal User:… --operation Describe --cluster"
	}
	return "see whether Kafka is well: streamdown status"
}

// keep writes the file: whole, or not at all.
func (k *ruleKeeper) keep() error {
	b, err := json.MarshalIndent(k.known, "", " ")
	if err != nil {
		return err
	}
	disk, tmp := vfs.OS{}, k.path()+".tmp"
	if err := disk.Remove(tmp); err != nil && !vfs.IsNotExist(err) {
		return err
	}
	f, err := disk.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	err = errors.Join(err, f.Sync())
	err = errors.Join(err, f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := disk.Rename(tmp, k.path()); err != nil {
		return err
	}
	return disk.SyncDir(k.dir)
}

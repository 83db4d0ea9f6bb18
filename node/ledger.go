package node

import (
	"path/filepath"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ledger"
)

// ledgerDir is where the ledger of a log lies.
func ledgerDir(data string) string { return filepath.Join(data, "ledger") }

func (n *Node) newLedger() *ledger.Keeper {
	return ledger.New(ledger.Config{
		FS: n.opt.FS, Dir: ledgerDir(n.cfg.Data.Dir), LogDir: n.cfg.Data.Dir, Keep: n.cfg.Data.Ledger.Keep, MaxSize: int64(n.cfg.Data.Ledger.MaxSize),
		State: delivery.New(), Digest: n.rewritten, Logger: n.log,
	})
}

// rewritten reports whether the target writes batches of a lane anew: then equal bytes cannot be had, and the ledger keeps a
// digest of the records. A topic that only stamps its own times changes headers, which are not compared.
func (n *Node) rewritten(id streamdown.LaneID) bool {
	tp, ok := n.wal.LaneName(id)
	cl := n.catalog.Cluster()
	if !ok || cl == nil {
		return false
	}
	t := cl.Topics[tp.Topic]
	return t != nil && t.Config.Compression != "" && t.Config.Compression != "producer"
}

// floor is how far the log may release: as far as the ledger has rows. When there is no room and the ledger cannot be written,
// the log goes first, for acked records need the room more than the proof does.
func (n *Node) floor() streamdown.LSN {
	if n.ledger.Stats().Trouble != "" {
		// As little as the forwarder lets the log have before it gives up what is retained: producers wait below that.
		if st := n.wal.Stats(); st.Full != "" || st.Room >= 0 && st.Room < st.MaxSize/10 {
			return ^streamdown.LSN(0)
		}
	}
	return n.ledger.Floor()
}

func (n *Node) ledgerStatus() *api.Ledger {
	st := n.ledger.Stats()
	return &api.Ledger{
		SizeBytes: st.Bytes, MaxSizeBytes: int64(n.cfg.Data.Ledger.MaxSize), KeepSeconds: n.cfg.Data.Ledger.Keep.Seconds(), Files: st.Files,
		First: st.First, Written: st.Written, Oldest: moment(st.Oldest), Trouble: st.Trouble, Damaged: st.Damaged,
		SkippedBytes: st.Skipped, LostBatches: st.Lost,
	}
}

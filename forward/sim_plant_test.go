package forward

import (
	"strings"
	"testing"
)

// plant is a bug that the simulation is to find: it shows that the oracle can fail.
type plant int

const (
	noPlant plant = iota
	// In the core.
	plantSilence
	plantSwap
	plantEarly
	plantWarm
	plantBump
	plantEnd
	plantLast
	plantStay
	plantOldID
	plantSkip
	plantMove
	plantAlias
	plantHasty
	plantReuse
	plantMix
	// At the seams of the log, the intake and the target.
	plantAckEarly    // the log shows entries to the books before they are durable
	plantReadAhead   // the log can be read before it is durable
	plantRefuseLate  // the log says that it is full when it has taken the entry
	plantForgetDedup // a restart forgets what producers sent
	plantShortReplay // a restart overlooks the last batch, so its ordinal is given again
	plantRelease     // the log is released up to its end
	plantLostRead    // a read never comes back
	plantRenumber    // a restart numbers from 0 under the old producer id and epoch
	plantLowScan     // a scan ends at the high watermark that there is, not at the end of the leader's epoch
	plantOffset      // the broker's offset is misread
	plantOpenLate    // a process takes records before it notes that it goes on with the log
	plantBindEarly   // a binding is used before it is durable
	plantJump        // confirmations are put together over records of others
	// Of the quarantine.
	plantUnasked     // a batch is quarantined when it was refused once
	plantRefusedBump // a refusal ends in a new epoch instead of a question
	plantLimits      // a lowered limit counts as the batch's own fault
	plantPutLate     // the log says that a batch is in quarantine before its bytes are durable
	plantAsideEarly  // the lane goes on before the log says so
	plantBlind       // a batch is sent again without looking for a copy
)

func (p plant) config(c *Config) {
	switch p {
	case plantSilence:
		c.plantSilence = true
	case plantSwap:
		c.plantSwap = true
	case plantEarly:
		c.plantEarly = true
	case plantWarm:
		c.plantWarm = true
	case plantBump:
		c.plantBump = true
	case plantEnd:
		c.plantEnd = true
	case plantLast:
		c.plantLast = true
	case plantStay:
		c.plantStay = true
	case plantOldID:
		c.plantOldID = true
	case plantMove:
		c.plantMove = true
	case plantSkip:
		c.plantSkip = true
	case plantAlias:
		c.plantAlias = true
	case plantHasty:
		c.plantHasty = true
	case plantReuse:
		c.plantReuse = true
	case plantMix:
		c.plantMix = true
	case plantUnasked:
		c.plantUnasked = true
	case plantRefusedBump:
		c.plantRefusedBump = true
	case plantLimits:
		c.plantLimits = true
	}
}

// TestPlantedBugsAreCaught plants what the rules forbid, one at a time, and wants the right promise to be the broken one.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, c := range []struct {
		name    string
		plant   plant
		promise string
		within  uint64 // seeds
	}{
		{"silence means nothing stored (D1)", plantSilence, "G6", 300},
		{"two batches swapped", plantSwap, "G5", 300},
		{"confirmed when sent (D2)", plantEarly, "confirmed", 100},
		{"pipeline when cold (C3)", plantWarm, "G5", 2000},
		{"epoch bump while in doubt (C5)", plantBump, "G6", 300},
		{"acked before it is durable (A1)", plantAckEarly, "G1", 100},
		{"sent before it is durable (A1)", plantReadAhead, "G1", 100},
		{"refused after it was taken (A4)", plantRefuseLate, "G2", 100},
		{"dedup forgets at restart (B2)", plantForgetDedup, "B2", 500},
		{"an ordinal is given twice (A3)", plantShortReplay, "G7", 300},
		{"released before it is confirmed", plantRelease, "G3", 100},
		{"a read is lost", plantLostRead, "liveness", 100},
		{"a restart numbers anew (C1)", plantRenumber, "G7", 300},
		{"scan to a too low end (D3)", plantLowScan, "G6", 2000},
		{"offset misread", plantOffset, "offset", 100},
		{"the end that counts is the current one (A2)", plantEnd, "confirmed", 200},
		{"the end that counts is that of the last opening (A2)", plantLast, "confirmed", 200},
		{"on under the binding of an earlier life (A2)", plantStay, "G6", 200},
		{"a new epoch instead of a new producer id (A2)", plantOldID, "A2", 200},
		{"not settled under the old binding (A2)", plantSkip, "G6", 200},
		{"what is left of the old binding goes out under the new id (A2)", plantMove, "G6", 500},
		{"the opening is noted too late (A2)", plantOpenLate, "A2", 200},
		{"a binding is used before it is durable (C1)", plantBindEarly, "G6", 500},
		{"confirmations put together", plantJump, "offset", 500},
		{"a batch stays in the reader's buffer", plantAlias, "bytes", 100},
		{"a batch's buffer is given back when it was sent", plantHasty, "bytes", 100},
		{"a request's parcels are used again when it was sent", plantReuse, "bytes", 100},
		{"a request has lanes of two classes (C2)", plantMix, "C2", 100},
		{"quarantined without asking (D5)", plantUnasked, "D5", 1000},
		{"epoch bump while in doubt after a refusal (C5)", plantRefusedBump, "G6", 1000},
		{"a config error is quarantined (D5)", plantLimits, "D5", 200},
		{"quarantined before the bytes are durable", plantPutLate, "G3", 200},
		{"the lane goes on before the quarantine is durable", plantAsideEarly, "G5", 200},
		{"sent again without looking for a copy (D5)", plantBlind, "G6", 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			others := 0
			for seed := uint64(1); seed <= c.within; seed++ {
				s := newSim(seed, c.plant, false)
				s.run()
				if strings.HasPrefix(s.broken, c.promise+":") {
					t.Logf("caught by seed %d, after %d that broke another promise: %s", seed, others, s.broken)
					return
				}
				if s.broken != "" {
					others++
				}
			}
			t.Errorf("%d seeds, and none broke %s (%d broke another promise)", c.within, c.promise, others)
		})
	}
}

package forward

import "testing"

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
	// At the seams of the intake and of the target.
	plantAckEarly    // the log shows entries to the books before they are durable
	plantForgetDedup // a restart forgets what producers sent
	plantShortReplay // a restart overlooks the last batch, so its ordinal is given again
	plantLowScan     // a scan ends at the high watermark that there is, not at the end of the leader's epoch
	plantNoState     // asking always says: nothing known; and a scan finds nothing
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
	}
}

// TestPlantedBugsAreCaught plants what the rules forbid, one at a time.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, c := range []struct {
		name   string
		plant  plant
		within uint64
	}{
		{"silence means nothing stored (D1)", plantSilence, 300},
		{"two batches swapped (G5)", plantSwap, 100},
		{"confirmed when sent (D2)", plantEarly, 100},
		{"pipeline when cold (C3)", plantWarm, 1500},
		{"epoch bump while in doubt (C5)", plantBump, 300},
		{"acked before it is durable (A1)", plantAckEarly, 100},
		{"dedup forgets at restart (B2)", plantForgetDedup, 500},
		{"an ordinal is given twice (A3)", plantShortReplay, 300},
		{"scan to a too low end (D3)", plantLowScan, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= c.within; seed++ {
				s := newSim(seed, c.plant, false)
				s.run()
				if s.broken != "" {
					t.Logf("caught by seed %d: %s", seed, s.broken)
					return
				}
			}
			t.Errorf("not caught by %d seeds", c.within)
		})
	}
}

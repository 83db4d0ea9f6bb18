package main

// result is the last line. Records are counted, except where a name says otherwise.
type result struct {
	Seed    uint64  `json:"seed"`
	Kafka   string  `json:"kafka"`
	Seconds float64 `json:"seconds"` // of faults
	Records uint64  `json:"records"` // acked to producers
	Read    uint64  `json:"read"`    // found in Kafka

	Faults map[string]int `json:"faults"` // by kind
	Scans  uint64         `json:"scans"`  // of the gateway's last life
	// TakenBack is how many records Kafka had committed and lost in unclean elections, at least: what the new leader
	// took before it was asked hides as many.
	TakenBack int64 `json:"taken_back"`
	// Silence is the longest time that a producer was without an ack while some were due.
	Silence float64 `json:"longest_silence_seconds"`

	GatewayMiB int64 `json:"gateway_resident_mib"` // when all was drained
	JudgeMiB   int64 `json:"judge_resident_mib"`   // of producers, reader and judge, after reading

	Lost      uint64 `json:"lost"`
	Doubled   uint64 `json:"doubled"`
	Reordered uint64 `json:"reordered"`
	Other     uint64 `json:"other"` // phantom, misrouted, corrupt

	Verdict  string   `json:"reconcile"` // its own word
	Coverage float64  `json:"coverage"`  // of reconcile
	Reported []string `json:"reported"`  // ranges that reconcile names, but for those not comparable
	Unlisted int64    `json:"unlisted"`  // ranges that the report counts and does not name: totals are compared for them
	Stopped  []string `json:"stopped"`   // lanes, with the reason
	// Unexplained counts the records that only one of the two sides calls lost, doubled or out of order; those of ranges
	// count again where the sums differ.
	Unexplained uint64   `json:"unexplained"`
	Wrong       []string `json:"wrong"` // what else should not be
}

// proved reports whether the run showed what it should.
func (r *result) proved() bool {
	return r.Records > 0 && r.Unexplained == 0 && r.Other == 0 && len(r.Wrong) == 0 && len(r.Stopped) == 0
}

package doctor

import (
	"encoding/json"
	"time"
)

// Verdict is how a step went.
type Verdict string

// The verdicts.
const (
	OK          Verdict = "ok"
	Wrong       Verdict = "wrong"       // a check says no
	Unreachable Verdict = "unreachable" // nobody answers
	Warning     Verdict = "warning"     // it works, and may not always
	Unknown     Verdict = "unknown"     // the other side does not say
	Skipped     Verdict = "skipped"     // not asked for, or nothing to do
)

// The names of the steps, in the order in which they are taken.
const (
	StepCredentials = "credentials"
	StepDNS         = "dns"
	StepTCP         = "tcp"
	StepTLS         = "tls"
	StepVersions    = "versions"
	StepLogin       = "login"
	StepMetadata    = "metadata"
	StepAddress     = "address" // one for each address that brokers advertise
	StepTopic       = "topic"   // one for each topic
	StepProducerID  = "producer_id"
	StepProduce     = "produce"
)

// Step is one step and what was seen.
type Step struct {
	Name    string  `json:"step"`
	Subject string  `json:"subject"` // a host, an address or a topic
	Verdict Verdict `json:"verdict"`
	Saw     string  `json:"saw"`
	Problem *string `json:"problem"` // what is wrong, null if nothing is
	Try     *string `json:"try"`
	Elapsed Seconds `json:"elapsed_seconds"`
}

// Seconds is a duration that JSON shows in seconds.
type Seconds time.Duration

// MarshalJSON writes seconds, to the microsecond.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Microsecond).Seconds())
}

// Report is what a walk saw. Its fields are only added to.
type Report struct {
	SchemaVersion int       `json:"schema_version"`
	Target        string    `json:"target"`
	At            time.Time `json:"at"`
	Verdict       Verdict   `json:"verdict"` // the worst of all
	Steps         []Step    `json:"steps"`
	Settings      []Finding `json:"settings"` // null if no settings were given
}

// worst is the verdict of the whole: what cannot be reached outweighs what says no only at the first broker, because
// nothing behind it was seen.
func (r *Report) worst() Verdict {
	rank := map[Verdict]int{Warning: 1, Unknown: 1, Wrong: 2, Unreachable: 3}
	worst := OK
	for _, s := range r.Steps {
		v := s.Verdict
		if v == Unreachable && s.Name == StepAddress {
			v = Wrong // the cluster was reached, and says an address that cannot be
		}
		if v == Unknown {
			v = Warning
		}
		if rank[v] > rank[worst] {
			worst = v
		}
	}
	for _, f := range r.Settings {
		if rank[f.Severity] > rank[worst] {
			worst = f.Severity
		}
	}
	return worst
}

// Exit is the exit code of the verdict: 0, 3 (a check says no) or 69 (unreachable). Warnings are no reason to fail.
func (r *Report) Exit() int {
	switch r.Verdict {
	case Wrong:
		return 3
	case Unreachable:
		return 69
	}
	return 0
}

// Judge adds what Settings found; nil is no settings.
func (r *Report) Judge(found []Finding) {
	r.Settings = found
	r.Verdict = r.worst()
}

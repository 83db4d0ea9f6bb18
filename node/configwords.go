package node

import (
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/config"
)

// told puts findings into the form of the API.
func told(findings config.Findings) []api.ConfigFinding {
	list := make([]api.ConfigFinding, 0, len(findings))
	for _, f := range findings {
		t := api.ConfigFinding{File: f.File, Key: f.Key, Severity: f.Severity.String(), Text: f.Text, Meant: known(f.Meant)}
		if f.Line > 0 {
			t.Line, t.Column = &f.Line, &f.Column
		}
		list = append(list, t)
	}
	return list
}

// known is nil for what is not there.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func worded(s *string) string {
	if s == nil {
		return "(not set)"
	}
	return *s
}

package service

import (
	"bytes"
	_ "embed" // the unit
	"fmt"
	"path/filepath"
	"regexp"
	"text/template"
)

//go:embed streamdown.service
var unit string

// Unit is a systemd unit. All but Data is required.
type Unit struct {
	Binary, Config string   // files
	User           string   // and group
	Data           []string // directories that it writes to, beside its StateDirectory
}

// word keeps values from becoming lines, specifiers (%) or variables ($) of a unit.
var word = regexp.MustCompile(`^[A-Za-z0-9_./@:+,-]+$`)

// Text returns the unit file.
func (u Unit) Text() ([]byte, error) {
	for what, path := range map[string]string{"binary": u.Binary, "config": u.Config} {
		if !filepath.IsAbs(path) || !word.MatchString(path) {
			return nil, fmt.Errorf("the %s %q is not an absolute path of plain characters", what, path)
		}
	}
	for _, path := range u.Data {
		if !filepath.IsAbs(path) || !word.MatchString(path) {
			return nil, fmt.Errorf("the directory %q is not an absolute path of plain characters", path)
		}
	}
	if !word.MatchString(u.User) {
		return nil, fmt.Errorf("%q is no user", u.User)
	}
	t, err := template.New("unit").Parse(unit)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, u)
	return b.Bytes(), err
}

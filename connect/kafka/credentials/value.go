package credentials

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/streamdown/streamdown"
)

// Value is the text of a setting, of which parts may stand in files. The zero Value is empty text.
type Value struct{ parts []part }

type part struct {
	text streamdown.Secret
	file string // the text is in this file; empty = in text
}

// Text returns a Value that never changes.
func Text(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{[]part{{text: streamdown.NewSecret(s)}}}
}

// File returns a Value that is the content of a file without its last line end.
func File(path string) Value { return Value{[]part{{file: path}}} }

// And returns v followed by w.
func (v Value) And(w Value) Value {
	var parts []part
	for _, p := range slices.Concat(v.parts, w.parts) {
		if last := len(parts) - 1; p.file == "" && last >= 0 && parts[last].file == "" {
			parts[last].text = streamdown.NewSecret(parts[last].text.Reveal() + p.text.Reveal())
		} else {
			parts = append(parts, p)
		}
	}
	return Value{parts}
}

// Read returns the text, with files as they are now.
func (v Value) Read() (string, error) {
	var b strings.Builder
	for _, p := range v.parts {
		if p.file == "" {
			b.WriteString(p.text.Reveal())
			continue
		}
		content, err := ReadFile(p.file)
		if err != nil {
			return "", err
		}
		b.WriteString(strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"))
	}
	return b.String(), nil
}

// Format does not give the text away, whatever the verb: fmt looks into fields, and their own ways to hide are not asked.
func (v Value) Format(f fmt.State, _ rune) {
	if len(v.parts) > 0 {
		_, _ = io.WriteString(f, hidden)
	}
}

const hidden = "<redacted>"

// MaxFile bounds a file that is read here, in bytes.
const MaxFile = 1 << 20

// ReadFile reads a regular file of at most MaxFile bytes: a pipe or a device could keep us for ever.
func ReadFile(path string) ([]byte, error) {
	content, err := readFile(path)
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	if err != nil {
		return nil, fmt.Errorf("the file %s cannot be read: %w", path, err)
	}
	return content, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(content) > MaxFile {
		err = errors.New("larger than 1 MiB")
	}
	return content, err
}

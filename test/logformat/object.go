package logformat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

var errNoJSON = errors.New("it is no JSON")

// object holds a JSON text against its table of keys: each key has a row, each value the type that the row says.
func (p *Page) object(table string, b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("%w: %w", errNoJSON, err)
	}
	return p.value(table, v)
}

func (p *Page) value(typ string, v any) error {
	kind, of, _ := strings.Cut(typ, " of ")
	switch kind {
	case "string":
		_, ok := v.(string)
		return is(ok, typ, v)
	case "number":
		_, ok := v.(float64)
		return is(ok, typ, v)
	case "bool":
		_, ok := v.(bool)
		return is(ok, typ, v)
	case "time":
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return err
	case "any":
		return nil
	case "list":
		list, ok := v.([]any)
		if !ok && v != nil {
			return is(false, typ, v)
		}
		for _, one := range list {
			if err := p.value(of, one); err != nil {
				return err
			}
		}
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return is(false, typ, v)
	}
	for key, one := range object {
		want := of // of a map: each has the same
		if kind != "map" {
			row := p.key(kind, key)
			if row == nil {
				return fmt.Errorf("key %q is in no row of the table %q", key, kind)
			}
			row.Used, want = true, row.Type
		}
		if err := p.value(want, one); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (p *Page) key(table, name string) *Key {
	for _, k := range p.keys[table] {
		if k.Name == name {
			return k
		}
	}
	return nil
}

func is(ok bool, typ string, v any) error {
	if !ok {
		return fmt.Errorf("%v is no %s", v, typ)
	}
	return nil
}

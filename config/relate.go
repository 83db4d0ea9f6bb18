package config

import (
	"slices"
	"strings"
)

// relate checks what is right by itself and wrong together. root is only read for places.
func (d *decoder) relate(c *Config, root *value) {
	d.sameServers(c, root)
	d.targets(c, root)
	d.sameNames(c, root)
	d.shadowed(c, root)
	d.classes(c, root)
	d.open(c, root)
	d.advertised(c, root)
	d.httpDoor(c, root)
	d.people(c, root)
	d.rulesOf(c, root)
	shared := slices.ContainsFunc(c.Listen.Kafka.Classes, func(k Class) bool { return k.Address == c.Listen.HTTP.Address })
	if shared && !strings.HasSuffix(c.Listen.HTTP.Address, ":0") {
		at := root.at("listen", "http", "address")
		if at == nil {
			at = root.at("listen", "kafka", "address")
		}
		d.wrong(at, "is the same for kafka and http; give each a port of its own")
	}
}

// at returns the value below a chain of keys, nil if there is none.
func (v *value) at(keys ...string) *value {
	for _, key := range keys {
		if v == nil {
			return nil
		}
		i := slices.IndexFunc(v.entries, func(e entry) bool { return e.key == key })
		if i < 0 {
			return nil
		}
		v = v.entries[i].value
	}
	return v
}

// sameServers warns of two systems that are one: a second copy there is no second copy.
func (d *decoder) sameServers(c *Config, root *value) {
	owner := make(map[string]string)
	for _, s := range c.Systems {
		for _, server := range s.Kafka.Bootstrap {
			server = strings.ToLower(server)
			other, taken := owner[server]
			if !taken {
				owner[server] = s.Name
				continue
			}
			d.warn(root.at("systems", s.Name, "kafka", "bootstrap.servers"),
				"shares a server with system %s: the two are probably one cluster", other)
			break
		}
	}
}

// targets fills in and checks where streams go.
func (d *decoder) targets(c *Config, root *value) {
	var names []string
	for _, s := range c.Systems {
		names = append(names, s.Name)
	}
	used := make(map[string]bool)
	settled := len(c.Streams) > 0 // every stream goes somewhere: only then an unused system means anything
	items := root.at("streams")
	for i := range c.Streams {
		s, at := &c.Streams[i], items.items[i]
		to := at.at("to")
		switch {
		case to == nil && len(names) == 1:
			s.To = names[0]
		case to == nil && len(names) > 1 && at.kind == mapping:
			d.foundIn(at.file, Error, at.line, at.column, at.path+".to", "is missing; systems are %s", strings.Join(names, ", "))
		case s.To != "" && len(names) > 0 && !slices.Contains(names, s.To):
			f := d.wrong(to, "%s is not the name of a system", to.said())
			if f.Meant = nearest(s.To, names); f.Meant == "" || to.secret {
				f.Text, f.Meant = f.Text+"; systems are "+strings.Join(names, ", "), ""
			}
		}
		if first := c.Streams[0].To; to != nil && s.To != first && slices.Contains(names, s.To) && slices.Contains(names, first) {
			d.wrong(to, "is another system than that of streams[0], %s: one process forwards to one system; run a second one, "+
				"with a data.dir of its own, for the other", first)
		}
		used[s.To] = true
		settled = settled && slices.Contains(names, s.To)
	}
	for _, s := range c.Systems {
		if settled && !used[s.Name] {
			d.warn(root.at("systems", s.Name), "no stream goes there")
		}
	}
}

func (d *decoder) sameNames(c *Config, root *value) {
	first := make(map[string]int)
	for i, s := range c.Streams {
		at := root.at("streams").items[i].at("name")
		if s.Name == "" {
			continue
		}
		if before, taken := first[s.Name]; taken {
			d.wrong(at, "streams[%d] has the name %s already", before, at.said())
			continue
		}
		first[s.Name] = i
	}
}

// shadowed warns of globs that never get a topic because one before them takes it.
func (d *decoder) shadowed(c *Config, root *value) {
	type taken struct {
		glob   string
		at     *value
		stream int
	}
	var before []taken
	for i, s := range c.Streams {
		topics := root.at("streams").items[i].at("topics")
		for j, glob := range s.Topics {
			if glob == "" {
				continue
			}
			at := topics.items[j]
			k := slices.IndexFunc(before, func(t taken) bool { return covered(glob, t.glob) })
			if k < 0 {
				before = append(before, taken{glob, at, i})
				continue
			}
			if earlier := before[k]; earlier.stream == i {
				d.warn(at, "adds nothing: %s in the same stream takes it all", earlier.at.said())
			} else {
				d.warn(at, "never gets a topic: %s of streams[%d] takes it all; put the narrower stream first", earlier.at.said(), earlier.stream)
			}
		}
	}
}

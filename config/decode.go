package config

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fields are the entries of a mapping by key, without those that were a finding.
type fields map[string]*value

// A value that was found wrong before is treated as missing from here on, without another word.

// fields takes a mapping apart. The keys that it may have are declared in keys.go.
func (d *decoder) fields(v *value) fields {
	f := make(fields)
	if v == nil || v.broken {
		return f
	}
	if v.kind != mapping {
		if v.kind != nothing {
			d.wrong(v, "want a mapping, not %s", v.kind)
		}
		return f
	}
	for _, e := range v.entries {
		path := join(v.path, e.key)
		switch k := v.key.child(e.key); {
		case k == nil:
		case k.later != "":
			d.foundIn(e.value.file, Error, e.line, e.column, path, "%s", k.later)
			continue
		default:
			f[e.key] = e.value
			continue
		}
		known := v.key.names()
		f := d.foundIn(e.value.file, Error, e.line, e.column, path, "unknown key")
		if f.Meant = nearest(e.key, known); f.Meant == "" {
			f.Text += "; known here: " + strings.Join(known, ", ")
		}
	}
	return f
}

// text returns the text of a key, or fallback if it is missing or wrong.
func (d *decoder) text(v *value, fallback string) string {
	if v == nil || v.broken {
		return fallback
	}
	switch {
	case v.kind == text && v.text != "":
		return v.text
	case v.kind == nothing || v.kind == text:
		d.wrong(v, "is empty; give it a value or leave the key out")
	case v.kind == number || v.kind == boolean:
		d.wrong(v, "want text, not %s; quote it", v.kind)
	default:
		d.wrong(v, "want text, not %s", v.kind)
	}
	return fallback
}

// scalar reports whether a value that is written as a number or text, such as a size, is there and is one.
func (d *decoder) isScalar(v *value, want string) bool {
	if v == nil || v.broken {
		return false
	}
	switch v.kind {
	case text, number:
		if v.text != "" {
			return true
		}
		d.wrong(v, "is empty; want %s", want)
	case nothing:
		d.wrong(v, "is empty; want %s", want)
	default:
		d.wrong(v, "want %s, not %s", want, v.kind)
	}
	return false
}

func (d *decoder) duration(v *value, fallback time.Duration) time.Duration {
	if !d.isScalar(v, "a duration such as 1.5s") {
		return fallback
	}
	t, err := ParseDuration(v.text)
	if err != nil {
		d.wrong(v, "%s %v", v.said(), err)
		return fallback
	}
	return t
}

func (d *decoder) size(v *value, fallback Size) Size {
	if !d.isScalar(v, "a size such as 50GiB") {
		return fallback
	}
	s, err := ParseSize(v.text)
	if err != nil {
		d.wrong(v, "%s %v", v.said(), err)
		return fallback
	}
	return s
}

func (d *decoder) rate(v *value, fallback Rate) Rate {
	if !d.isScalar(v, "a rate such as 8MiB/s, or off") {
		return fallback
	}
	r, err := ParseRate(v.text)
	if err != nil {
		d.wrong(v, "%s %v", v.said(), err)
		return fallback
	}
	return r
}

// choice returns one of the words, or fallback.
func (d *decoder) choice(v *value, fallback string, words ...string) string {
	t := d.text(v, fallback)
	if v != nil && t != fallback && !slices.Contains(words, t) {
		d.wrong(v, "%s is not a choice; want %s", v.said(), strings.Join(words, " or ")).Meant = nearest(t, words)
		return fallback
	}
	return t
}

// hostPort reports whether an address that v holds is one, and says what is wrong with it.
func (d *decoder) hostPort(v *value, address string, freePort bool) bool {
	if v == nil || v.broken || address == "" {
		return false
	}
	said := func(a string) string {
		if v.secret {
			return "the address (not shown)"
		}
		return strconv.Quote(a)
	}
	if _, rest, found := strings.Cut(address, "://"); found {
		d.wrong(v, "%s begins with a scheme; write host:port, such as %s", said(address), said(rest))
		return false
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		if _, portErr := strconv.ParseUint(address, 10, 16); portErr == nil {
			d.wrong(v, "%s has no host; write host:port", said(address))
		} else {
			d.wrong(v, "%s has no port; write host:port, with an IPv6 host in square brackets", said(address))
		}
		return false
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/") {
		d.wrong(v, "%s has no host; write host:port", said(address))
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !freePort {
		d.wrong(v, "%s has no port between 1 and 65535", said(address))
		return false
	}
	return true
}

// loopback reports whether the host of an address can be reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// name returns a value that names something of ours.
func (d *decoder) name(v *value) string {
	n := d.text(v, "")
	if n != "" && !goodName.MatchString(n) {
		d.wrong(v, "%s is not a name; use letters, digits, '-', '_' and '.', at most 64", v.said())
		return ""
	}
	return n
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

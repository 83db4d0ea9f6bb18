package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Priority is how important a stream's records are beside those of others.
type Priority string

// The priorities. Streams of one priority are a class: they share a port, of their own, so that no answer that has to wait
// stands before one of a higher class.
const (
	Critical Priority = "critical"
	High     Priority = "high"
	Normal   Priority = "normal"
	Low      Priority = "low"
)

// Priorities are all, the highest first.
var Priorities = []Priority{Critical, High, Normal, Low}

// Class is the port of the streams of one priority.
type Class struct {
	Priority  Priority
	Address   string // host:port to bind
	Advertise string // host:port that clients are told; empty = the host that each came in by
}

func priorityNames() (names []string) {
	for _, p := range Priorities {
		names = append(names, string(p))
	}
	return names
}

// classes gives each priority that a stream has a port: the highest that of listen.kafka, the others those that follow.
func (d *decoder) classes(c *Config, root *value) {
	k, given := &c.Listen.Kafka, root.at("listen", "kafka", "classes")
	has := func(p Priority) bool {
		return slices.ContainsFunc(c.Streams, func(s Stream) bool { return s.Priority == p })
	}
	taken := map[string]Priority{}
	for _, p := range Priorities {
		at := given.at(string(p))
		first := len(k.Classes) == 0
		f := d.fields(at)
		switch {
		case !has(p):
			if at != nil && !at.broken {
				d.warn(at, "opens no port: no stream has this priority")
			}
			continue
		case first && len(f) > 0:
			d.wrong(at, "is the highest class that a stream has, so its port is that of listen.kafka.address and listen.kafka.advertise; leave it out here")
		}
		class := d.class(k, p, len(k.Classes), f)
		if class.Address == "" || class.Advertise == none {
			d.wrong(d.classAt(root, at), "is too high: class %s has the port that is %d above it; choose a lower one, or set listen.kafka.classes.%s", p, len(k.Classes), p)
			return
		}
		if other, twice := taken[class.Address]; twice {
			d.wrong(d.classAt(root, at), "gives class %s the port of class %s; each needs one of its own", p, other)
		} else if _, port, _ := net.SplitHostPort(class.Address); port != "0" {
			taken[class.Address] = p
		}
		k.Classes = append(k.Classes, class)
	}
	if len(k.Classes) == 0 {
		k.Classes = []Class{{Normal, k.Address, k.Advertise}} // without a stream, which is an error of its own
	}
}

// classAt is where to point at for a class: its own place, or that of what it follows from.
func (d *decoder) classAt(root, at *value) *value {
	for _, v := range []*value{at, root.at("listen", "kafka", "address"), root.at("listen", "kafka"), root.at("streams")} {
		if v != nil {
			return v
		}
	}
	return root
}

// none is an advertised address that there cannot be.
const none = ":"

// class is the n-th class, with what is written for it in the place of what follows from the first. Its address is
// empty, or what it advertises is none, if there is no such port.
func (d *decoder) class(k *KafkaListener, p Priority, n int, f fields) Class {
	c := Class{Priority: p, Address: follow(k.Address, n), Advertise: follow(k.Advertise, n)}
	if n == 0 {
		return c
	}
	if c.Advertise == "" && k.Advertise != "" {
		c.Advertise = none
	}
	if f["address"] != nil {
		c.Address = d.address(f["address"], c.Address)
		if k.Advertise == k.Address || k.Advertise == "" {
			c.Advertise = reachable(c.Address)
		}
	}
	if at := f["advertise"]; at != nil {
		c.Advertise = d.text(at, "")
		d.hostPort(at, c.Advertise, true)
	}
	return c
}

// follow is the n-th address after this one, on the same host; port 0 stays. It is empty if there is none.
func follow(address string, n int) string {
	host, port, err := net.SplitHostPort(address)
	at, bad := strconv.Atoi(port)
	if err != nil || bad != nil || at == 0 || n == 0 {
		return address
	}
	if at+n > 65535 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(at+n))
}

// reachable is the address if a client can be told it, otherwise empty.
func reachable(address string) string {
	if wildcard(address) {
		return ""
	}
	return address
}

// wildcard reports whether an address stands for all of the machine's.
func wildcard(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, bad := netip.ParseAddr(host)
	return err == nil && (host == "" || bad == nil && ip.Unmap().IsUnspecified())
}

package hostile

// Requests have one length, count or number of tags that is wrong each.
func Requests() []Item {
	var items []Item
	for _, s := range shapes() {
		items = append(items, s.variants()...)
	}
	return items
}

// Cut has every beginning of the same requests.
func Cut() []Item {
	var items []Item
	for _, s := range shapes() {
		items = append(items, s.cut()...)
	}
	return items
}

// Topic is what hostile requests name. Nothing of theirs may ever be in it.
const Topic = "hostile"

func shapes() []*shape {
	var all []*shape
	add := func(door Door, name string, key, version, flexibleFrom int16) *shape {
		s := &shape{name: name, key: key, version: version, flexible: version >= flexibleFrom, door: door}
		all = append(all, s)
		return s
	}
	for _, v := range []int16{3, 5, 7, 8, 9, 11, 12} {
		s := add(Plain, "Produce", 0, v, 9)
		// The batch is not whole, so that a request that comes through in spite of all is refused all the same.
		s.length("the transactional id", -1, '2').i16(-1).i32(1000).count("topics", 1).text("a topic", Topic).count("partitions", 1).i32(0).bytes("the records", Batch()[:61])
		s.tags("a partition").tags("a topic").tags("the request")
	}
	for _, v := range []int16{0, 1, 4, 8, 9, 10, 12} {
		s := add(Plain, "Metadata", 3, v, 9)
		s.count("topics", 2)
		for range 2 {
			if v >= 10 {
				s.i64(0).i64(0)
			}
			s.text("a topic", Topic).tags("a topic")
		}
		if v >= 4 {
			s.i8(0)
		}
		if v >= 8 && v <= 10 {
			s.i8(0)
		}
		if v >= 8 {
			s.i8(0)
		}
		s.tags("the request")
	}
	for _, door := range []Door{Plain, Stranger} {
		add(door, "ApiVersions", 18, 3, 3).text("the software's name", "abc").text("the software's version", "1.2").tags("the request")
		add(door, "ApiVersions", 18, 4, 3).text("the software's name", "abc").text("the software's version", "1.2").tags("the request")
		add(door, "SaslHandshake", 17, 0, 99).text("the mechanism", "PLAIN")
		add(door, "SaslHandshake", 17, 1, 99).text("the mechanism", "PLAIN")
		for v := range int16(3) {
			add(door, "SaslAuthenticate", 36, v, 2).bytes("the token", []byte("\x00nobody\x00nothing")).tags("the request")
		}
	}
	for v := range int16(6) {
		s := add(Plain, "InitProducerId", 22, v, 2)
		s.length("the transactional id", -1, '2').i32(1000)
		if v >= 3 {
			s.i64(-1).i16(-1)
		}
		s.tags("the request")
	}
	for v := range int16(7) {
		s := add(Plain, "FindCoordinator", 10, v, 3)
		if v < 4 {
			s.text("the key", "group")
		}
		if v >= 1 {
			s.i8(0)
		}
		if v >= 4 {
			s.count("keys", 2).text("a key", "group").text("a key", "other")
		}
		s.tags("the request")
	}
	for v := range int16(3) {
		s := add(Plain, "DescribeCluster", 60, v, 0).i8(0)
		if v >= 1 {
			s.i8(1)
		}
		s.tags("the request")
	}
	for _, v := range []int16{4, 7, 11, 12} {
		s := add(Plain, "Fetch", 1, v, 12).i32(-1).i32(100).i32(1).i32(1 << 20).i8(0)
		if v >= 7 {
			s.i32(0).i32(-1)
		}
		s.count("topics", 1).text("a topic", Topic).count("partitions", 1).i32(0)
		if v >= 9 {
			s.i32(-1)
		}
		s.i64(0)
		if v >= 12 {
			s.i32(-1)
		}
		if v >= 5 {
			s.i64(-1)
		}
		s.i32(1 << 20).tags("a partition").tags("a topic")
		if v >= 7 {
			s.count("forgotten topics", 0)
		}
		if v >= 11 {
			s.text("the rack", "")
		}
		s.tags("the request")
	}
	return all
}

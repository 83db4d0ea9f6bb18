package httpin

// framer finds the ends of JSON objects that follow each other, looking at each byte once however they come in. It
// counts braces outside of strings; whether the objects are JSON is found out later.
type framer struct {
	at      int // bytes looked at
	depth   int
	quoted  bool
	escaped bool
	bad     bool  // something else than an object began
	ends    []int // of the whole objects
}

// find looks at what is new in b, of which earlier calls saw the beginning, and reports whether there is a whole object.
func (f *framer) find(b []byte) bool {
	for ; f.at < len(b) && !f.bad; f.at++ {
		c := b[f.at]
		switch {
		case f.escaped:
			f.escaped = false
		case f.quoted:
			f.escaped = c == '\\'
			f.quoted = c != '"'
		case c == '"' && f.depth > 0:
			f.quoted = true
		case c == '{' || c == '[' && f.depth > 0:
			f.depth++
		case (c == '}' || c == ']') && f.depth > 0:
			if f.depth--; f.depth == 0 {
				f.ends = append(f.ends, f.at+1)
			}
		case f.depth == 0 && c != ' ' && c != '\t' && c != '\n' && c != '\r':
			f.bad = true
		}
	}
	return len(f.ends) > 0
}

// open reports whether an object has begun and not ended.
func (f *framer) open() bool { return f.depth > 0 }

// drop forgets the first n bytes of the request's body, which are those of whole objects.
func (f *framer) drop(r *request, n int) {
	if n == 0 {
		return
	}
	left := 0
	for _, end := range f.ends {
		if end > n {
			f.ends[left] = end - n
			left++
		}
	}
	f.ends = f.ends[:left]
	r.body = r.body[:copy(r.body, r.body[n:])]
	f.at -= n
}

package gateway

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// apiVersionsMax is the highest version of ApiVersions that is parsed (KIP-511, KIP-584; 4 repeats 3).
const apiVersionsMax = 4

// apiVersions answers what the gateway speaks. A version that it does not know gets the list in version 0 with
// UNSUPPORTED_VERSION, as KIP-511 wants: the client picks a lower one and asks again.
func (c *conn) apiVersions(h header, body []byte) (answer, error) {
	version, code := h.Version, int16(0)
	switch {
	case version < 0 || version > apiVersionsMax:
		version, code = 0, codeUnsupportedVersion
	case version >= 3:
		f := newFields(body, true)
		name, release := f.string(), f.string()
		f.tags()
		if err := f.end(); err != nil {
			return nil, err
		}
		software := cleanName(name) + " " + cleanName(release)
		c.client.Store(&software)
	}
	return func(context.Context) (kmsg.Response, error) {
		r := kmsg.NewPtrApiVersionsResponse()
		r.Version, r.ErrorCode = version, code
		for _, s := range spoken {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MinVersion, k.MaxVersion = s.key, s.min, s.max
			r.ApiKeys = append(r.ApiKeys, k)
		}
		return r, nil
	}, nil
}

// cleanName keeps of a client's word about itself what fits a log line and a label: KIP-511's characters.
func cleanName(b []byte) string {
	if len(b) > 40 {
		b = b[:40]
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			out = append(out, c)
		}
	}
	return string(out)
}

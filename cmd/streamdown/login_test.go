package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/test/authority"
)

// TestStatusIsAskedOverTLS asks a server with TLS that wants a certificate: with the config on this machine no CA is needed,
// from elsewhere one is, and what is wrong is named with what to do.
func TestStatusIsAskedOverTLS(t *testing.T) {
	ca, other := authority.New("ours"), authority.New("others")
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := ca.Issue(func(c *x509.Certificate) { c.IPAddresses = nil })
	client := ca.Issue(nil)
	healthy := healthy()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a.good.token" && len(r.TLS.PeerCertificates) == 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"title":"who are you?","detail":"no","try":"log in"}`))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(healthy)
	}))
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{Certificates: []tls.Certificate{named.TLS}, ClientCAs: ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven}
	s.StartTLS()
	defer s.Close()
	addr := s.Listener.Addr().String()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()

	config := func(cert string) string {
		return put("streamdown.yaml", fmt.Sprintf(`version: 1
listen: { http: { address: %q, tls: { cert: %q, key: %q } } }
auth: { users: [{ name: a, role: admin, password: "${HOME}-and-some-more" }] }
data: { dir: ./data }
systems: { primary: { kafka: { bootstrap.servers: "k1:9092" } } }
streams: [{ name: all, topics: ["*"] }]
`, addr, cert, put("tls.key", named.Key)))
	}
	own, token := put("tls.crt", named.Cert), put("token", "a.good.token\n")
	caFile, otherCA := put("ca.pem", ca.PEM), put("other.pem", other.PEM)
	cert, key := put("client.crt", client.Cert), put("client.key", client.Key)
	_, port, _ := net.SplitHostPort(addr)
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"by the config", []string{"-c", config(own), "--token-file", token}, 0, "OK  producers"},
		{"by the config, with a certificate", []string{"-c", config(own), "--cert", cert, "--key", key}, 0, "OK  producers"},
		{"another name", []string{"--addr", "https://" + addr, "--ca-file", caFile, "--token-file", token}, 69, "with a name that its certificate has"},
		{"an unknown CA", []string{"--addr", "https://localhost:" + port, "--token-file", token}, 69, "--ca-file FILE with the CA"},
		{"another CA", []string{"--addr", "localhost:" + port, "--ca-file", otherCA, "--token-file", token}, 69, "--ca-file FILE with the CA"},
		{"no TLS there", []string{"--addr", "https://" + plain.Listener.Addr().String(), "--token-file", token}, 69, "there is no TLS at that port"},
		{"TLS there", []string{"--addr", addr}, 69, "--addr https://" + addr},
		{"nobody", []string{"-c", config(own)}, 1, "wants to know who asks"},
		{"a wrong token", []string{"-c", config(own), "--token-file", put("wrong", "a.wrong.token")}, 1, "refuses the login"},
		{"half a pair", []string{"-c", config(own), "--cert", cert}, 2, "need each other"},
		{"no pair", []string{"-c", config(own), "--cert", cert, "--key", put("o.key", named.Key)}, 2, "files in PEM that belong together"},
		{"no CA", []string{"-c", config(own), "--ca-file", token}, 2, "holds no certificate"},
		{"no token", []string{"-c", config(own), "--token-file", put("two", "a\nb\n")}, 2, "does not hold one line"},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), append([]string{"status"}, c.args...), &out, &errs)
		said := out.String() + errs.String()
		if code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", c.name, code, c.code, c.says, said)
		}
		if strings.Contains(said, "a.wrong.token") || strings.Contains(said, "a.good.token") {
			t.Errorf("%s: shows the token", c.name)
		}
	}
}

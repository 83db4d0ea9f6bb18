package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Where a login may come from beside flags. A password is never a flag's value: every user of the machine could read it.
const (
	userVariable     = "STREAMDOWN_USER"
	passwordVariable = "STREAMDOWN_PASSWORD" //nolint:gosec // its name
	tokenVariable    = "STREAMDOWN_TOKEN"
)

// howToLogIn ends errors of a process that wants to know who asks.
const howToLogIn = "--user NAME with " + passwordVariable + " or --password-file FILE; --token-file FILE; or --cert FILE --key FILE"

// login is what a command shows the running process of who asks.
type login struct {
	user, passwordFile, tokenFile string
	caFile, cert, key             string
}

// loginFlags adds the flags of commands that ask a running process.
func (o *options) loginFlags(cmd *cobra.Command) {
	f, l := cmd.Flags(), &o.login
	f.StringVar(&l.user, "user", "", "log in as `NAME` (default "+userVariable+"); the password comes from "+passwordVariable+", --password-file or the terminal")
	f.StringVar(&l.passwordFile, "password-file", "", "read the password from `FILE`")
	f.StringVar(&l.tokenFile, "token-file", "", "show the bearer token in `FILE` (default "+tokenVariable+")")
	f.StringVar(&l.caFile, "ca-file", "", "believe the CAs in `FILE` (PEM) and no others; means https")
	f.StringVar(&l.cert, "cert", "", "show the certificate in `FILE` (PEM); needs --key; means https")
	f.StringVar(&l.key, "key", "", "the certificate's key is in `FILE` (PEM)")
}

// authorization is the header that says who asks, empty if nobody does.
func (o *options) authorization() (string, error) {
	l := o.login
	if l.user == "" && l.tokenFile == "" {
		l.user = os.Getenv(userVariable)
	}
	token := os.Getenv(tokenVariable)
	switch {
	case l.tokenFile != "" && l.user != "":
		return "", usage("one of them", "--user and --token-file contradict each other")
	case l.tokenFile != "":
		text, err := firstLine(l.tokenFile)
		if err != nil {
			return "", err
		}
		token = text
	case l.user != "":
		password, err := o.password(&l)
		if err != nil {
			return "", err
		}
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(l.user, password)
		return r.Header.Get("Authorization"), nil
	case l.passwordFile != "":
		return "", usage("--user NAME", "--password-file needs the user's name")
	}
	if token == "" {
		return "", nil
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usage("a file that holds the token alone", "the token holds what no token can")
	}
	return "Bearer " + token, nil
}

func (o *options) password(l *login) (string, error) {
	if strings.Contains(l.user, ":") {
		return "", usage("a token or a certificate", "user %q has a colon, and HTTP has no way to send it (RFC 7617)", plain(l.user))
	}
	if l.passwordFile != "" {
		return firstLine(l.passwordFile)
	}
	if p := os.Getenv(passwordVariable); p != "" {
		return p, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", usage(passwordVariable+" or --password-file FILE", "there is no password for user %q", plain(l.user))
	}
	fmt.Fprintf(o.errs, "password of %s: ", plain(l.user))
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(o.errs)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}

// maxSecretFile bounds a file with a password or a token, in bytes.
const maxSecretFile = 64 << 10

// firstLine reads what a file holds, without the end of its line. Its errors do not quote it.
func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &exitError{code: exitUsage, err: err, try: "a file that this user may read"}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" || len(b) > maxSecretFile || strings.ContainsAny(text, "\r\n") {
		return "", usage("a file that holds the password or the token alone", "%s does not hold one line of text", path)
	}
	return text, nil
}

// tls says whom to believe and what to show; nil without a reason for https.
func (l *login) tls() (*tls.Config, error) {
	if (l.cert == "") != (l.key == "") {
		return nil, usage("--cert FILE --key FILE", "--cert and --key need each other")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.caFile != "" {
		b, err := os.ReadFile(l.caFile)
		if err != nil {
			return nil, &exitError{code: exitUsage, err: err, try: "--ca-file with a file in PEM"}
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, usage("--ca-file with a file in PEM", "%s holds no certificate in PEM", l.caFile)
		}
	}
	if l.cert != "" {
		pair, err := tls.LoadX509KeyPair(l.cert, l.key)
		if err != nil {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("--cert and --key: %w", err), try: "files in PEM that belong together, the key without a passphrase"}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if l.caFile == "" && l.cert == "" {
		return nil, nil
	}
	return c, nil
}

// pinned believes the very certificate that the config on this machine names, and otherwise those that c believes: who
// can read the config need not know a CA to ask the process that uses it.
func pinned(c *tls.Config, host, certFile string) *tls.Config {
	file, err := os.ReadFile(certFile)
	if err != nil {
		return c
	}
	block, _ := pem.Decode(file) // the first one is the process's own
	if block == nil {
		return c
	}
	p := c.Clone()
	p.InsecureSkipVerify = true // VerifyConnection does it
	p.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if bytes.Equal(leaf.Raw, block.Bytes) {
			return nil
		}
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: c.RootCAs, Intermediates: between})
		return err
	}
	return p
}

// adviceOnHTTPS says what to do about a failed connection; empty if TLS has nothing to do with it.
func adviceOnHTTPS(err error) string {
	unknown, host := x509.UnknownAuthorityError{}, x509.HostnameError{}
	alert := tls.AlertError(0)
	switch {
	case errors.As(err, &unknown):
		return "--ca-file FILE with the CA that signed the process's certificate"
	case errors.As(err, &host):
		return "--addr https://NAME:PORT with a name that its certificate has"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "--addr http://HOST:PORT: there is no TLS at that port"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls"):
		return "--cert FILE --key FILE that the process knows: it refuses the connection"
	}
	return ""
}

// onThisMachine reports whether the host of an address is loopback.
func onThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

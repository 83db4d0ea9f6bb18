package credentials

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/streamdown/streamdown"
)

// store is where certificates, and perhaps the key of one of them, are: text, a file or two, or nowhere.
//
// What a file is, its content says: Java's "JKS" opens PKCS12 too, and people name PEM files by any type.
type store struct {
	key         string // the setting's name, for messages
	kind        string // as set; only for messages
	file        string // for trusted certificates also a directory with PEM files
	inline      string // PEM
	password    streamdown.Secret
	keyFile     string // PEM, when the key is not with the certificate
	keyInline   streamdown.Secret
	keyPassword streamdown.Secret
}

func secret(g given, key string) streamdown.Secret { return streamdown.NewSecret(g.text(key)) }

// none reports whether the store is nowhere.
func (s *store) none() bool { return s.file == "" && s.inline == "" }

func (s *store) read() ([]byte, error) {
	if s.inline != "" {
		return []byte(s.inline), nil
	}
	return ReadFile(s.file)
}

// name tells a person which store is meant.
func (s *store) name() string {
	if s.file != "" {
		return s.key + " " + s.file
	}
	return s.key
}

func (s *store) failed(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		err = errors.New("its password is wrong, or it is damaged")
	}
	return fmt.Errorf("%s: %w", s.name(), err)
}

// trusted returns the certificates of the authorities in the store.
func (s *store) trusted() ([]*x509.Certificate, error) {
	if info, err := os.Stat(s.file); s.file != "" && err == nil && info.IsDir() {
		return s.directory()
	}
	src, err := s.read()
	if err != nil {
		return nil, s.failed(err)
	}
	var certs []*x509.Certificate
	switch format(src) {
	case "PEM":
		certs, err = pemCertificates(src)
	case "JKS":
		certs, err = s.jksTrusted(src)
	case "PKCS12":
		certs, err = pkcs12.DecodeTrustStore(src, s.password.Reveal())
	default:
		err = errFormat
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("it holds no certificate of an authority; one is put there by keytool -importcert")
	}
	if err != nil {
		return nil, s.failed(err)
	}
	return certs, nil
}

var errFormat = errors.New("it is neither PEM nor PKCS12 nor JKS")

// directory reads all PEM files of a directory, as librdkafka's ssl.ca.location may be one.
func (s *store) directory() ([]*x509.Certificate, error) {
	files, err := os.ReadDir(s.file)
	if err != nil {
		return nil, s.failed(err)
	}
	var all []*x509.Certificate
	for _, f := range files {
		src, err := ReadFile(filepath.Join(s.file, f.Name()))
		if err != nil || format(src) != "PEM" {
			continue
		}
		if certs, err := pemCertificates(src); err == nil {
			all = append(all, certs...)
		}
	}
	if len(all) == 0 {
		return nil, s.failed(errors.New("no file in the directory holds a certificate in PEM"))
	}
	return all, nil
}

// certificates returns our own certificates with their keys.
func (s *store) certificates() ([]tls.Certificate, error) {
	src, err := s.read()
	if err != nil {
		return nil, s.failed(err)
	}
	var list []tls.Certificate
	switch format(src) {
	case "PEM":
		list, err = s.pemOwn(src)
	case "JKS":
		list, err = s.jksOwn(src)
	case "PKCS12":
		list, err = s.pkcs12Own(src)
	default:
		err = errFormat
	}
	if err == nil && len(list) == 0 {
		err = errors.New("it holds no certificate with its private key")
	}
	if err != nil {
		return nil, s.failed(err)
	}
	return list, nil
}

func format(src []byte) string {
	switch {
	case bytes.HasPrefix(src, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return "JKS"
	case len(src) > 0 && src[0] == 0x30:
		return "PKCS12"
	case bytes.Contains(src, []byte("-----BEGIN ")):
		return "PEM"
	}
	return ""
}

// folded matches a PEM block whose lines were joined, as happens in properties files.
var folded = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]+-----`)

// blocks returns the PEM blocks in src, those with joined lines too.
func blocks(src []byte) (list []*pem.Block) {
	for rest := src; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		list = append(list, b)
	}
	if len(list) > 0 {
		return list
	}
	for _, m := range folded.FindAllSubmatch(src, -1) {
		if der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(m[2])), "")); err == nil {
			list = append(list, &pem.Block{Type: string(m[1]), Bytes: der})
		}
	}
	return list
}

func pemCertificates(src []byte) (certs []*x509.Certificate, err error) {
	for _, b := range blocks(src) {
		if !strings.HasSuffix(b.Type, "CERTIFICATE") {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func (s *store) pemOwn(src []byte) ([]tls.Certificate, error) {
	certs, err := pemCertificates(src)
	if err != nil || len(certs) == 0 {
		return nil, err
	}
	keySrc := src
	switch {
	case !s.keyInline.IsZero():
		keySrc = []byte(s.keyInline.Reveal())
	case s.keyFile != "":
		if keySrc, err = ReadFile(s.keyFile); err != nil {
			return nil, err
		}
	}
	for _, b := range blocks(keySrc) {
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			continue
		}
		key, err := privateKey(b, s.keyPassword.Reveal())
		if err != nil {
			return nil, err
		}
		c, err := pair(key, certs)
		return []tls.Certificate{c}, err
	}
	return nil, nil
}

var errKeyPassword = errors.New("the private key cannot be opened: ssl.key.password is missing or wrong")

// privateKey reads a key in any of the forms that openssl has written.
func privateKey(b *pem.Block, password string) (any, error) {
	der := b.Bytes
	switch {
	case b.Type == "ENCRYPTED PRIVATE KEY":
		if password == "" {
			return nil, errKeyPassword
		}
		key, err := pkcs8.ParsePKCS8PrivateKey(der, []byte(password))
		if err != nil {
			return nil, errKeyPassword
		}
		return key, nil
	case x509.IsEncryptedPEMBlock(b): //nolint:staticcheck // it is what librdkafka's users have in their files
		var err error
		if der, err = x509.DecryptPEMBlock(b, []byte(password)); err != nil { //nolint:staticcheck // as above
			return nil, errKeyPassword
		}
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("the private key cannot be read; want PKCS8, PKCS1 or SEC1")
}

// pair puts the certificate that belongs to the key first and the others behind it.
func pair(key any, certs []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a private key of type %T cannot be used", key)
	}
	type equaler interface{ Equal(crypto.PublicKey) bool }
	public, _ := signer.Public().(equaler)
	out := tls.Certificate{PrivateKey: key}
	for _, c := range certs {
		if out.Leaf == nil && public != nil && public.Equal(c.PublicKey) {
			out.Leaf = c
			out.Certificate = append([][]byte{c.Raw}, out.Certificate...)
		} else {
			out.Certificate = append(out.Certificate, c.Raw)
		}
	}
	if out.Leaf == nil {
		return out, errors.New("the private key does not belong to any of its certificates")
	}
	return out, nil
}

func (s *store) jks(src []byte) (keystore.KeyStore, error) {
	ks := keystore.New(keystore.WithCaseExactAliases(), keystore.WithOrderedAliases())
	if s.password.IsZero() {
		return ks, errors.New("a store of type JKS needs its password")
	}
	if err := ks.Load(bytes.NewReader(src), []byte(s.password.Reveal())); err != nil {
		return ks, errors.New("its password is wrong, or it is damaged")
	}
	return ks, nil
}

func (s *store) jksTrusted(src []byte) (certs []*x509.Certificate, err error) {
	ks, err := s.jks(src)
	if err != nil {
		return nil, err
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		e, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, err
		}
		c, err := x509.ParseCertificate(e.Certificate.Content)
		if err != nil {
			return nil, fmt.Errorf("the certificate of an alias cannot be read: %w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func (s *store) jksOwn(src []byte) (list []tls.Certificate, err error) {
	ks, err := s.jks(src)
	if err != nil {
		return nil, err
	}
	password := s.keyPassword
	if password.IsZero() {
		password = s.password
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(password.Reveal()))
		if err != nil {
			return nil, errKeyPassword
		}
		key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("its private key cannot be read: %w", err)
		}
		var certs []*x509.Certificate
		for _, content := range e.CertificateChain {
			c, err := x509.ParseCertificate(content.Content)
			if err != nil {
				return nil, fmt.Errorf("the certificate of an alias cannot be read: %w", err)
			}
			certs = append(certs, c)
		}
		c, err := pair(key, certs)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (s *store) pkcs12Own(src []byte) ([]tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(src, s.password.Reveal())
	if err != nil {
		return nil, err
	}
	c, err := pair(key, append([]*x509.Certificate{leaf}, chain...))
	return []tls.Certificate{c}, err
}

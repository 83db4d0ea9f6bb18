// Package auth says who a client is and what it may write to.
//
// An Authority holds the users of the config. A connection shows who it is either with a certificate, which
// Authority.OfCertificate maps to a user, or in a SASL exchange, which Authority.Begin starts; the outcome is a
// Principal. What that may do is asked with Authority.Allows at every request, of the users as they are then: a right
// that was taken away is gone with the next request, whether the cluster behind is there or not. What is not known is
// denied.
//
//	PLAIN                RFC 4616   password, or a verifier when no password lies in the config
//	SCRAM-SHA-256, -512  RFC 5802, RFC 7677   verifier in the form of RFC 5803, or password
//	OAUTHBEARER          RFC 7628, RFC 7519   signed token; keys from a file or an https URL
//
// Over HTTP the same users show a password (Basic, RFC 7617) or a token (Bearer, RFC 6750) with each request, which
// Authority.OfAuthorization judges. What they may do beside writing is their Role. TLSFiles are the certificates of a
// listener of ours, read again when they change.
//
// The server's half of SCRAM and PLAIN is our own: they are short, the library for it (xdg-go/scram) does not decode
// names, loses the authorization id and has no answer for unknown users, and Kafka's clients leave out SASLprep, which
// it insists on. The tests run them against the clients' own implementations. Tokens are read and their signatures
// checked by go-jose, which makes the caller list the algorithms: nobody should write that again.
//
// Names that do not exist take the same time and get the same messages as those that do. Clients hear that name or
// password is wrong; the log hears which.
//
// Nothing here starts a goroutine. All methods may be called concurrently, but for those of an Exchange.
//
// Stability: may change.
package auth

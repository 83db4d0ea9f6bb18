// Package credentials reads how a client of Kafka logs in, in the words of Kafka's own clients, and answers what a
// connection needs for it.
//
// Settings are keys and values as they stand in a configuration and in a client.properties (properties.go; JAAS lines in
// jaas.go; the keys in keys.go, Java's and librdkafka's). Check says all that is wrong with them at once. Load reads
// everything again that may have changed, the properties file and the files that values refer to, and returns a Login;
// Login.TLS opens truststores and keystores (store.go), Login.Mechanism the user and password or the token (token.go).
// A connection calls them when it is dialled, so what is rotated needs no restart.
//
// Secrets are streamdown.Secret from the first byte on, and no error of this package quotes a value.
//
// Nothing here opens a connection to a broker; Tokens asks a token endpoint over HTTP. All but Tokens is immutable; all
// may be used concurrently.
//
// Stability: may change.
package credentials

// Package javaload holds a load generator that uses Kafka's own Java producer; test/load runs it.
//
// It is one source file that the java command compiles as it starts it, so that there is nothing to build:
//
//	java -cp 'jars/*' Load.java bootstrap=… topic=… …
//
// Stability: may change.
package javaload

import _ "embed"

// Source is Load.java. Its comment tells how it is spoken to.
//
//go:embed Load.java
var Source []byte

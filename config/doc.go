// Package config turns one YAML file into what the process is to do, or into everything that is wrong with the file.
//
// Load reads a file and Parse the bytes of one. Reading is strict: an unknown key, a value of the wrong kind, a name
// that refers to nothing and two settings that contradict each other are findings, all of them at once, each with its
// line, column and path, and with the word that was probably meant. What is not said gets its default; Show prints the
// outcome.
//
// A value, never a key, may refer to its surroundings. This happens after the YAML was read, so that what is filled in
// is text and can never become structure:
//
//	${VAR}           the environment variable; it is a finding if VAR is not set
//	${VAR:-default}  the default if VAR is not set or empty; it ends at the first closing brace
//	${VAR:?message}  the message as a finding if VAR is not set or empty
//	${file:/path}    the content of the file without its last line end; relative to the directory of the config
//	$$               one dollar sign
//
// Content of files, and variables or keys that sound like secrets, are never printed, neither by findings nor by Show.
//
// Anchors, aliases, merge keys, tags and several documents in one file are refused: a config is read by people at
// three in the morning, from top to bottom.
//
// Stability: may change.
package config

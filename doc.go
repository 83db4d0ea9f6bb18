// Package streamdown holds the words that every other package speaks.
//
// Stability: may change.
package streamdown

// Package handover upgrades a real streamdown under load, again and again, and proves that clients lose nothing by it:
// above all Sarama with its default settings, which gives up on a record after three tries within half a second.
//
// It also plays the service manager: a unixgram socket that hears what is said, keeps descriptors, and starts the next
// process with them.
//
// Stability: may change.
package handover

// Package process runs the child processes of tests: servers, clients and the gateway itself.
//
// A child gets a process group of its own and dies with the test, however that dies (Linux: PR_SET_PDEATHSIG), so
// that nothing is left behind. The package says what a child printed, pauses it, kills it, and waits for it.
//
// Stability: may change.
package process

// Command soak plays the path with faults from seeds for a given time, and then proves that it would have noticed.
//
//	go run ./test/soak -duration 60s [-seed 1] [-procs 2] [-o result.json] [-v]
//
// It builds two test programs and runs them in turns: the simulation of the cores (package forward), whose seeds replay
// byte for byte, and that of the whole node, which is the test of this package: node.Open and Run with gateway, intake,
// log and forwarder, on a disk and a network in memory, before a cluster of test/broker, in a bubble of testing/synctest.
// Then it plants bugs, in the cores and, by building anew with a line changed, in the code of the other packages (see
// plants.go), and runs each until it is caught. The last line of the output is
//
//	{"seeds":…, "violations":0, "planted":…, "caught":…, …}
//
// with the median of seeds and seconds that a plant took. The exit code is 0 when no promise was broken and every plant
// was caught. A broken promise comes with the command that shows it again.
//
// The whole node's runs follow their seed as far as the Go scheduler lets them: schedule of faults, disks after crashes,
// ids and all times are the seed's; the order in which goroutines run at one moment is not, nor is the choice of a select
// that has several. So a seed that broke a promise breaks it again as a rule and not by law; its trace is kept.
//
// Stability: may change.
package main

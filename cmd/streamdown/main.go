// Command streamdown stands between producers and Kafka: it acks what it has on disk and forwards it in order.
//
// Each subcommand has a file of its own that turns flags into a call and the answer into text or JSON. What a command
// was asked for goes to standard output, everything else to standard error; exit.go has the exit codes.
//
// Stability: may change.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	o := &options{out: out, errs: errs}
	root := rootCommand(o)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	return report(errs, o, root.ExecuteContext(ctx))
}

func rootCommand(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:   "streamdown",
		Short: "Keep producers working while Kafka is down, and prove that nothing was lost",
		Long: `streamdown stands between producers and Kafka. It acks what it has fsynced in its own log, forwards it in order, goes
on while Kafka is down, and proves afterwards that nothing was lost, doubled or reordered.

  streamdown demo                                watch a rescue; needs nothing
  streamdown init --bootstrap k1:9092,k2:9092    write streamdown.yaml
  streamdown run                                 then point producers at listen.kafka

` + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			o.started = true
			return o.check()
		},
	}
	o.flags(root)
	root.AddCommand(
		runCommand(o), demoCommand(o), initCommand(o), statusCommand(o), holdCommand(o), resumeCommand(o), walCommand(o),
		reconcileCommand(o), quarantineCommand(o), configCommand(o), authCommand(o), diagnoseCommand(o), genCommand(o), versionCommand(o),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

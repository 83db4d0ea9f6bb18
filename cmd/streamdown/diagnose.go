package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
	"github.com/streamdown/streamdown/doctor"
)

func diagnoseCommand(o *options) *cobra.Command {
	var target string
	var topics []string
	var produce bool
	cmd := &cobra.Command{
		Use:   "diagnose --as-producer HOST[:PORT] [--config client.properties] [--topic NAME [--produce]]",
		Short: "Walk a producer's way to Kafka or streamdown and say where it ends",
		Long: `Walks the way of a producer, step by step: name, TCP, TLS, API versions, login, Metadata, every address that the brokers
advertise, the topics and the right to write to them, a producer id. It says at each step what it saw, how long that took,
what is wrong and what to do. It works with streamdown and with any Kafka, and writes nothing, unless --produce asks for one
record in each --topic.

--config is here the properties file of the producer: how it logs in (Kafka's keys and librdkafka's, JAAS, PEM, PKCS12, JKS),
and its other settings, which are judged as well: those that lose records over a restart or an outage are warned of.

Each step takes at most 5 s; --timeout says otherwise. Exit code 0: the way is free. 3: a step says no.
69: nobody answers. 78: the properties file cannot be used.`,
		Example: `  streamdown diagnose --as-producer gateway.internal:19092 --config client.properties --topic orders`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if produce && len(topics) == 0 {
				return usage("--topic NAME --produce", "--produce needs a topic: it writes a record there")
			}
			d, err := diagnosis(target, o.config)
			if err != nil {
				return err
			}
			d.walk.Topics, d.walk.Produce, d.walk.Patience = topics, produce, o.timeout
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return diagnose(ctx, o, d)
		},
	}
	f := cmd.Flags()
	f.StringVar(&target, "as-producer", "", "walk to `HOST[:PORT]` (default bootstrap.servers of --config; port 9092)")
	f.StringSliceVar(&topics, "topic", nil, "look at `NAME`; may come again")
	f.BoolVar(&produce, "produce", false, "write one record to each --topic")
	return cmd
}

// diagnosis is what a command line asks for.
type diagnosed struct {
	walk     doctor.Config
	file     string
	settings []doctor.Finding // nil if there is no file
}

func diagnosis(target, file string) (d diagnosed, err error) {
	d.file = file
	settings := credentials.Settings{File: file}
	if file != "" {
		entries, err := readProperties(file)
		if err != nil {
			return d, err
		}
		d.settings = doctor.Settings(entries)
		for _, e := range entries {
			switch e.Key {
			case "bootstrap.servers", "metadata.broker.list":
				if first, _, _ := strings.Cut(e.Value.Reveal(), ","); target == "" {
					target = strings.TrimSpace(first)
				}
			case "client.id":
				d.walk.ClientID = e.Value.Reveal()
			}
		}
		var wrong []string
		for _, p := range settings.Check() {
			if !p.Warning {
				wrong = append(wrong, fmt.Sprintf("%s: %s %s", file, p.Key, p.Text))
			}
		}
		if len(wrong) > 0 {
			return d, &exitError{code: exitConfig, err: fmt.Errorf("%s", strings.Join(wrong, "\n"))}
		}
		d.walk.Credentials = settings
	}
	if target == "" {
		return d, usage("--as-producer HOST:9092", "where to? name a host, or a --config with bootstrap.servers")
	}
	if i := strings.Index(target, "://"); i >= 0 { // PLAINTEXT://k1:9092, as brokers write it
		target = target[i+3:]
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		host, port = strings.Trim(target, "[]"), "9092"
	}
	if host == "" || strings.ContainsAny(host, "/ ") {
		return d, usage("--as-producer HOST:9092", "--as-producer %q is not HOST or HOST:PORT", target)
	}
	d.walk.Target = net.JoinHostPort(host, port)
	return d, nil
}

func readProperties(file string) ([]credentials.Property, error) {
	if ext := filepath.Ext(file); slices.Contains([]string{".yaml", ".yml"}, ext) {
		return nil, usage("--config client.properties", "--config of this command is the properties file of a producer; %s looks like a config of streamdown", file)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &exitError{code: exitConfig, err: fmt.Errorf("%s: %w", file, err)}
	}
	entries, err := credentials.ParseProperties(src)
	if err != nil {
		return nil, &exitError{code: exitConfig, err: fmt.Errorf("%s: %w", file, err)}
	}
	return entries, nil
}

func diagnose(ctx context.Context, o *options, d diagnosed) error {
	if !o.json() {
		fmt.Fprintf(o.out, "as a producer to %s\n\n", plain(d.walk.Target))
		d.walk.Found = func(s doctor.Step) { printStep(o, s) }
	}
	rep, err := doctor.Walk(ctx, d.walk)
	if err != nil {
		return err
	}
	rep.Judge(d.settings)
	if o.json() {
		err = printJSON(o.out, rep, false)
	} else {
		printSettings(o, d)
		printVerdict(o, rep)
	}
	return outcome(err, rep.Exit())
}

func printStep(o *options, s doctor.Step) {
	took := ""
	if s.Elapsed > 0 {
		took = fmt.Sprintf("%.1f ms", float64(s.Elapsed)/float64(time.Millisecond))
	}
	saw := s.Saw
	switch s.Name {
	case doctor.StepAddress, doctor.StepTopic, doctor.StepProduce:
		saw = strings.Trim(s.Subject+": "+saw, ": ")
	}
	row := fmt.Sprintf("  %-11s  %-11s %9s  %s", s.Verdict, strings.ReplaceAll(s.Name, "_", " "), took, plain(saw))
	fmt.Fprintln(o.out, strings.TrimRight(row, " "))
	if s.Problem != nil {
		for line := range strings.Lines(*s.Problem) {
			fmt.Fprintf(o.out, "    %s\n", plain(strings.TrimRight(line, "\n")))
		}
	}
	if s.Try != nil {
		fmt.Fprintf(o.out, "    try: %s\n", plain(*s.Try))
	}
}

func printSettings(o *options, d diagnosed) {
	if d.file == "" {
		return
	}
	fmt.Fprintf(o.out, "\nsettings in %s\n\n", plain(d.file))
	if len(d.settings) == 0 {
		fmt.Fprintln(o.out, "  ok           nothing that loses records over a restart or an outage")
	}
	for _, f := range d.settings {
		what := f.Key
		if f.Value != nil {
			what = fmt.Sprintf("line %d: %s=%s", *f.Line, f.Key, *f.Value)
		}
		fmt.Fprintf(o.out, "  %-11s  %s\n    %s\n    try: %s\n", f.Severity, plain(what), plain(f.Why), plain(f.Suggest))
	}
}

func printVerdict(o *options, rep *doctor.Report) {
	text := map[doctor.Verdict]string{
		doctor.OK:          "the way is free",
		doctor.Warning:     "the way is free; look at the warnings",
		doctor.Wrong:       "a producer does not get through",
		doctor.Unreachable: "nobody answers",
	}[rep.Verdict]
	fmt.Fprintf(o.out, "\n%s\n", text)
}

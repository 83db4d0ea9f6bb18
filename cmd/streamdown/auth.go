package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/streamdown/streamdown/auth"
)

func authCommand(o *options) *cobra.Command {
	cmd := group("auth", "Make what users log in with")
	cmd.AddCommand(authSCRAM(o))
	return cmd
}

func authSCRAM(o *options) *cobra.Command {
	var mechanisms []string
	var iterations int
	cmd := &cobra.Command{
		Use:   "scram USER",
		Short: "Turn a password into verifiers, so that it need not lie in the config",
		Long: `Reads a password, from the terminal without showing it or else as the first line of standard input, and prints the
user for auth.users of the config with verifiers in its place. Nobody can log in with a verifier, but who has it can
play streamdown to the user's client: keep the file private all the same.`,
		Args: exactly("USER", "streamdown auth scram orders"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := auth.ValidName(args[0]); err != nil {
				return usage("streamdown auth scram orders", "%w", err)
			}
			password, err := readPassword(cmd.InOrStdin(), o.errs, args[0])
			if err != nil {
				return err
			}
			var verifiers []auth.Verifier
			for _, m := range mechanisms {
				v, err := auth.NewVerifier(auth.Mechanism(m), password, iterations)
				if err != nil {
					return usage("--mechanism SCRAM-SHA-512 --iterations 4096", "%w", err)
				}
				verifiers = append(verifiers, v)
			}
			return printVerifiers(o, args[0], verifiers)
		},
	}
	cmd.Flags().StringSliceVar(&mechanisms, "mechanism", []string{string(auth.SCRAM256), string(auth.SCRAM512)}, "make a verifier of `MECHANISM`; may be given again")
	cmd.Flags().IntVar(&iterations, "iterations", auth.MinIterations, "work that a guess costs, 4096 to 1000000; clients do it at each login")
	return cmd
}

// maxPassword bounds a password, in bytes.
const maxPassword = 1024

// readPassword reads a line: from a terminal twice and without an echo, from anything else as it is.
func readPassword(in io.Reader, prompt io.Writer, user string) (string, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, maxPassword+2)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return goodPassword(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	}
	ask := func(what string) (string, error) {
		fmt.Fprintf(prompt, "%s of %s: ", what, plain(user))
		b, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(prompt)
		return string(b), err
	}
	first, err := ask("password")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	again, err := ask("again, password")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if first != again {
		return "", &exitError{code: exitFailed, err: errors.New("the two are not the same"), try: "it again"}
	}
	return goodPassword(first)
}

func goodPassword(p string) (string, error) {
	switch {
	case p == "":
		return "", usage("printf '%s\\n' \"$PASSWORD\" | streamdown auth scram USER", "the password is empty")
	case len(p) > maxPassword:
		return "", usage("a shorter one", "the password is longer than %d bytes", maxPassword)
	}
	return p, nil
}

func printVerifiers(o *options, user string, verifiers []auth.Verifier) error {
	if o.json() {
		texts := make([]string, len(verifiers))
		for i, v := range verifiers {
			texts[i] = v.Reveal()
		}
		return printJSON(o.out, struct {
			SchemaVersion int      `json:"schema_version"`
			User          string   `json:"user"`
			SCRAM         []string `json:"scram"`
		}{1, user, texts}, false)
	}
	fmt.Fprintf(o.out, "- name: %q\n  scram:\n", user)
	for _, v := range verifiers {
		// No reference begins with $ and a letter or digit, so nothing has to be escaped.
		fmt.Fprintf(o.out, "    - %q\n", v.Reveal())
	}
	_, err := fmt.Fprintln(o.out, "  topics: [] # what the user may write to, such as [\"orders.*\"]")
	return err
}

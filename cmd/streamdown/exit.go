package main

import (
	"errors"
	"fmt"
	"io"
)

// The exit codes. They are the same for every command and never change.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNo          = 3  // a check says no
	exitIntegrity   = 4  // loss, corruption, or a difference that nothing explains
	exitApproval    = 5  // a person has to agree first
	exitUnchecked   = 6  // nothing, or not all, could be checked
	exitUnreachable = 69 // no answer from the process or the cluster
	exitConfig      = 78
)

const exitHelp = `Exit codes: 0 ok, 1 failed, 2 usage, 3 a check says no, 4 integrity (loss, corruption, unexplained difference),
5 needs approval, 6 not checked, 69 unreachable, 78 bad config.`

// exitError is an error with the code that it ends the process with and what to try. Without an err there is nothing
// more to say: the code is the answer.
type exitError struct {
	code int
	err  error
	try  string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(try, format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...), try: try}
}

// report says what went wrong and returns the exit code.
func report(w io.Writer, o *options, err error) int {
	if err == nil {
		return exitOK
	}
	e := (*exitError)(nil)
	if !errors.As(err, &e) {
		e = &exitError{code: exitFailed, err: err}
		if !o.started { // flags and arguments: cobra's own errors
			e.code, e.try = exitUsage, "streamdown help"
		}
	}
	if e.err == nil {
		return e.code
	}
	if e.code == exitConfig { // findings: one a line, each with its place and what to do
		fmt.Fprintln(w, err)
	} else {
		fmt.Fprintf(w, "error: %s\n", err)
	}
	if e.try != "" {
		fmt.Fprintf(w, "try:   %s\n", e.try)
	}
	return e.code
}

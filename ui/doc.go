// Package ui draws a few lines of live text in place, or tells the same in plain lines where there is no terminal.
//
// A View is made from what Detect finds out about the output. Draw shows the present, over what it showed before; Note
// adds a line that stays, above it. Without a terminal Draw prints one plain line every few seconds and Note prints at
// once, so that a log file and a pipe get something worth reading. Color follows NO_COLOR (no-color.org).
//
// Width is counted in characters; double-width ones are not known here and not used by our own frames.
//
// Stability: may change.
package ui

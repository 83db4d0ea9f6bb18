//go:build !linux

package budget

import "time"

var start = time.Now()

// clock is the time on the wall: threads have no clock of their own everywhere.
func clock() time.Duration { return time.Since(start) }

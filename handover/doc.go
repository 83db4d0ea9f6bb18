// Package handover keeps listening sockets open while one process follows another, so that clients who come meanwhile
// wait in the kernel's queue and are not refused.
//
// Sockets holds them for whoever serves: a socket is bound once, and each life of the server gets a descriptor of its
// own. They come from three places: the service manager (LISTEN_FDS, sd_listen_fds(3)), the process before this one, or
// net.Listen.
//
// An upgrade has two sides, which speak over a pair of unix sockets (seqpacket) that the new process inherits. Each message
// is one JSON object, those with sockets carry their descriptors (SCM_RIGHTS):
//
//	old                                new
//	Launch starts it                   Inherit finds out that there is an old one
//	                                   reads the configuration; whatever is wrong ends it, and the old one goes on
//	              ◀── ready ──         Ready
//	serves no more, closes the log
//	Yield         ── yours + sockets ▶ opens the log, serves
//	              ◀── serving ──       Serving
//	ends
//
// At any point before "serving" the end of the new process is seen by the old one, which opens the log again and goes
// on. One data directory has one owner all the time: the lock of the log, not this protocol, sees to that.
//
// Stability: may change.
package handover

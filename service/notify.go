package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells the service manager how the process stands. Nil is silent. Its methods may be called concurrently;
// they wait for the manager's socket to take a datagram, which a manager that is well does at once, for a second at most.
type Notifier struct{ address string }

// New returns the notifier of $NOTIFY_SOCKET as getenv has it, nil if there is none. It touches nothing.
func New(getenv func(string) string) *Notifier {
	address := getenv("NOTIFY_SOCKET")
	if address == "" || (address[0] != '/' && address[0] != '@') { // vsock and the like are for virtual machines
		return nil
	}
	return &Notifier{address: address}
}

// Ready says that the process serves; status is one line for people.
func (n *Notifier) Ready(status string) error { return n.send(nil, "READY=1", "STATUS="+line(status)) }

// Reloading says that the configuration is read anew; Ready ends that. The clock is the manager's (Type=notify-reload).
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("read the monotonic clock: %w", err)
	}
	return n.send(nil, "RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Stopping says that the process begins to end.
func (n *Notifier) Stopping(status string) error {
	return n.send(nil, "STOPPING=1", "STATUS="+line(status))
}

// Status is one line for people.
func (n *Notifier) Status(status string) error { return n.send(nil, "STATUS="+line(status)) }

// Alive answers the watchdog.
func (n *Notifier) Alive() error { return n.send(nil, "WATCHDOG=1") }

// Extend asks for more time, from now, for a start or a stop that is under way.
func (n *Notifier) Extend(by time.Duration) error {
	return n.send(nil, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(by.Microseconds(), 10))
}

// MainPID says that another process is the service from now on. The manager believes it of the one that was so far.
func (n *Notifier) MainPID(pid int) error { return n.send(nil, "MAINPID="+strconv.Itoa(pid)) }

// Store gives the manager a descriptor to keep while the service restarts (FileDescriptorStoreMax=); the next process gets it
// with those of socket activation, under the name. A manager that does not keep any drops it, and says nothing.
func (n *Notifier) Store(name string, c syscall.Conn) error {
	if n == nil {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("give %s to the service manager: %w", name, err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		sent = n.send(syscall.UnixRights(int(fd)), "FDSTORE=1", "FDNAME="+name)
	})
	return errors.Join(err, sent)
}

// Forget has the manager drop what it keeps under the name.
func (n *Notifier) Forget(name string) error {
	return n.send(nil, "FDSTOREREMOVE=1", "FDNAME="+name)
}

// patience is how long the manager's socket may stay full.
const patience = time.Second

func (n *Notifier) send(rights []byte, lines ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", lines[0], err)
	}
	defer func() { _ = c.Close() }() // the datagram is sent, or was not
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", lines[0], err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", lines[0], err)
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool { // WriteMsgUnix takes no connected datagram socket
		sent = unix.Sendmsg(int(fd), []byte(strings.Join(lines, "\n")), rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	if err = errors.Join(err, sent); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", lines[0], err)
	}
	return nil
}

// line keeps words from becoming fields.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

// WatchdogTimeout is how long the manager waits for a sign of life before it kills the process, 0 = for ever
// (sd_watchdog_enabled(3)).
func WatchdogTimeout(getenv func(string) string) time.Duration {
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// message is what the two processes say to each other.
type message struct {
	Say     string   `json:"say"` // ready, yours, serving
	Version string   `json:"version,omitempty"`
	PID     int      `json:"pid,omitempty"`
	Sockets []socket `json:"sockets,omitempty"` // as many as descriptors come with it, in their order
}

type socket struct {
	Name  string `json:"name"`
	Asked string `json:"asked"`
}

const (
	mostMessage = 64 << 10
	mostSockets = 64
)

var errEnded = errors.New("it has ended")

// peer is one end of the pair.
type peer struct{ conn *net.UnixConn }

// pair returns two ends that speak to each other: one for this process, one as a file for its child.
func pair() (*peer, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "handover")
	p, err := adopt(os.NewFile(uintptr(fds[0]), "handover"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return p, theirs, nil
}

// adopt makes an end of the pair of a file, which it closes.
func adopt(f *os.File) (*peer, error) {
	defer f.Close() // the connection has a descriptor of its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("speak to the other process: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("speak to the other process: no unix socket"), c.Close())
	}
	return &peer{u}, nil
}

func (p *peer) send(m message, rights []byte) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	}
	if err == nil {
		_, _, err = p.conn.WriteMsgUnix(b, rights, nil)
	}
	if err != nil {
		return fmt.Errorf("say %q to the other process: %w", m.Say, err)
	}
	return nil
}

// receive waits for the message that is due. The descriptors that came with it are the caller's.
func (p *peer) receive(due string) (m message, fds []int, err error) {
	b, oob := make([]byte, mostMessage), make([]byte, unix.CmsgSpace(4*mostSockets))
	n, oobn, flags, _, err := p.conn.ReadMsgUnix(b, oob)
	if oobn > 0 {
		fds = descriptors(oob[:oobn])
	}
	switch {
	case errors.Is(err, io.EOF):
		err = errEnded
	case err != nil:
	case n == 0:
		err = errEnded
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("it says more than fits")
	default:
		if err = json.Unmarshal(b[:n], &m); err == nil && m.Say != due {
			err = fmt.Errorf("it says %q", m.Say)
		}
	}
	if err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return message{}, nil, fmt.Errorf("wait for %q of the other process: %w", due, err)
	}
	return m, fds, nil
}

func descriptors(oob []byte) (fds []int) {
	list, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if got, err := syscall.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds
}

func (p *peer) close() error { return p.conn.Close() }

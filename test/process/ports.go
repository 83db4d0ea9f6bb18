package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Ports returns n ports of 127.0.0.1 that nobody listens on, below the range from which the kernel takes the near
// ends of outgoing connections. A server that is down for a while would otherwise find its port in use when it comes
// back, or a client that retries would connect to itself (TCP's simultaneous open).
func Ports(n int) ([]int, error) {
	const first = 10000
	end := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if f := strings.Fields(string(b)); len(f) == 2 {
			if low, err := strconv.Atoi(f[0]); err == nil && low >= first+1000 {
				end = low
			}
		}
	}
	ports := make([]int, 0, n)
	var held []net.Listener // until all are found, so that no port is found twice
	var last error
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		port := first + rand.IntN(end-first)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		held, ports = append(held, l), append(ports, port)
	}
	var errs []error
	for _, l := range held {
		errs = append(errs, l.Close())
	}
	if len(ports) < n {
		errs = append(errs, fmt.Errorf("find %d free ports on 127.0.0.1: %w", n, last))
	}
	return ports, errors.Join(errs...)
}

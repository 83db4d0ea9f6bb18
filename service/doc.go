// Package service speaks to the service manager that runs the process: systemd, or what understands its protocol.
//
// A Notifier tells it how the process stands (sd_notify(3): datagrams of NAME=value lines to the socket that
// $NOTIFY_SOCKET names) and keeps listening sockets with it over a restart. Watch answers its watchdog as long as a
// question to the process is answered. Unit is the unit file that fits.
//
// Without a service manager a Notifier is silent, and so is a nil one. The protocol is spoken here and not by a library: the
// one there is for Go passes no descriptors (FDSTORE=1), and without that little is left of it.
//
// Stability: may change.
package service

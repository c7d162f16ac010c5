// SPDX-License-Identifier: LGPL-2.1-or-later

// Starts a role, waits for its end and forgets it, with godbus. README.md says how to build it.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/godbus/dbus/v5"
)

const node = "org.architect.Node"

func main() {
	role := "hello"
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		log.Fatal(err)
	}
	// Stop returns when nothing is left of the role, which may take a while. godbus waits for a reply
	// without a limit; other clients give up after 25 s.
	call := func(method string, args ...interface{}) error {
		return bus.Object(node, "/org/architect/Node").Call(node+"."+method, 0, args...).Err
	}

	// First the signals, then the start, because a short command may have ended when Start returns. The
	// name of the role is the first argument of each of its signals.
	signals := make(chan *dbus.Signal, 16)
	bus.Signal(signals)
	must(bus.AddMatchSignal(dbus.WithMatchSender(node), dbus.WithMatchInterface(node), dbus.WithMatchArg(0, role)))
	// Without the option user the role runs as root.
	options := map[string]dbus.Variant{"user": dbus.MakeVariant("nobody")}
	must(call("Start", role, []string{"sh", "-c", "echo hello; exit 3"}, options))

	// A program that asks ListRoles instead must take an unknown state for "running". The
	// code is exited, killed, dumped or lost. Only the status of "exited" is an exit status.
	var code string
	var status int32
	for signal := range signals {
		if signal.Name == node+".RoleStarted" {
			fmt.Println(role, "started")
		} else if signal.Name == node+".RoleExited" {
			must(dbus.Store(signal.Body[2:4], &code, &status))
			fmt.Println(role, code, status)
			break
		}
	}
	// RoleExited reports the main process. Stop waits for those that it may have left.
	must(call("Stop", role))
	must(call("Purge", []string{role}))
	var refused dbus.Error
	if err := call("GetRole", role); !errors.As(err, &refused) || refused.Name != node+".Error.NoSuchRole" {
		log.Fatal("the role is still there, or: ", err)
	}
	fmt.Println(role, "purged")
	if code != "exited" || status != 3 {
		os.Exit(1)
	}
}

// The text of a dbus.Error does not contain its name.
func must(err error) {
	var refused dbus.Error
	if errors.As(err, &refused) {
		log.Fatalf("%s: %v", refused.Name, err)
	} else if err != nil {
		log.Fatal(err)
	}
}

// Command hami-borealis is the agent of a vendor that does not exist, as a plugin of HAMi's node agent.
//
// It listens on a unix socket and answers what HAMi asks on a node. A real one would call the vendor's library where this
// one reads files: /sys/class/borealis/card<n>/{uuid,memory_mib,health}, below the folder of -root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"example.com/hami-borealis/pluginv1"
)

const (
	name    = "borealis"
	version = "1.2.0"
	family  = "BOREALIS"
	// How long a fault may go unnoticed; a driver with notifications needs no such thing.
	lookEvery = 200 * time.Millisecond
)

// What HAMi has to know of these cards: the table that `hami plugins --table borealis` writes to a file for schedulers.
var description = &pluginv1.Description{
	Name:    name,
	Version: version,
	Api:     &pluginv1.ApiVersion{Major: 1, Minor: 0},
	Capabilities: []pluginv1.Capability{
		pluginv1.Capability_CAPABILITY_PROBE,
		pluginv1.Capability_CAPABILITY_ALLOCATE,
		pluginv1.Capability_CAPABILITY_WATCH,
	},
	Families: []*pluginv1.Family{{
		Name: family,
		Resources: &pluginv1.Resources{
			Count:  "borealis.example/card",
			Memory: proto.String("borealis.example/memory-mib"),
			Cores:  proto.String("borealis.example/core-percent"),
		},
		Units: &pluginv1.Units{DefaultCount: proto.Int32(1)},
		Wire: &pluginv1.WireNames{
			Register:   proto.String("borealis.example/node-register"),
			Handshake:  proto.String("borealis.example/node-handshake"),
			ToAllocate: proto.String("borealis.example/devices-to-allocate"),
			Allocated:  "borealis.example/devices-allocated",
		},
		Selectors: &pluginv1.SelectorKeys{
			AllowUuids: proto.String("borealis.example/use-uuid"),
			DenyUuids:  proto.String("borealis.example/nouse-uuid"),
		},
	}},
}

type plugin struct {
	pluginv1.UnimplementedPluginServiceServer
	root string
}

func (p *plugin) Describe(_ context.Context, request *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	log.Printf("asked by %s, which speaks API %d.%d", request.GetAgent(), request.GetApi().GetMajor(), request.GetApi().GetMinor())
	return &pluginv1.DescribeResponse{Description: description}, nil
}

func (p *plugin) Probe(context.Context, *pluginv1.ProbeRequest) (*pluginv1.ProbeResponse, error) {
	driver, err := p.read("version")
	if errors.Is(err, fs.ErrNotExist) {
		return &pluginv1.ProbeResponse{Missing: "the Borealis driver is not loaded: there is no " + p.path("version")}, nil
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	devices, err := p.devices()
	if err != nil {
		// Unknown is not zero: with an error HAMi keeps what it knew of the cards.
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &pluginv1.ProbeResponse{Driver: proto.String(driver), Devices: devices}, nil
}

func (p *plugin) Allocate(_ context.Context, request *pluginv1.AllocateRequest) (*pluginv1.AllocateResponse, error) {
	answer := &pluginv1.AllocateResponse{
		Env:         map[string]string{"BOREALIS_LIMITS": request.GetLimitsFile()},
		DeviceNodes: []*pluginv1.DeviceNode{{Path: "/dev/borealisctl"}},
	}
	var uuids []string
	for _, share := range request.GetShares() {
		uuids = append(uuids, share.GetUuid())
		node := &pluginv1.DeviceNode{Path: fmt.Sprintf("/dev/borealis%d", share.GetIndex())}
		answer.DeviceNodes = append(answer.DeviceNodes, node)
	}
	answer.Env["BOREALIS_VISIBLE_DEVICES"] = strings.Join(uuids, ",")
	return answer, nil
}

// Watch tells of every card that falls ill, once each time.
func (p *plugin) Watch(_ *pluginv1.WatchRequest, stream grpc.ServerStreamingServer[pluginv1.WatchResponse]) error {
	ill := map[string]bool{}
	for {
		devices, _ := p.devices() // what cannot be read is for Probe to say
		for _, device := range devices {
			if device.GetUnhealthy() && !ill[device.GetUuid()] {
				event := &pluginv1.WatchResponse{Uuid: device.GetUuid(), Note: device.GetHealthNote()}
				if err := stream.Send(event); err != nil {
					return err
				}
			}
			ill[device.GetUuid()] = device.GetUnhealthy()
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(lookEvery):
		}
	}
}

func (p *plugin) devices() ([]*pluginv1.Device, error) {
	folders, err := filepath.Glob(p.path("card*"))
	if err != nil {
		return nil, err
	}
	var devices []*pluginv1.Device
	for _, folder := range folders {
		device, err := p.device(filepath.Base(folder))
		if err != nil {
			return nil, err
		}
		devices = append(devices, device)
	}
	slices.SortFunc(devices, func(one, other *pluginv1.Device) int { return int(one.Index - other.Index) })
	return devices, nil
}

func (p *plugin) device(card string) (*pluginv1.Device, error) {
	index, err := strconv.ParseInt(strings.TrimPrefix(card, "card"), 10, 32)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for _, fact := range []string{"uuid", "memory_mib", "health"} {
		if facts[fact], err = p.read(filepath.Join(card, fact)); err != nil {
			return nil, err
		}
	}
	memory, err := strconv.ParseInt(facts["memory_mib"], 10, 32)
	if err != nil {
		return nil, err
	}
	device := &pluginv1.Device{
		Uuid:      facts["uuid"],
		Index:     int32(index),
		Model:     "Borealis B1",
		MemoryMib: proto.Int32(int32(memory)),
	}
	if facts["health"] != "ok" {
		device.Unhealthy, device.HealthNote = true, facts["health"]
	}
	return device, nil
}

func (p *plugin) path(fact string) string {
	return filepath.Join(p.root, "sys/class/borealis", fact)
}

func (p *plugin) read(fact string) (string, error) {
	text, err := os.ReadFile(p.path(fact))
	return strings.TrimSpace(string(text)), err
}

func main() {
	socket := flag.String("socket", "/var/lib/hami/plugins/"+name+".sock", "where to listen")
	root := flag.String("root", "/", "below which the driver's files are")
	flag.Parse()
	// A socket that an agent left behind which was killed would be in the way.
	if err := os.Remove(*socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	syscall.Umask(0o077)
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pluginv1.RegisterPluginServiceServer(server, &plugin{root: *root})
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ended.Done()
		server.Stop() // a watch would keep a graceful end waiting for ever
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

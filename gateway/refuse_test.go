package gateway

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAPIVersionsInEveryVersion(t *testing.T) {
	m := newMemory()
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	for _, version := range []int16{0, 1, 2, 3, 4, 5, 77, 32767} {
		q := kmsg.NewPtrApiVersionsRequest()
		q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = version, "librdkafka", "1.2.3"
		r := kmsg.NewPtrApiVersionsResponse()
		want := int16(0)
		if r.Version = version; version > apiVersionsMax {
			r.Version, want = 0, codeUnsupportedVersion
		}
		p.ask(q, r)
		if r.ErrorCode != want || len(r.ApiKeys) != len(spoken) {
			t.Fatalf("v%d: %+v", version, r)
		}
		has := map[int16][2]int16{}
		for _, k := range r.ApiKeys {
			has[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		// Without Produce 0 librdkafka does not compress, without Fetch 4 it produces message sets, without Fetch 10 it does not
		// use zstd; with Produce 13 topics come by ids that we cannot promise.
		if has[keyProduce] != [2]int16{0, 13} || has[keyFetch] != [2]int16{4, 11} {
			t.Errorf("v%d: %v", version, has)
		}
		if _, telemetry := has[71]; telemetry {
			t.Error("telemetry is advertised")
		}
	}
	if c := s.Stats().Clients["librdkafka 1.2.3"]; c != 1 {
		t.Errorf("clients %v", s.Stats().Clients)
	}
}

func TestProducerIDs(t *testing.T) {
	m := newMemory()
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	seen := map[int64]bool{}
	for version := range int16(6) {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.Version, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = version, 1000, 55, 3
		r := kmsg.NewPtrInitProducerIDResponse()
		r.Version = version
		p.ask(q, r)
		if r.ErrorCode != 0 || r.ProducerID <= 0 || r.ProducerEpoch != 0 || seen[r.ProducerID] {
			t.Errorf("v%d: %+v", version, r)
		}
		seen[r.ProducerID] = true
	}
}

func TestTransactionsAreRefusedInWordsThatNameTheWay(t *testing.T) {
	m := newMemory("t")
	var log strings.Builder
	s := serve(t, Config{Logger: logTo(&log)}, m, m)
	p := dial(t, s.addr)
	id := "tx"
	for version := range int16(6) {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.Version, q.TransactionalID = version, &id
		r := kmsg.NewPtrInitProducerIDResponse()
		r.Version = version
		p.ask(q, r)
		if r.ErrorCode != codeTransactionalID || r.ProducerID != -1 {
			t.Errorf("InitProducerId v%d: %+v", version, r)
		}
	}
	for version := range int16(7) {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.Version, q.CoordinatorType, q.CoordinatorKey, q.CoordinatorKeys = version, 1, "tx", []string{"tx"}
		r := kmsg.NewPtrFindCoordinatorResponse()
		r.Version = version
		p.ask(q, r)
		code, words := r.ErrorCode, r.ErrorMessage
		if version >= 4 {
			code, words = r.Coordinators[0].ErrorCode, r.Coordinators[0].ErrorMessage
		}
		if version == 0 { // asks for groups only
			continue
		}
		if code != codeTransactionalID || words == nil || !strings.Contains(*words, "kafka.example:9092") {
			t.Errorf("FindCoordinator v%d: code %d, %v", version, code, words)
		}
	}
	for version := int16(3); version <= produceMax; version++ {
		q := produceOf(version, -1, "t", 0, 1)
		q.TransactionID = &id
		r := produced(version)
		p.ask(q, r)
		for _, part := range r.Topics[0].Partitions {
			if part.ErrorCode != codeTransactionalID {
				t.Errorf("Produce v%d: %+v", version, part)
			}
		}
	}
	if m.records("t") != 0 {
		t.Error("records of a transaction were taken")
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if said := log.String(); strings.Count(said, "transactions") != 1 || !strings.Contains(said, "direct=kafka.example:9092") {
		t.Errorf("the log says\n%s\nwant one line that names the direct address", said)
	}
}

func TestProduceThatCannotBeTaken(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	magic1 := produceOf(7, -1, "t", 0)
	magic1.Topics[0].Partitions[0].Records[16] = 1
	null := produceOf(7, -1, "t", 0)
	null.Topics[0].Partitions[0].Records = nil
	for _, c := range []struct {
		name string
		q    *kmsg.ProduceRequest
		want int16
	}{
		{"before record batches, v0", produceOf(0, -1, "t", 0), codeUnsupportedVersion},
		{"before record batches, v1", produceOf(1, -1, "t", 0), codeUnsupportedVersion},
		{"before record batches, v2", produceOf(2, 1, "t", 0), codeUnsupportedVersion},
		{"acks 2", produceOf(9, 2, "t", 0), codeInvalidAcks},
		{"acks -2", produceOf(3, -2, "t", 0), codeInvalidAcks},
		{"a bad name", produceOf(9, -1, "a/b", 0), codeInvalidTopic},
		{"a partition that is not there", produceOf(9, -1, "t", 3), 3},
		{"a message set", magic1, 43},
		{"no records", null, 87},
	} {
		r := produced(c.q.Version)
		p.ask(c.q, r)
		if part := r.Topics[0].Partitions[0]; part.ErrorCode != c.want || part.BaseOffset != -1 {
			t.Errorf("%s: %+v, want code %d", c.name, part, c.want)
		}
	}
	r := produced(12)
	p.ask(produceOf(12, -1, "t", 0), r) // and the connection still works
	if r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("%+v", r.Topics[0])
	}
}

func TestReadersAreRefused(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	p := dial(t, s.addr)
	q := kmsg.NewPtrFetchRequest()
	q.Version = 4
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "t"
	for i := range int32(3) {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition = i
		topic.Partitions = append(topic.Partitions, part)
	}
	q.Topics = append(q.Topics, topic)
	r := kmsg.NewPtrFetchResponse()
	r.Version = 4
	p.ask(q, r)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 3 {
		t.Fatalf("%+v", r)
	}
	for _, part := range r.Topics[0].Partitions {
		if part.ErrorCode != codeInvalidRequest || part.RecordBatches == nil {
			t.Errorf("%+v", part)
		}
	}
}

func TestDescribeClusterShowsTheVirtualBroker(t *testing.T) {
	m := newMemory("t")
	m.set(func(m *memory) { m.cluster = nil })
	s := serve(t, Config{Brokers: []Broker{{NodeID: 4}}, ClusterIDFallback: "mine"}, m, m)
	p := dial(t, s.addr)
	for version := range int16(3) {
		q := kmsg.NewPtrDescribeClusterRequest()
		q.Version, q.EndpointType = version, 1
		r := kmsg.NewPtrDescribeClusterResponse()
		r.Version = version
		p.ask(q, r)
		if r.ErrorCode != 0 || r.ClusterID != "mine" || r.ControllerID != 4 || len(r.Brokers) != 1 || r.Brokers[0].NodeID != 4 {
			t.Errorf("v%d: %+v", version, r)
		}
		if version == 0 {
			continue
		}
		q.EndpointType = 2
		p.ask(q, r)
		if r.ErrorCode != codeWrongEndpoint {
			t.Errorf("v%d: controllers: %+v", version, r)
		}
	}
}

// TestEverythingElseIsAnsweredWithAnErrorOrClosed asks for every version of every API that we do not have.
func TestEverythingElseIsAnsweredWithAnErrorOrClosed(t *testing.T) {
	m := newMemory("t")
	s := serve(t, Config{}, m, m)
	answered := map[string]bool{}
	for key := range int16(kmsg.MaxKey + 3) {
		q := kmsg.RequestForKey(key)
		if q == nil {
			p := dial(t, s.addr)
			p.send([]byte{0, 0, 0, 10, byte(key >> 8), byte(key), 0, 0, 0, 0, 0, 1, 0xff, 0xff})
			p.closed()
			continue
		}
		for version := range q.MaxVersion() + 1 {
			if ours(key, version) {
				continue
			}
			q.SetVersion(version)
			p := dial(t, s.addr)
			p.send(frame(5, q))
			_, body, err := p.receive()
			if errors.Is(err, io.EOF) {
				continue
			}
			if err != nil {
				t.Fatalf("%s v%d: %v", kmsg.NameForKey(key), version, err)
			}
			r := kmsg.ResponseForKey(key)
			r.SetVersion(version)
			decode(t, body, r)
			if code := reflect.ValueOf(r).Elem().FieldByName("ErrorCode"); code.Int() != int64(codeUnsupportedVersion) {
				t.Errorf("%s v%d: answered with code %d", kmsg.NameForKey(key), version, code.Int())
			}
			answered[kmsg.NameForKey(key)] = true
			p.nc.Close()
		}
	}
	for _, name := range []string{"JoinGroup", "Heartbeat", "AddOffsetsToTxn", "EndTxn", "GetTelemetrySubscriptions", "ConsumerGroupHeartbeat"} {
		if !answered[name] {
			t.Errorf("%s is never answered, only closed", name)
		}
	}
}

func ours(key, version int16) bool {
	return speaks(key, version) || key == keyAPIVersions || (key == keyProduce && version <= produceMax)
}

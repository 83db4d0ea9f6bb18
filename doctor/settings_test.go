package doctor_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
	"github.com/streamdown/streamdown/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func judge(t *testing.T, file string) []doctor.Finding {
	t.Helper()
	entries, err := credentials.ParseProperties([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Settings(entries)
}

func keys(found []doctor.Finding) string {
	var s []string
	for _, f := range found {
		value := "unset"
		if f.Value != nil {
			value = *f.Value
		}
		s = append(s, fmt.Sprintf("%s=%s", f.Key, value))
	}
	return strings.Join(s, " ")
}

// Each setting that loses records is found, and its good twin is not.
func TestSettingsThatLoseRecordsAreFound(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", ""},
		{"acks=all\nenable.idempotence=true\nretries=2147483647\ndelivery.timeout.ms=120000\nlinger.ms=5\nmax.in.flight.requests.per.connection=5", ""},
		{"acks=-1", ""},
		{"acks=0", "acks=0"},
		{"acks=1", "acks=1"},
		{"enable.idempotence=false", "enable.idempotence=false"},
		{"enable.idempotence=false\nmax.in.flight.requests.per.connection=1", "enable.idempotence=false"},
		{"enable.idempotence=false\nmax.in.flight.requests.per.connection=3", "enable.idempotence=false max.in.flight.requests.per.connection=3"},
		{"enable.idempotence=true\nacks=1", "enable.idempotence=true acks=1"},
		{"retries=0", "retries=0"},
		{"retries=3", "retries=3"},
		{"retries=100", ""},
		{"delivery.timeout.ms=45000", "delivery.timeout.ms=45000"},
		{"delivery.timeout.ms=5000\nrequest.timeout.ms=3000", "delivery.timeout.ms=5000 request.timeout.ms=3000"},
		{"delivery.timeout.ms=65000\nrequest.timeout.ms=70000", "delivery.timeout.ms=65000"},
		{"request.timeout.ms=2000", "request.timeout.ms=2000"},
		{"max.in.flight.requests.per.connection=6", "max.in.flight.requests.per.connection=6"},
		{"max.in.flight.requests.per.connection=5", ""},
		{"acks=1\nmax.in.flight.requests.per.connection=5", "acks=1 max.in.flight.requests.per.connection=5"},
		{"max.block.ms=100", "max.block.ms=100"},
		{"buffer.memory=1048576", "buffer.memory=1048576"},
		{"linger.ms=60000", "linger.ms=60000"},
		{"transactional.id=t1", "transactional.id=t1"},
		{"transactional.id=", ""},
		{"producer.type=async", "producer.type=async"},
		{"metadata.fetch.timeout.ms=10", "metadata.fetch.timeout.ms=10"},
		{"spring.kafka.producer.properties.acks=0", "spring.kafka.producer.properties.acks=0"},
		// librdkafka
		{"message.timeout.ms=300000\nenable.idempotence=true", ""},
		{"message.timeout.ms=0\nenable.idempotence=true", ""},
		{"message.timeout.ms=300000", "enable.idempotence=unset"},
		{"message.timeout.ms=30000\nenable.idempotence=true", "message.timeout.ms=30000"},
		{"request.required.acks=0\nenable.idempotence=false", "request.required.acks=0 enable.idempotence=false"},
		{"message.send.max.retries=2\nenable.idempotence=true", "message.send.max.retries=2"},
		{"queue.buffering.max.messages=1000\nenable.idempotence=true", "queue.buffering.max.messages=1000"},
		{"queue.buffering.max.messages=0\nenable.idempotence=true", ""},
		{"queue.buffering.max.kbytes=100\nenable.idempotence=true", "queue.buffering.max.kbytes=100"},
		{"queue.buffering.max.ms=9000\nenable.idempotence=true", "queue.buffering.max.ms=9000"},
		{"max.in.flight=1000000\nenable.idempotence=false", "max.in.flight=1000000 enable.idempotence=false"},
		{"max.in.flight=2\nenable.idempotence=false", "max.in.flight=2 enable.idempotence=false"},
		{"enable.gapless.guarantee=true\nenable.idempotence=true", "enable.gapless.guarantee=true"},
		{"socket.timeout.ms=60000\nenable.idempotence=true\ndelivery.report.only.error=true", "delivery.report.only.error=true"},
		{"socket.timeout.ms=60000\nenable.idempotence=true\napi.version.request=false", "api.version.request=false"},
		// Sarama
		{"Producer.Retry.Max=600\nProducer.Idempotent=true\nProducer.RequiredAcks=WaitForAll", ""},
		{"Producer.Idempotent=true\nProducer.RequiredAcks=-1", "producer.retry.max=unset"},
		{"Producer.Retry.Max=3\nProducer.Idempotent=true\nProducer.RequiredAcks=WaitForAll", "Producer.Retry.Max=3"},
		{"Producer.Retry.Max=600\nNet.MaxOpenRequests=5\nProducer.RequiredAcks=WaitForLocal", "Net.MaxOpenRequests=5 Producer.RequiredAcks=WaitForLocal producer.idempotent=unset"},
		{"Producer.RequiredAcks=NoResponse\nProducer.Idempotent=true\nProducer.Retry.Max=600", "Producer.RequiredAcks=NoResponse"},
	} {
		if got := keys(judge(t, c.file)); got != c.want {
			t.Errorf("%q\nfound %q\nwant  %q", c.file, got, c.want)
		}
	}
}

func TestFindingsSayWhereWhyAndWhatInstead(t *testing.T) {
	found := judge(t, "# a\n\nlinger.ms=60000\nacks = 0\nacks=1\n")
	if got := keys(found); got != "linger.ms=60000 acks=1" {
		t.Fatalf("found %q", got)
	}
	if *found[0].Line != 3 || *found[1].Line != 5 {
		t.Errorf("lines %d and %d, want 3 and 5", *found[0].Line, *found[1].Line)
	}
	for _, f := range found {
		if f.Why == "" || f.Suggest == "" || f.Severity != doctor.Warning {
			t.Errorf("%+v", f)
		}
	}
}

func TestNoSecretIsASetting(t *testing.T) {
	for _, k := range doctor.Keys() {
		if strings.Contains(k, "password") || strings.Contains(k, "jaas") || strings.Contains(k, "secret") || strings.HasPrefix(k, "ssl.") {
			t.Errorf("%s would be shown", k)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("acks=0\nretries=3\nlinger.ms=9s")
	f.Add("Producer.Retry.Max=99999999999999999999\nmax.in.flight=-1")
	f.Fuzz(func(t *testing.T, file string) {
		entries, err := credentials.ParseProperties([]byte(file))
		if err != nil {
			return
		}
		for _, finding := range doctor.Settings(entries) {
			if finding.Key == "" || finding.Why == "" {
				t.Errorf("%+v", finding)
			}
		}
	})
}

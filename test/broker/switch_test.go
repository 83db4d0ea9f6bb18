package broker_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/test/broker"
)

var tp0 = streamdown.TopicPartition{Topic: "t"}

// bubble runs a test with three brokers and a topic of one partition, led by broker 0, in a bubble.
func bubble(t *testing.T, f func(t *testing.T, c *broker.Cluster, at func(node int32) *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, dial := cluster(t, 3, broker.Config{ProducerExpiry: time.Hour})
		c.Create("t", 1)
		f(t, c, dial)
	})
}

// want sends a batch and wants a code.
func want(t *testing.T, what string, c *client, x b, code int16) {
	t.Helper()
	if got, _ := c.produce("t", 0, x); got != code {
		t.Errorf("%s: code %d, want %d", what, got, code)
	}
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestExpiryShrinkingAndForgetting(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		k := at(0)
		for i := range int32(3) {
			want(t, "three batches", k, b{pid: 1, seq: i}, 0)
		}
		want(t, "the first again", k, b{pid: 1, seq: 0}, 0)
		c.Shrink(tp0)
		want(t, "the first again, window shrunk", k, b{pid: 1, seq: 0}, 45)
		want(t, "the last again, window shrunk", k, b{pid: 1, seq: 2}, 0)
		if n := c.Expire(); n != 0 {
			t.Errorf("%d producers expired that are young", n)
		}
		time.Sleep(2 * time.Hour)
		if n := c.Expire(); n != 1 {
			t.Errorf("%d producers expired, want 1", n)
		}
		want(t, "anything goes", k, b{pid: 1, seq: 70}, 0)
		c.ForgetAfter(tp0, 1)
		want(t, "the next", k, b{pid: 1, seq: 71}, 0)
		want(t, "forgotten in between", k, b{pid: 1, seq: 99}, 0)
	})
}

func TestAnElectionKeepsWhatIsCommittedAndWhoSentIt(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		want(t, "a batch", at(0), b{pid: 1, seq: 0, n: 3}, 0)
		if !c.Elect(tp0, 1) {
			t.Fatal("no election")
		}
		want(t, "at the old leader", at(0), b{pid: 1, seq: 3}, 6)
		want(t, "again, at the new one", at(1), b{pid: 1, seq: 0, n: 3}, 0)
		want(t, "the next", at(1), b{pid: 1, seq: 3}, 0)
		wantText(t, "end of the old epoch", at(1).epochEnd("t", 0, 1, 0), "code 0 epoch 0 end 3")
		wantText(t, "fenced", at(1).epochEnd("t", 0, 0, 0), "code 74")
		if _, list := at(0).producers("t", 0); len(list) != 1 || !strings.HasPrefix(list[0], "1/0/3") {
			t.Errorf("a follower knows %q", list)
		}
		if lost := c.Losses(tp0); len(lost) != 0 {
			t.Errorf("%d batches lost by a clean election", len(lost))
		}
	})
}

func TestADeafLeaderAnswersFromThePastAndIsCutLater(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		old, now := at(0), at(1)
		want(t, "a batch", old, b{pid: 1, seq: 0}, 0)
		c.Deafen(0)
		c.Elect(tp0, 1)
		want(t, "at the one that does not know", old, b{pid: 1, seq: 1, value: "zombie"}, 7)
		if _, list := old.producers("t", 0); len(list) != 1 || !strings.HasPrefix(list[0], "1/0/1") {
			t.Errorf("it shows its tail that is not committed: %q", list)
		}
		wantText(t, "but not to readers", old.offset("t", 0, 0, -1), "code 0 offset 1")
		want(t, "at the leader", now, b{pid: 1, seq: 1, value: "zombie"}, 0)
		c.Hear(0)
		if _, list := old.producers("t", 0); len(list) != 1 || !strings.HasPrefix(list[0], "1/0/1") {
			t.Errorf("after it heard: %q", list)
		}
		want(t, "it leads no more", old, b{pid: 1, seq: 2}, 6)
		if n := len(c.Log(tp0)); n != 2 {
			t.Errorf("%d batches, want 2", n)
		}
	})
}

func TestCommittedDataIsLostLoudlyOrSilently(t *testing.T) {
	for _, known := range []bool{true, false} {
		bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
			k := at(0)
			for i := range int32(4) {
				want(t, "four batches", k, b{pid: 1, seq: i}, 0)
			}
			c.Truncate(tp0, 2, known)
			code := int16(0)
			if known {
				code = 45
			}
			want(t, fmt.Sprintf("the next, producers known %t", known), k, b{pid: 1, seq: 4}, code)
			if n := len(c.Losses(tp0)); n != 2 {
				t.Errorf("%d batches are lost, want 2", n)
			}
			wantText(t, "end of the epoch that was cut", k.epochEnd("t", 0, 1, 0), "code 0 epoch 0 end 2")
		})
	}
}

func TestPowerTakesWhatOnlyOneBrokerHad(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		c.Kill(1)
		c.Kill(2)
		want(t, "with one replica in sync", at(0), b{pid: 1, seq: 0}, 0)
		want(t, "and another", at(0), b{pid: 1, seq: 1}, 0)
		c.Kill(0)
		c.LosePower(0, 1)
		c.Start(1, false)
		if leader, _ := c.Leader(tp0); leader != -1 {
			t.Errorf("broker %d leads, which was not in sync", leader)
		}
		c.Start(0, false)
		want(t, "the one that is gone counts as never sent", at(0), b{pid: 1, seq: 1}, 0)
		if n := len(c.Losses(tp0)); n != 1 {
			t.Errorf("%d batches are lost, want 1", n)
		}
	})
}

func TestARequestIsTakenAfterItsConnectionDied(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		k := at(0)
		c.Queue(0)
		k.send(9, produceRequest("t", [16]byte{}, 0, -1, b{pid: 1}.bytes(t)))
		synctest.Wait()
		_ = k.conn.Close()
		if n := len(c.Log(tp0)); n != 0 {
			t.Errorf("%d batches stored while requests are queued", n)
		}
		c.Dequeue(0)
		synctest.Wait()
		if n := len(c.Log(tp0)); n != 1 {
			t.Errorf("%d batches, want the one of the dead connection", n)
		}
	})
}

func TestAPartitionThatLagsTimesOutAlone(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		c.AddPartitions("t", 3)
		c.Stick(tp0)
		req := produceRequest("t", [16]byte{}, 0, -1, b{pid: 1}.bytes(t))
		other := req.Topics[0].Partitions[0]
		other.Partition = 3 // led by broker 0 too
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)
		began := time.Now()
		got := at(0).ask(9, req).(*kmsg.ProduceResponse).Topics[0].Partitions
		if got[0].ErrorCode != 7 || got[1].ErrorCode != 0 || time.Since(began) != time.Second {
			t.Errorf("codes %d and %d after %v", got[0].ErrorCode, got[1].ErrorCode, time.Since(began))
		}
		c.Unstick(tp0)
		want(t, "it was stored all the same", at(0), b{pid: 1}, 0)
		if n := len(c.Log(tp0)); n != 1 {
			t.Errorf("%d batches, want 1", n)
		}
	})
}

func TestTopicsMadeAnewAndClustersExchanged(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		before, _ := c.Topic("t")
		want(t, "a batch", at(0), b{pid: 1}, 0)
		after := c.Recreate("t", 1)
		if before.ID == after.ID {
			t.Error("the same id")
		}
		p := at(0).ask(13, produceRequest("", before.ID, 0, -1, b{pid: 1, seq: 1}.bytes(t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 100 {
			t.Errorf("the old id: code %d", p.ErrorCode)
		}
		want(t, "by name it goes to the new one", at(0), b{pid: 1, seq: 1}, 0)
		c.Exchange("another")
		m := at(1).ask(12, kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse)
		if *m.ClusterID != "another" || len(m.Topics) != 1 || streamdown.ID(m.Topics[0].TopicID) == after.ID {
			t.Errorf("cluster %s, %d topics", *m.ClusterID, len(m.Topics))
		}
	})
}

func TestAnswersAreRefusedDroppedDelayedAndDoubled(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		k := at(0)
		c.Refuse(tp0, 1, 19, false)
		want(t, "refused", k, b{pid: 1}, 19)
		c.Refuse(tp0, 1, 20, true)
		want(t, "stored and refused", k, b{pid: 1}, 20)
		if n := len(c.Log(tp0)); n != 1 {
			t.Errorf("%d batches, want 1", n)
		}
		c.DelayAnswers(0, 0, 1, 3*time.Second)
		began := time.Now()
		want(t, "late", k, b{pid: 1}, 0)
		if late := time.Since(began); late != 3*time.Second {
			t.Errorf("the answer took %v", late)
		}
		c.RepeatAnswers(0, 0, 1)
		want(t, "doubled", k, b{pid: 1, seq: 1}, 0)
		k.receive(produceAnswer())
		c.DropAnswers(0, 0, 1)
		k.send(9, produceRequest("t", [16]byte{}, 0, -1, b{pid: 1, seq: 2}.bytes(t)))
		if _, err := k.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("instead of the answer: %v", err)
		}
		if n := len(c.Log(tp0)); n != 3 {
			t.Errorf("%d batches, want 3", n)
		}
	})
}

func TestTheLogIsTrimmedCompactedAndCutAnew(t *testing.T) {
	bubble(t, func(t *testing.T, c *broker.Cluster, at func(int32) *client) {
		k := at(0)
		for i := range int32(4) {
			want(t, "four batches of one key", k, b{pid: 1 + int64(i%2), seq: i / 2 * 4, n: 4}, 0)
		}
		c.Recut(tp0)
		log := k.fetch(12, "t", [16]byte{}, 0, -1, 0)
		if strings.Count(log, "x2") != 8 || strings.Contains(log, "whole false") || !strings.Contains(log, "[14 2/0/6 x2") {
			t.Errorf("cut anew: %s", log)
		}
		want(t, "producers are known by what they sent", k, b{pid: 1, seq: 4, n: 4}, 0)
		if gone := c.Compact(tp0); gone != 6 {
			t.Errorf("%d batches compacted, want 6 of 8", gone)
		}
		wantText(t, "what is left", k.fetch(12, "t", [16]byte{}, 0, -1, 0), "code 0 hw 16 start 0: [10 1/0/6 x2")
		c.Trim(tp0, 14)
		wantText(t, "below the start", k.fetch(12, "t", [16]byte{}, 0, -1, 13), "code 1")
		want(t, "whoever was trimmed is known (KAFKA-7190)", k, b{pid: 1, seq: 9}, 45)
		if lost := c.Losses(tp0); len(lost) != 0 {
			t.Errorf("%d batches count as lost", len(lost))
		}
		c.Elect(tp0, 1)
		want(t, "at another leader", at(1), b{pid: 1, seq: 8}, 0)
		if lost := c.Losses(tp0); len(lost) != 0 {
			t.Errorf("%d batches count as lost after an election", len(lost))
		}
	})
}

// produceAnswer is a request whose answers have the form that produce asks for.
func produceAnswer() kmsg.Request {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	return req
}

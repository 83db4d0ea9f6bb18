package catalog_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/catalog"
)

func look(topics ...*catalog.Topic) *catalog.Cluster {
	c := &catalog.Cluster{At: time.Now(), ID: "c1", ProducerExpiry: time.Hour, Topics: map[string]*catalog.Topic{}}
	for _, t := range topics {
		c.Topics[t.Name] = t
	}
	return c
}

func topic(name string, partitions int) *catalog.Topic {
	return &catalog.Topic{
		Name: name, ID: streamdown.ID{1, byte(len(name))}, Partitions: make([]catalog.Partition, partitions),
		Config: catalog.TopicConfig{Known: true, MaxMessageBytes: 1000},
	}
}

// settle lets the catalog see its own entries, as the log does once they are durable.
func settle(c *catalog.Catalog) int {
	entries := c.Entries()
	for _, e := range entries {
		c.Apply(e)
	}
	return len(entries)
}

func TestWhatWasKnownIsKnownAfterARestart(t *testing.T) {
	c := catalog.New()
	if c.Entries() != nil || c.Cluster() != nil {
		t.Fatal("an empty catalog knows something")
	}
	c.Update(look(topic("orders", 3), topic("users", 1)))
	if n := settle(c); n != 3 {
		t.Fatalf("%d entries for a cluster and two topics", n)
	}
	if n := settle(c); n != 0 {
		t.Fatalf("%d entries though nothing changed", n)
	}
	again := catalog.New()
	if err := again.Restore(c.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	again.Remember()
	got := again.Cluster()
	if got == nil || got.ID != "c1" || got.ProducerExpiry != time.Hour || len(got.Topics["orders"].Partitions) != 3 || !got.Topics["orders"].Config.Known {
		t.Fatalf("after a restart: %+v", got)
	}
	if got.Topics["orders"].Partitions[0].Leader != -1 {
		t.Fatal("a leader was remembered")
	}
}

func TestDeletedTopicsAreForgottenAndUnreadableOnesAreNot(t *testing.T) {
	c := catalog.New()
	c.Update(look(topic("orders", 3), topic("users", 1)))
	settle(c)
	broken := &catalog.Topic{Name: "orders", ID: topic("orders", 3).ID, Err: 5}
	c.Update(look(broken))
	if n := settle(c); n != 1 {
		t.Fatalf("%d entries, want the deletion of users", n)
	}
	orders := c.Cluster().Topics["orders"]
	if orders == nil || len(orders.Partitions) != 3 || orders.Err != 5 {
		t.Fatalf("a topic that could not be read: %+v", orders)
	}
	if c.Cluster().Topics["users"] != nil {
		t.Fatal("a deleted topic is still there")
	}
}

func TestSettingsThatCouldNotBeReadKeepWhatWasKnown(t *testing.T) {
	c := catalog.New()
	c.Update(look(topic("orders", 3)))
	blind := topic("orders", 3)
	blind.Config = catalog.DefaultTopicConfig()
	c.Update(look(blind))
	if want := topic("orders", 3).Config; !reflect.DeepEqual(c.Cluster().Topics["orders"].Config, want) {
		t.Fatalf("settings %+v, want %+v", c.Cluster().Topics["orders"].Config, want)
	}
}

func TestALaggingBrokerDoesNotBringAnOldLeaderBack(t *testing.T) {
	c := catalog.New()
	with := func(leader, epoch int32) *catalog.Topic {
		tp := topic("orders", 1)
		tp.Partitions[0] = catalog.Partition{Leader: leader, LeaderEpoch: epoch}
		return tp
	}
	for _, step := range []struct{ leader, epoch, want int32 }{{1, 5, 1}, {2, 6, 2}, {1, 5, 2}, {3, 6, 3}, {1, 7, 1}} {
		c.Update(look(with(step.leader, step.epoch)))
		if got := c.Cluster().Topics["orders"].Partitions[0].Leader; got != step.want {
			t.Errorf("leader %d of epoch %d was shown: %d leads, want %d", step.leader, step.epoch, got, step.want)
		}
	}
	recreated := with(9, 0)
	recreated.ID[5] = 1
	c.Update(look(recreated))
	if got := c.Cluster().Topics["orders"].Partitions[0].Leader; got != 9 {
		t.Errorf("a topic made anew begins with its own epochs: %d leads", got)
	}
}

// Ids must not flap: producers give up on a topic whose id changes.
func TestATopicKeepsItsIDUntilItIsAnotherTopic(t *testing.T) {
	c := catalog.New()
	orders := topic("orders", 3)
	id := orders.ID
	c.Update(look(orders))
	if c.Durable(orders) {
		t.Error("the log knows the topic before it was told")
	}
	settle(c)
	if !c.Durable(orders) {
		t.Error("the log does not know the topic")
	}
	shown := func() streamdown.ID {
		cl := c.Cluster()
		shown := cl.ShownID(cl.Topics["orders"])
		if cl.TopicByID(shown) != cl.Topics["orders"] {
			t.Error("the topic is not found by its id")
		}
		return shown
	}
	old := topic("orders", 4) // a broker before 2.8 shows it
	old.ID = streamdown.ID{}
	c.Update(look(old))
	if shown() != id || len(c.Cluster().Topics["orders"].Partitions) != 4 {
		t.Errorf("a look without ids: %+v", c.Cluster().Topics["orders"])
	}
	broken := &catalog.Topic{Name: "orders", Err: 5}
	c.Update(look(broken))
	if shown() != id {
		t.Errorf("a look that could say nothing of the topic: %+v", c.Cluster().Topics["orders"])
	}
	anew := topic("orders", 3)
	anew.ID[7]++
	c.Update(look(anew))
	if shown() == id || c.Cluster().TopicByID(id) != nil || c.Durable(anew) {
		t.Error("a topic that was made anew has something of the old one")
	}
	settle(c)
	again := catalog.New()
	if err := again.Restore(c.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	again.Remember()
	if got := again.Cluster(); got.TopicByID(anew.ID) == nil || got.TopicByID(id) != nil {
		t.Error("after a restart the ids are others")
	}
	other := look(topic("orders", 3))
	other.ID, other.Topics["orders"].ID = "c2", streamdown.ID{}
	c.Update(other)
	if shown() == anew.ID {
		t.Error("another cluster's topic has the id of the first one's")
	}
}

func TestIDsOfClustersWithoutOnesNeedNoMemory(t *testing.T) {
	var ids []streamdown.ID
	for _, c := range []struct{ cluster, topic string }{{"c1", "a"}, {"c1", "b"}, {"c2", "a"}, {"c1", "a"}} {
		cl := &catalog.Cluster{ID: c.cluster}
		ids = append(ids, cl.ShownID(&catalog.Topic{Name: c.topic}))
	}
	if ids[0] != ids[3] || ids[0] == ids[1] || ids[0] == ids[2] || ids[0].IsZero() {
		t.Errorf("%v", ids)
	}
}

package gateway

import "github.com/streamdown/streamdown"

// allows reports whether the client may write to the topic and see it. It is asked of the users as they are now.
func (c *conn) allows(topic string) bool {
	a := c.server.cfg.Auth
	if a == nil {
		return true
	}
	who := c.login.who.Load()
	return who != nil && a.Allows(who.Name, topic)
}

// allowsAny reports whether the client may write at all.
func (c *conn) allowsAny() bool {
	a := c.server.cfg.Auth
	if a == nil {
		return true
	}
	who := c.login.who.Load()
	return who != nil && a.AllowsAny(who.Name)
}

// notAllowed says to the log and to the client that a topic is not for it.
func (c *conn) notAllowed(topic string) string {
	c.warnOnce("not allowed "+topic, "a client may not write to a topic: add the topic to its user in auth.users, or a rule at Kafka if auth.acls reads them, if it should", "topic", streamdown.Shorten(topic, streamdown.MaxTopic))
	return "user " + streamdown.Shorten(c.user(), 200) + " may not write to this topic: it is not in the user's topics (auth.users, or Kafka's rules with auth.acls)"
}

package config

import "github.com/streamdown/streamdown"

// matches reports whether glob takes the topic.
func matches(glob, topic string) bool { return streamdown.Glob(glob).Matches(topic) }

// covered reports whether every topic that narrow takes is taken by wide.
func covered(narrow, wide string) bool { return streamdown.Glob(wide).Covers(streamdown.Glob(narrow)) }

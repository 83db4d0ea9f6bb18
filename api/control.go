package api

import "context"

// Control is what people may change. Its methods may be called concurrently.
type Control interface {
	// Hold stops the lanes of target ("*", a topic, or topic/partition) until Resume; the order is durable when it
	// returns nil. After an error it may be or not. Holding what is held replaces the reason.
	Hold(ctx context.Context, target, reason string) error
	// Resume ends the hold of exactly this target, durably, and gives its lanes that an error stopped another try.
	// Without a hold it does only the latter.
	Resume(ctx context.Context, target string) error
}

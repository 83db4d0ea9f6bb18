package broker

// epochStart is where a leader epoch begins in a log.
type epochStart struct {
	epoch int32
	start int64
}

// assign notes that an epoch begins (LeaderEpochFileCache.assign): what began at that place or later, or in that epoch
// or a later one, is forgotten.
func (r *replica) assign(epoch int32, start int64) {
	if n := len(r.epochs); n > 0 && r.epochs[n-1].epoch == epoch && start >= r.epochs[n-1].start {
		return
	}
	for n := len(r.epochs); n > 0 && (r.epochs[n-1].epoch >= epoch || r.epochs[n-1].start >= start); n-- {
		r.epochs = r.epochs[:n-1]
	}
	r.epochs = append(r.epochs, epochStart{epoch, start})
}

// epochEnd is LeaderEpochFileCache.endOffsetFor: the largest epoch known up to the one asked for, and where it ends.
// -1 and -1 say that nothing is known.
func (r *replica) epochEnd(epoch int32) (int32, int64) {
	n := len(r.epochs)
	if epoch < 0 || n == 0 || epoch > r.epochs[n-1].epoch {
		return -1, -1
	}
	if epoch == r.epochs[n-1].epoch {
		return epoch, r.end
	}
	floor := int32(-1)
	for i, e := range r.epochs {
		if e.epoch > epoch {
			if i == 0 {
				return epoch, e.start
			}
			return floor, e.start
		}
		floor = e.epoch
	}
	return -1, -1
}

// cutEpochs forgets what begins at an offset or later (truncateFromEnd).
func (r *replica) cutEpochs(end int64) {
	for n := len(r.epochs); n > 0 && r.epochs[n-1].start >= end; n-- {
		r.epochs = r.epochs[:n-1]
	}
}

package forward

// spares are arrays that a Core has used and will use again, so that neither a batch nor a request costs an allocation.
type spares struct {
	requests []request
	rooms    [][]item // of queues, all of roomLeast
	lanes    []*lane  // empty; for the one that builds a request, as others
	others   []*lane
}

const (
	roomLeast  = 8 // items: most lanes that are caught up never hold more
	roomsMost  = 1024
	roomMuch   = 64   // items: an array that is larger and nearly empty gives way to a smaller one
	parcelsFew = 4096 // a request with more of them is not kept
)

func (s *spares) takeRequest() (r request) {
	if last := len(s.requests) - 1; last >= 0 {
		r, s.requests[last] = s.requests[last], request{}
		s.requests = s.requests[:last]
	}
	return r
}

// giveRequest takes a request whose pipe is through with it: it was answered, or the pipe has ended. With spoil set its
// parcels are overwritten.
func (s *spares) giveRequest(r request, spoil bool) {
	clear(r.of)
	clear(r.parcels)
	if spoil {
		for i := range r.parcels {
			r.parcels[i].TopicPartition.Partition = -1
		}
	}
	if cap(r.parcels) <= parcelsFew && len(s.requests) < 4*nodeDepth {
		s.requests = append(s.requests, request{of: r.of[:0], parcels: r.parcels[:0]})
	}
}

func (s *spares) giveRoom(room []item) {
	if cap(room) == roomLeast && len(s.rooms) < roomsMost {
		s.rooms = append(s.rooms, room[:0])
	}
}

// push puts a batch at the end of a lane's queue. What was dropped off the head of it leaves room in the array, which is
// used again once it is half of it: so a queue that neither grows nor ends costs nothing.
func (c *Core) push(l *lane, it item) {
	if n := len(l.queue); n == cap(l.queue) {
		switch free := &c.spare.rooms; {
		case n > 0 && cap(l.room) >= 2*n && cap(l.room) <= max(8*n, roomMuch):
			l.queue = l.room[:copy(l.room[:n], l.queue)]
			clear(l.room[n:cap(l.room)])
		case n == 0 && len(*free) > 0:
			l.room = (*free)[len(*free)-1]
			*free = (*free)[:len(*free)-1]
			l.queue = l.room
		default:
			l.room = make([]item, n, max(2*n, roomLeast))
			copy(l.room, l.queue)
			l.queue, l.room = l.room, l.room[:0]
		}
	}
	l.queue = append(l.queue, it)
}

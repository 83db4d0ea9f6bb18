package gateway

// Begun is closed once Serve serves: whatever could be wrong with listeners, certificates and limits was not.
func (s *Server) Begun() <-chan struct{} { return s.begun }

//go:build !race

package forward

const simSeeds = 2000 // of a plain `go test`: some ten seconds

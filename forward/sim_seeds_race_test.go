//go:build race

package forward

const simSeeds = 300 // with the race detector, which has little to find in one thread

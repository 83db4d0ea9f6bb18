package main

import (
	"math"
	"slices"
)

// summarize fills in what follows from the rest.
func (r *result) summarize() {
	r.Seeds = r.CoreSeeds + r.NodeSeeds
	var seeds, seconds []float64
	for _, c := range r.Plants {
		if c.Caught {
			seeds = append(seeds, float64(c.Seeds))
			seconds = append(seconds, c.Seconds)
		}
	}
	r.MedianSeeds, r.MedianSeconds = median(seeds), median(seconds)
}

// median of nothing is 0. It is rounded to hundredths.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	n := len(list)
	return math.Round(100*(list[(n-1)/2]+list[n/2])/2) / 100
}

"""Side-by-side timings of pydlnet and what its users would write instead."""

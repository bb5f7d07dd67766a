"""Parameter counts, FLOPs, memory and realisable shapes: arithmetic on specs, no torch."""

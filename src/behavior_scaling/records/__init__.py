"""What a run is asked to do (spec), what it found (record), and where both are kept (store)."""

"""The steps of the command line, by room; each function takes parsed arguments."""

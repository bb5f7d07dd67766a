"""From a study to its runs: cells on axes, resolved specs, bundles of short runs."""

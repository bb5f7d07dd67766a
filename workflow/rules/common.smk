# What rules ask about a bundle while the DAG is built.


def parent_bundles(wildcards):
    """Bundles that train the parents of a bundle's stage-2 runs."""
    parents = PLAN.bundle(wildcards.bundle).parents
    return [bundle_path(PLACE.bundles, key) for key in parents]


def minutes(wildcards, attempt):
    """A generous limit: ten times the estimate, doubled on every retry."""
    return int(5 + 10 * PLAN.bundle(wildcards.bundle).seconds / 60) * 2 ** (attempt - 1)

# What rules ask while the DAG is built.


def parent_bundles(wildcards):
    """Bundles that train the parents of a bundle's stage-2 runs."""
    parents = PLAN.bundle(wildcards.bundle).parents
    return [bundle_path(PLACE.bundles, key) for key in parents]


def asked(name):
    """One of the resources of an attempt at a bundle (sweep/resources.py)."""

    def value(wildcards, attempt):
        bundle = PLAN.bundle(wildcards.bundle)
        return getattr(resources(STUDY, bundle, N_ITEMS, attempt), name)

    return value


def doubling(first):
    """A resource that every further attempt has twice of."""
    return lambda wildcards, attempt: first * doubled(attempt)

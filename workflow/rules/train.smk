# Records are written to the store by the train command and are no outputs of the DAG: Snakemake
# deletes the outputs of a failed job. A job's output is a small bundle file.


def parent_bundles(wildcards):
    """Bundles that train the parents of a bundle's stage-2 runs."""
    parents = PLAN.bundle(wildcards.bundle).parents
    return [ancient(bundle_path(PLACE.bundles, key)) for key in parents]


def minutes(wildcards, attempt):
    """A generous limit: a gigaflop a second, doubled on every retry."""
    return int(5 + PLAN.bundle(wildcards.bundle).flops / 1e9 / 60) * 2 ** (attempt - 1)


rule train:
    input:
        data=ancient(PLACE.data / "meta.json"),
        parents=parent_bundles,
        request=request_path(PLACE.bundles, "{bundle}"),
    output:
        PLACE.bundles / "{bundle}.json",
    params:
        study=STUDY_FILE,
        data=PLACE.data,
        store=PLACE.store,
    log:
        "results/logs/train-{bundle}.log",
    threads: STUDY.execution.threads
    resources:
        mem_mb=4000,
        runtime=minutes,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m behavior_scaling train --config {params.study} --data {params.data}"
        " --store {params.store} --bundle {wildcards.bundle} --out {output} 2>&1 | tee {log}"


rule collect:
    input:
        data=ancient(PLACE.data / "meta.json"),
        bundles=[bundle_path(PLACE.bundles, bundle.key) for bundle in PLAN.bundles],
    output:
        PLACE.runs,
    params:
        study=STUDY_FILE,
        data=PLACE.data,
        store=PLACE.store,
        axes=[f"{cell.axis}:{cell.arm}:{cell.label}:{cell.key}" for cell in PLAN.cells],
    log:
        "results/logs/collect.log",
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m behavior_scaling collect --config {params.study} --data {params.data}"
        " --store {params.store} --out {output} 2> {log}"

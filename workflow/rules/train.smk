# Records are written to the store by the train command and are no outputs of the DAG: Snakemake
# deletes the outputs of a failed job. A job's output is a small bundle file.


rule train:
    input:
        data=ancient(PLACE.data / "meta.json"),
        parents=parent_bundles,
        request=request_path(PLACE.bundles, "{bundle}"),
    output:
        PLACE.bundles / "{bundle}.json",
    log:
        "results/logs/train-{bundle}.log",
    conda:
        "../../envs/train.yaml"
    threads: STUDY.execution.threads
    resources:
        mem_mb=4000,
        runtime=minutes,
    params:
        study=STUDY_FILE,
        data=PLACE.data,
        store=PLACE.store,
    shell:
        "python -m behavior_scaling train --config {params.study} --data {params.data}"
        " --store {params.store} --bundle {wildcards.bundle} --out {output} 2>&1 | tee {log}"


rule collect:
    input:
        data=ancient(PLACE.data / "meta.json"),
        bundles=[bundle_path(PLACE.bundles, bundle.key) for bundle in PLAN.bundles],
    output:
        runs=PLACE.runs,
        users=PLACE.users,
        probes=PLACE.probes,
    log:
        "results/logs/collect.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY_FILE,
        data=PLACE.data,
        store=PLACE.store,
        axes=[f"{cell.axis}:{cell.arm}:{cell.label}:{cell.key}" for cell in PLAN.cells],
        code=source_hash("records", "sweep"),
    shell:
        "python -m behavior_scaling collect --config {params.study} --data {params.data}"
        " --store {params.store} --out {output.runs} --users {output.users}"
        " --probes {output.probes} 2> {log}"

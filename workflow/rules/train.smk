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
    threads: asked("cpus")
    resources:
        gpu=asked("gpu"),
        mem_mb=asked("mem_mb"),
        runtime=asked("minutes"),
        nodes=1,
        slurm_extra="--signal=TERM@120",  # to the step, not to B: whose srun would kill the step
    params:
        study=STUDY_FILE,
        data=PLACE.data,
        store=PLACE.store,
    shell:
        # A scheduler's TERM comes to every process of the job, and from preemption twice at once.
        # Training answers the first with a checkpoint: until then the shell has to wait, tee (which
        # takes its last words) to live, and the second TERM to be nothing.
        "trap '' TERM; trap : INT; python -m behavior_scaling train --config {params.study}"
        " --data {params.data} --store {params.store} --bundle {wildcards.bundle}"
        " --out {output} 2>&1 | (trap '' INT; exec tee {log})"


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
    resources:
        mem_mb=doubling(8000),
        runtime=doubling(60),
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

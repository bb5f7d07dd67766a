# A shipped study: its records are read from results/archive and nothing is trained.


rule collect:
    input:
        PLACE.archive / "manifest.json",
    output:
        runs=PLACE.runs,
        users=PLACE.users,
        probes=PLACE.probes,
        floors=FLOORS,
    log:
        "results/logs/collect.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=doubling(8000),
        runtime=doubling(60),
    params:
        study=STUDY_FILE,
        folder=PLACE.archive,
        axes=[f"{cell.axis}:{cell.arm}:{cell.label}:{cell.key}" for cell in PLAN.cells],
        code=source_hash("records", "sweep"),
    shell:
        "python -m behavior_scaling collect --config {params.study} --archive {params.folder}"
        " --out {output.runs} --users {output.users} --probes {output.probes}"
        " --floors {output.floors} 2> {log}"

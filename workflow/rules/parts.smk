# Studies that this one names as its parts (`parts:` in its file): what its report reads of them.
# In a trained study their own calls of snakemake (`make reproduce`) have made these files.
import hashlib

from behavior_scaling.records.spec import canonical_json


def part_digest(wildcards):
    """Changes with anything that a part's file says."""
    said = PARTS[wildcards.part][1].study.model_dump(mode="json")
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()[:16]


READ = {
    name: [
        place.runs,
        place.floors_read,
        *(place.folder / "laws" / f"{law}.json" for law in LAWS),
    ]
    for name, (_, place) in PARTS.items()
}
absent = [name for name, paths in READ.items() if not all(map(Path.is_file, paths))]
if STUDY.runs == "train" and absent and workflow.is_main_process:
    print(
        f"parts of {STUDY.name} that have no results yet: {', '.join(absent)}; "
        f"`make reproduce STUDY={STUDY_FILE}` runs them first",
        file=sys.stderr,
    )


localrules:
    parts,
    worlds,


if STUDY.runs == "archive":

    rule part:
        input:
            lambda wildcards: PARTS[wildcards.part][1].archive / "manifest.json",
        output:
            runs=PLACE.results / "{part}" / "runs.parquet",
            users=PLACE.results / "{part}" / "users.parquet",
            probes=PLACE.results / "{part}" / "probes.parquet",
            floors=PLACE.results / "{part}" / "floors.json",
            laws=expand(PLACE.results / "{{part}}" / "laws" / "{law}.json", law=LAWS),
        log:
            "results/logs/part-{part}.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=doubling(8000),
            runtime=doubling(120),
        params:
            study=lambda wildcards: PARTS[wildcards.part][0],
            asked=part_digest,
            code=source_hash("records", "sweep", "laws"),
        shell:
            "python -m behavior_scaling part --config {params.study} 2> {log}"


rule parts:
    input:
        *READ.values(),
    output:
        PLACE.folder / "parts.json",
    log:
        "results/logs/parts.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY_FILE,
        runs=STUDY.runs,
        names=list(PARTS),
    shell:
        "python -m behavior_scaling parts --config {params.study} --runs {params.runs}"
        " --out {output} 2> {log}"


rule worlds:
    input:
        rules.parts.output,
    output:
        PLACE.folder / "laws" / "worlds.json",
    log:
        "results/logs/worlds.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        folder=PLACE.folder / "laws",
        code=source_hash("laws"),
    shell:
        "python -m behavior_scaling worlds --parts {input} --out {params.folder} 2> {log}"

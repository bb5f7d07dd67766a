# Studies that this one names as its parts (`parts:` in its file): what its report reads of them.
# In a trained study their own calls of snakemake (`make reproduce`) have made these files.
import hashlib

from behavior_scaling.records.spec import canonical_json


def parts_digest():
    """Changes with anything that a part's file says."""
    said = {name: place.study.model_dump(mode="json") for name, (_, place) in PARTS.items()}
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


if STUDY.runs == "archive" and PARTS:

    # One job for all of them: a process takes longer to start than to fit a small part.
    rule part:
        input:
            [place.archive / "manifest.json" for _, place in PARTS.values()],
        output:
            [path for paths in READ.values() for path in paths],
            [path for _, place in PARTS.values() for path in (place.users, place.probes)],
        log:
            "results/logs/part.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=doubling(8000),
            runtime=doubling(120),
        params:
            studies=[file for file, _ in PARTS.values()],
            asked=parts_digest(),
            code=source_hash("records", "sweep", "laws"),
        shell:
            "python -m behavior_scaling part --config {params.studies} 2> {log}"


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

# Source to prepared data. Inputs are ancient: a newer date on the same bytes prepares nothing anew.


rule fetch:
    output:
        PLACE.raw,
    log:
        "results/logs/fetch.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY_FILE,
    shell:
        "python -m behavior_scaling fetch --config {params.study} --out {output} 2>&1 | tee {log}"


rule prepare:
    input:
        raw=ancient(PLACE.raw),
    output:
        PLACE.data / "meta.json",
    log:
        "results/logs/prepare.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=doubling(16000),
        runtime=doubling(240),
    params:
        study=STUDY_FILE,
        folder=PLACE.data,
    shell:
        "python -m behavior_scaling prepare --config {params.study} --raw {input.raw}"
        " --out {params.folder} 2>&1 | tee {log}"


rule floors:
    input:
        data=ancient(PLACE.data / "meta.json"),
        truth=PLACE.truth if IS_WORLD else [],
    output:
        PLACE.floors,
    log:
        "results/logs/floors.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=doubling(16000),
        runtime=doubling(240),
    params:
        folder=PLACE.data,
        truth=f"--truth {PLACE.truth}" if IS_WORLD else "",
    shell:
        "python -m behavior_scaling floors --data {params.folder} {params.truth}"
        " --out {output} 2>&1 | tee {log}"


rule truth:
    input:
        ancient(PLACE.data / "meta.json"),
    output:
        PLACE.truth,
    log:
        "results/logs/truth.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=doubling(16000),
        runtime=doubling(240),
    params:
        study=STUDY_FILE,
        folder=PLACE.data,
    shell:
        "python -m behavior_scaling truth --config {params.study} --data {params.folder}"
        " --out {output} 2>&1 | tee {log}"


rule card:
    input:
        data=ancient(PLACE.data / "meta.json"),
        floors=PLACE.floors,
    output:
        PLACE.card / "card.md",
        PLACE.card / "card.png",
        PLACE.card / "card.csv",
    log:
        "results/logs/card.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY_FILE,
        folder=PLACE.data,
        out=PLACE.card,
    shell:
        "python -m behavior_scaling card --config {params.study} --data {params.folder}"
        " --floors {input.floors}"
        " --out {params.out} 2>&1 | tee {log}"

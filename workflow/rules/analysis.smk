# Runs to laws, and laws to everything that is read. A change of the code that makes a file makes
# it again (`code`); a change of anything else does not.


rule fit:
    input:
        runs=PLACE.runs,
        users=PLACE.users,
        probes=PLACE.probes,
        floors=FLOORS,
    output:
        expand(PLACE.folder / "laws" / "{law}.json", law=LAWS),
    log:
        "results/logs/fit.log",
    conda:
        "../../envs/analysis.yaml"
    threads: 2
    resources:
        mem_mb=doubling(8000),
        runtime=doubling(120),
    params:
        folder=PLACE.folder / "laws",
        code=source_hash("laws"),
    shell:
        "python -m behavior_scaling fit --runs {input.runs} --users {input.users}"
        " --probes {input.probes} --floors {input.floors} --out {params.folder} 2> {log}"


rule figure:
    input:
        runs=PLACE.runs,
        floors=FLOORS,
        laws=rules.fit.output,
    output:
        report(
            PLACE.folder / "figures" / "{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        expand(PLACE.folder / "figures" / "{{figure}}.{kind}", kind=["pdf", "png", "csv"]),
    log:
        "results/logs/figure-{figure}.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling figure {wildcards.figure} --results {params.results}"
        " --floors {params.floors} 2> {log}"


rule tables:
    input:
        runs=PLACE.runs,
        floors=FLOORS,
        laws=rules.fit.output,
    output:
        report(
            expand(PLACE.folder / "tables" / "{table}.csv", table=TABLES),
            caption="../report/tables.rst",
            category="Tables",
        ),
        expand(PLACE.folder / "tables" / "{table}.md", table=TABLES),
    log:
        "results/logs/tables.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling tables --results {params.results} --floors {params.floors}"
        " 2> {log}"


rule claims:
    input:
        runs=PLACE.runs,
        laws=rules.fit.output,
    output:
        PLACE.folder / "claims.json",
    log:
        "results/logs/claims.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        results=PLACE.folder,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling claims --results {params.results} 2> {log}"


rule numbers:
    input:
        runs=PLACE.runs,
        floors=FLOORS,
        laws=rules.fit.output,
        claims=rules.claims.output,
    output:
        PLACE.folder / "numbers.json",
    log:
        "results/logs/numbers.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling numbers --results {params.results} --floors {params.floors}"
        " 2> {log}"


rule paper:
    input:
        template="paper/paper.md",
        numbers=rules.numbers.output,
        claims=rules.claims.output,
        tables=rules.tables.output,
        figures=expand(PLACE.folder / "figures" / "{figure}.svg", figure=FIGURES),
    output:
        report(PLACE.folder / "paper.pdf", caption="../report/paper.rst", category="Paper"),
    log:
        "results/logs/paper.log",
    conda:
        "../../envs/paper.yaml"
    params:
        results=PLACE.folder,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling paper --results {params.results} --template {input.template}"
        " --out {output} 2> {log}"


rule figures:
    input:
        expand(PLACE.folder / "figures" / "{figure}.svg", figure=FIGURES),

# Runs to laws, and laws to everything that is read. A change of the code that makes a file makes
# it again (`code`); a change of anything else does not.

OF_PARTS = [*rules.parts.output, *rules.worlds.output] if PARTS else []


rule fit:
    input:
        runs=PLACE.runs,
        users=PLACE.users,
        probes=PLACE.probes,
        floors=FLOORS,
        prediction=[path for path in [PLACE.prediction] if path.is_file()],
    output:
        expand(PLACE.folder / "laws" / "{law}.json", law=LAWS),
    log:
        "results/logs/fit.log",
    conda:
        "../../envs/analysis.yaml"
    # Parts that are fitted beside it fill the other cores better than processes of its own.
    threads: 1 if PARTS and STUDY.runs == "archive" else 2
    resources:
        mem_mb=doubling(8000),
        runtime=doubling(120),
    params:
        folder=PLACE.folder / "laws",
        score=f"--prediction {PLACE.prediction}" if PLACE.prediction.is_file() else "",
        code=source_hash("laws"),
    shell:
        "python -m behavior_scaling fit --runs {input.runs} --users {input.users}"
        " --probes {input.probes} --floors {input.floors} {params.score}"
        " --out {params.folder} --workers {threads} 2> {log}"


# Two jobs draw the figures, half of them each: importing what draws takes longer than drawing one.
HALVES = FIGURES[::2], FIGURES[1::2]


rule draw:
    input:
        runs=PLACE.runs,
        floors=FLOORS,
        laws=rules.fit.output,
        parts=OF_PARTS,
    output:
        *(
            report(
                PLACE.folder / "figures" / f"{figure}.svg",
                caption=f"../report/figures/{figure}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in HALVES[0]
        ),
        expand(
            PLACE.folder / "figures" / "{figure}.{kind}",
            figure=HALVES[0],
            kind=["pdf", "png", "csv"],
        ),
    log:
        "results/logs/draw.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        figures=HALVES[0],
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling figure {params.figures} --results {params.results}"
        " --floors {params.floors} 2> {log}"


use rule draw as draw_others with:
    output:
        *(
            report(
                PLACE.folder / "figures" / f"{figure}.svg",
                caption=f"../report/figures/{figure}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in HALVES[1]
        ),
        expand(
            PLACE.folder / "figures" / "{figure}.{kind}",
            figure=HALVES[1],
            kind=["pdf", "png", "csv"],
        ),
    log:
        "results/logs/draw_others.log",
    params:
        figures=HALVES[1],
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),


rule tables:
    input:
        runs=PLACE.runs,
        floors=FLOORS,
        laws=rules.fit.output,
        parts=OF_PARTS,
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
        parts=OF_PARTS,
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
        parts=OF_PARTS,
        claims=rules.claims.output,
    output:
        PLACE.folder / "numbers.json",
    log:
        "results/logs/numbers.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY_FILE,
        results=PLACE.folder,
        floors=FLOORS,
        code=source_hash("report"),
    shell:
        "python -m behavior_scaling numbers --config {params.study} --results {params.results}"
        " --floors {params.floors} 2> {log}"


rule paper:
    input:
        template="paper/paper.md",
        look="paper/paper.typ",
        discussion=[file for file in [f"paper/discussion/{STUDY.name}.md"] if Path(file).is_file()],
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


# Everything that is read; of a shipped study it needs neither data nor torch.
rule figures:
    input:
        REPORT,

# source -> data -> runs -> records -> laws -> figures, tables, claims -> paper: one direction.
# Each rule calls one step of `behavior-scaling`; every step can be run by hand in the same way.
#
#   snakemake                                         the study config/quick.yaml
#   snakemake --config study=config/pilot.yaml        another one
#   snakemake --config study=... runs=train           all its runs anew, not out of its archive
import sys
from pathlib import Path
from shlex import quote

from snakemake.utils import min_version, validate

from behavior_scaling.config import load_parts, load_study
from behavior_scaling.data.known import known_sizes
from behavior_scaling.data.store import Dataset
from behavior_scaling.layout import Layout
from behavior_scaling.provenance import source_hash
from behavior_scaling.records.store import Store
from behavior_scaling.report.names import FIGURES, LAWS, TABLES
from behavior_scaling.sweep.bundles import bundle_path, renew_requests, request_path
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.sweep.resources import doubled, resources

min_version("9.20")

# A rule's Python may be that of a conda environment, which holds no copy of the package.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(f'{workflow.basedir}/src')}"
    "${{PYTHONPATH:+:$PYTHONPATH}}; "
)

if "container" in config:  # with --sdm apptainer: an image made of containers/

    container: config["container"]


STUDY_FILE = Path(config.get("study", "config/quick.yaml"))
STUDY = load_study(STUDY_FILE)
STUDY = STUDY.model_copy(update={"runs": config.get("runs", STUDY.runs)})
validate(
    STUDY.model_dump(mode="json", exclude_unset=True),
    "workflow/schemas/study.schema.json",
    set_default=False,
)
PLACE = Layout(Path("results"), STUDY)
FLOORS = PLACE.floors_read
PARTS = {
    part.name: (file, Layout(PLACE.results, part.model_copy(update={"runs": STUDY.runs})))
    for file, part in load_parts(STUDY_FILE, STUDY).items()
}
IS_WORLD = STUDY.data.is_world
N_ITEMS = known_sizes(STUDY.data, PLACE.data, PLACE.shipped).n_items
PLAN = make_plan(STUDY, N_ITEMS) if N_ITEMS else None

if PLAN is None:
    print(
        f"{STUDY.data.name}: its catalogue's size is known once the data are prepared, which is "
        "all that this call does; the next one trains.",
        file=sys.stderr,
    )
elif STUDY.runs == "train" and workflow.is_main_process:  # a cluster's job reads this file, too
    prepared = (PLACE.data / "meta.json").is_file()
    data_spec = Dataset.open(PLACE.data).data_spec() if prepared else None
    for message in renew_requests(PLAN, STUDY, data_spec, PLACE.bundles, Store(PLACE.store)):
        print(message, file=sys.stderr)


report: "workflow/report/workflow.rst"


wildcard_constraints:
    bundle="[0-9a-f]{16}",
    part="|".join(PARTS) or "none",


# On a cluster these run where snakemake does: seconds each, and `fetch` needs the network.
localrules:
    all,
    data,
    figures,
    fetch,
    card,
    draw,
    draw_others,
    tables,
    claims,
    numbers,
    paper,


DATA = [PLACE.data / "meta.json", PLACE.floors, PLACE.card / "card.md"]
REPORT = [
    PLACE.folder / "paper.pdf",
    PLACE.folder / "claims.json",
    *expand(
        PLACE.folder / "figures" / "{figure}.{kind}",
        figure=FIGURES,
        kind=["pdf", "svg", "png", "csv"],
    ),
    *expand(PLACE.folder / "tables" / "{table}.csv", table=TABLES),
]


rule data:
    default_target: PLAN is None
    input:
        DATA,


rule all:
    default_target: PLAN is not None
    input:
        REPORT,
        DATA if STUDY.runs == "train" else [],


include: "workflow/rules/slurm.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"


if PLAN is not None:
    if STUDY.runs == "train":

        include: "workflow/rules/train.smk"

    else:

        include: "workflow/rules/archive.smk"

    if PARTS:

        include: "workflow/rules/parts.smk"
    include: "workflow/rules/analysis.smk"
    include: "workflow/rules/state.smk"


# What a study that names this one as its part reads of it.
rule laws:
    input:
        DATA if PLAN is None else [PLACE.runs, FLOORS, *rules.fit.output],

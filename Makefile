# make reproduce   regenerate the quick study: data, runs, laws, figures, tables, claims, paper
# make data        the study's data only: prepared, with floors and data card
# make figures     what is read, anew from the runs: of a shipped study without data and torch
# make verify      a sample of the shipped pilot's runs trained again and held against its archive
# make test        style, types, import order, tests
# All create .venv by themselves; a second call has nothing to do and says so.

PYTHON ?= python3
VENV ?= .venv
STUDY ?= config/quick.yaml
CORES ?= 2
# train: all runs of a shipped study anew; archive: none. Not set: as the study file says.
RUNS ?=
MINUTES ?= 5
TORCH := $(shell sed -n 's/^\# torch==//p' requirements.lock)

BIN := $(VENV)/bin
NAME = $(shell sed -n 's/^name: *//p' $(STUDY))
export PATH := $(abspath $(BIN)):$(PATH)
SNAKEMAKE = snakemake --cores $(CORES) --config study=$(STUDY) $(RUNS:%=runs=%)
# Snakemake's scheduler chats at every job; what is kept are the runs' own lines and the counts.
QUIET = 2>&1 | grep --line-buffered -vE '^(Select jobs|Execute [0-9]+ jobs|Using shell|Assuming|Conda env|Building DAG)'
SHELL := /bin/bash -o pipefail
TESTS = tests/workflow $(filter-out tests/workflow/,$(sort $(wildcard tests/*/)))

.PHONY: install base reproduce data verify test test-slow test-slurm test-conda test-s3 lint figures promote retry bench bench-peers lock clean

install: $(VENV)/.installed
base: $(VENV)/.base

# A stamp is newer than what it was made from, so an unchanged environment costs nothing.
# What analyses needs no torch; where everything is installed, its stamp is all that this brings.
$(VENV)/.base: requirements.lock pyproject.toml
	@if [ $(VENV)/.installed -nt requirements.lock ] && [ $(VENV)/.installed -nt pyproject.toml ]; \
	then touch $@; else \
	  echo "== creating the environment in $(VENV), without training (once; started $$(date +%T))"; \
	  set -e; test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock --editable .; touch $@; fi

# torch comes first and alone: a build that is there already and fits the pin is kept.
$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "== creating the environment in $(VENV) (once, some minutes; started $$(date +%T))"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -c "from importlib.metadata import version as v; \
	  raise SystemExit(v('torch').split('+')[0] != '$(TORCH)')" 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock --editable '.[train,hpc,dev]'
	@touch $(VENV)/.base $@
	@echo "== the environment is ready ($$(date +%T))"

# flock lets one call in at a time, so that a lock of Snakemake found here is a dead one.
reproduce: install
	@mkdir -p .snakemake && flock --nonblock .snakemake/reproduce.flock $(MAKE) --no-print-directory .dag \
	  || { status=$$?; echo "make reproduce did not end well (or another one is running here)"; exit $$status; }

.PHONY: .dag
.dag:
	@if [ -n "$$(ls -A .snakemake/locks 2>/dev/null)" ]; then \
	  echo "== clearing a stale Snakemake lock (an earlier run was interrupted; finished runs are kept)"; \
	  $(SNAKEMAKE) --unlock --quiet all; fi
	@# The studies that are parts of this one come first; of a shipped study they are its own jobs.
	@parts=$$(behavior-scaling parts --config $(STUDY) $(RUNS:%=--runs %)) && for part in $$parts; do \
	  $(MAKE) --no-print-directory .part STUDY=$$part || exit 1; done
	@echo "== study $(NAME): snakemake runs what is missing"
	@$(SNAKEMAKE) --quiet rules host $(QUIET)
	@# Of data whose size nobody states the first call prepares them, and the next one trains.
	@test -f results/$(NAME)/runs.parquet || $(SNAKEMAKE) --quiet rules host $(QUIET)
	@behavior-scaling status --config $(STUDY) --results results $(RUNS:%=--runs %) --line \
	  || behavior-scaling status --config $(STUDY) --results results $(RUNS:%=--runs %) || true
	@echo "== done: results/$(NAME)/ holds paper.pdf, claims.json, figures/, tables/, laws/"

.PHONY: .part
.part:
	@echo "== part $(NAME): snakemake runs what is missing"
	@$(SNAKEMAKE) --quiet rules host -- laws $(QUIET)
	@test -f results/$(NAME)/runs.parquet || $(SNAKEMAKE) --quiet rules host -- laws $(QUIET)

data: install
	@$(SNAKEMAKE) --quiet rules host -- data $(QUIET)
	@parts=$$(behavior-scaling parts --config $(STUDY) $(RUNS:%=--runs %)) && for part in $$parts; do \
	  echo "== part of the study, with data of its own: make data STUDY=$$part"; done

verify: STUDY = config/pilot.yaml
verify: data
	behavior-scaling verify --config $(STUDY) --results results --minutes $(MINUTES)

test: install lint
	@# The DAG's tests take longest in one file: they begin first, beside all the others.
	OMP_NUM_THREADS=1 pytest $(TESTS) -m "not slow and not slurm and not conda" -n $(CORES) --dist loadfile \
	  --no-loadscope-reorder

test-slow: install
	OMP_NUM_THREADS=1 pytest -m slow -n $(CORES)

# A real SLURM of one node on loopback; as root, since SLURM reads /etc/slurm (a container will do).
# Whatever ended the tests, nothing of it stays behind.
test-slurm: install
	@OMP_NUM_THREADS=1 pytest tests/slurm -m slurm --durations=0; status=$$?; \
	  python tests/slurm/cluster.py stop; exit $$status

# A study from source to paper with every rule in its conda environment, out of a local channel that
# holds this machine's own packages. Needs PyPI, 6 GB of disk and some minutes.
test-conda: install
	$(BIN)/python -c "import rattler, zstandard" 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock --editable '.[train,dev,conda]'
	@OMP_NUM_THREADS=1 pytest tests/conda -m conda --capture=no --durations=0

# push and pull through a real S3 server on this machine.
test-s3: install
	$(BIN)/python -c "import s3fs, moto" 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements.lock --editable '.[train,remote,s3,dev]'
	@OMP_NUM_THREADS=1 pytest tests/records/test_records_share_s3.py --durations=0

lint: install
	ruff check src tests benchmarks notebooks
	ruff format --check src tests benchmarks notebooks
	snakefmt --check --compact-diff Snakefile workflow
	hadolint containers/Dockerfile
	mypy
	lint-imports
	@mkdir -p .snakemake && snakemake --lint > .snakemake/lint.log 2>&1 || { cat .snakemake/lint.log; exit 1; }

# Everything that is read, anew from the records; a shipped study needs neither torch nor data.
figures: $(if $(filter archive,$(or $(RUNS),$(shell sed -n 's/^runs: *//p' $(STUDY)))),base,install)
	@$(SNAKEMAKE) --quiet rules host -- figures $(QUIET)
	behavior-scaling compare --results results/$(NAME) --promoted figures/$(NAME)

promote: base
	behavior-scaling promote --results results/$(NAME) --promoted figures/$(NAME) --readme README.md

retry: install
	behavior-scaling retry --config $(STUDY) --results results
	$(MAKE) --no-print-directory reproduce

bench: install
	python benchmarks/throughput.py
	python benchmarks/shapes.py
	python benchmarks/loss.py
	python benchmarks/memory.py
	python benchmarks/ranking.py
	python benchmarks/engines.py
	python benchmarks/preparation.py
	python benchmarks/worlds.py
	python benchmarks/laws_solver.py
	python benchmarks/laws_study.py
	python benchmarks/figures.py
	python benchmarks/summary.py

bench-peers: install
	python benchmarks/peers/run.py
	python benchmarks/summary.py

lock: install
	workflow/lock.sh

clean:
	rm -rf $(VENV) .snakemake .pytest_cache .mypy_cache .ruff_cache results/store/.work
	@echo "records, data and figures under results/ are kept; remove results/ by hand to start anew"

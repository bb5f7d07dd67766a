#!/bin/sh
# The build step of both recipes: the locked packages, then the project itself.
#   containers/install.sh TORCH_INDEX
# torch comes first and alone, so that the index chooses its build and nothing else.
set -eu
cd "$(dirname "$0")/.."

torch=$(sed -n 's/^# torch==//p' requirements.lock)
PIP_INDEX_URL="$1" python -m pip install --no-cache-dir --no-deps "torch==$torch"
python -m pip install --no-cache-dir --constraint requirements.lock --editable '.[train]'
python -m pip check
python -m compileall -q src
# Written to while it runs, by whichever user that is.
mkdir -p results .snakemake
chmod 1777 . results .snakemake

#!/usr/bin/env bash
# Write requirements.lock anew from pyproject.toml: every package on every platform, without
# torch (pinned in the first line, installed first and alone, as a CPU or a CUDA build) and without
# the CUDA wheels that belong to one build of it.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=$(sed -n 's/^# torch==//p' requirements.lock)
python -m pip install --quiet --disable-pip-version-check uv
compiled=$(mktemp)
trap 'rm -f "$compiled"' EXIT
uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --all-extras \
  --upgrade --no-emit-package torch --constraint <(echo "torch==$torch") \
  pyproject.toml --output-file "$compiled"
{
  echo "# torch==$torch"
  echo "# torch is installed first and alone; see Makefile. Written by workflow/lock.sh."
  grep -vE '^(nvidia-|cuda-|triton==|--)' "$compiled"
} > requirements.lock.new
mv requirements.lock.new requirements.lock

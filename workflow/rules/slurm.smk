# snakemake-executor-plugin-slurm 2.8.0 refuses to start on a cluster that allows no job arrays
# (MaxArraySize below 3), although it is asked for none.
import sys

SLURM = sys.modules.get("snakemake_executor_plugin_slurm")  # there wherever it is installed

if SLURM is not None:
    largest_array = SLURM.get_max_array_size
    SLURM.get_max_array_size = lambda: max(2, largest_array())

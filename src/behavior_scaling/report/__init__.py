"""The report: figures, tables, claims, numbers and paper, each drawn from results/<study>/."""

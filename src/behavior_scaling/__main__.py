"""`python -m behavior_scaling`: the same as the command `behavior-scaling`."""

from behavior_scaling.cli import main

raise SystemExit(main())

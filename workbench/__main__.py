"""`python -m workbench`: the same as the `workbench` script, for processes that start each other."""

from workbench.cli.app import main

main()

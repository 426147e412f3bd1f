"""`python -m cordum.cli`, where the console script is not installed."""

from __future__ import annotations

from cordum.cli import main

main(prog_name="cordum")

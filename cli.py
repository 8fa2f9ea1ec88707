"""Launcher for a checkout: ``python cli.py ingest …`` is the same as ``vidpipe ingest …``."""

from vidpipe.cli import main

main()

"""The command line: ``opspilot VERB``. Exit codes: 0 fine, 1 the answer is no, 2 usage, 3 bad input, 4 read or write failed."""

from opspilot.cli.app import main

__all__ = ["main"]

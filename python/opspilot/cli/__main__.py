"""``python -m opspilot.cli``."""

from opspilot.cli.app import main

main()

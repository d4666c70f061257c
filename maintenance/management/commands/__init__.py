"""Doors: `maintain` and `verify_backup`."""

"""Doors: `maintain`, and what is done with a backup: verify, restore, drill."""

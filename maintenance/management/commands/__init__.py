"""Doors: maintain, preview, back up, and what is done with a backup: verify, restore, drill."""

"""Doors: `maintain`, `backup`, and what is done with a backup: verify, restore, drill."""

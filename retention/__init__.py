"""Retention policies, the scanner that finds what expired, and the cleaner that deletes it."""

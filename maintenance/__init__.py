"""Backups, their verification, and the two maintenance paths that delete only what is backed up."""

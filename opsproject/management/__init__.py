"""The commands that run the platform."""

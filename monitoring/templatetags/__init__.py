"""Template words of the status page."""

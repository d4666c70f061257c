"""One file a command, each a thin door."""

"""What a process of its own does on our database: each module's `run` takes and returns JSON."""

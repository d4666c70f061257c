"""Health probes, the dashboard snapshot, the status page and the heartbeat."""

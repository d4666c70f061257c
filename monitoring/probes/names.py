"""The names of the probes."""

CHECK_GOOGLE_SHEETS = "google_sheets"
CHECK_REPOSITORY_HEALTH = "repository_health"
CHECK_BROKER_HEARTBEAT = "broker_heartbeat"
CHECK_ETEDA_LOOP_LATENCY = "eteda_loop_latency"

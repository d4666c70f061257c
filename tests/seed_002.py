"""The registration bodies of seed 002, §10, as its authors wrote them."""

REAL = [
    """{
  "job_id": "buy-scanner",
  "queue": "real.jobs.buy-scanner",
  "cron_expr": "*/5 * * * *",
  "reschedule_mode": "queue",
  "interval_seconds": 300,
  "description": "Buy Scanner auto cycle",
  "enabled": true
}""",
    """{
  "job_id": "news-crawler",
  "queue": "real.jobs.news-crawler",
  "cron_expr": "*/10 * * * *",
  "reschedule_mode": "queue",
  "interval_seconds": 600,
  "description": "Real news crawler auto",
  "enabled": true
}""",
    """{
  "job_id": "price-monitor-start",
  "queue": "real.jobs.price-monitor",
  "cron_expr": "0 9 * * 1-5",
  "reschedule_mode": "queue",
  "default_params": { "action": "start", "interval_seconds": 86400 },
  "enabled": true
}""",
    """{
  "job_id": "price-monitor-stop",
  "queue": "real.jobs.price-monitor",
  "cron_expr": "30 15 * * 1-5",
  "reschedule_mode": "queue",
  "default_params": { "action": "stop", "interval_seconds": 86400 },
  "enabled": true
}""",
    """{
  "job_id": "scout-daily",
  "queue": "real.jobs.scout",
  "cron_expr": "0 8 * * 1-5",
  "reschedule_mode": "queue",
  "interval_seconds": 86400,
  "description": "Scout daily run",
  "enabled": true
}""",
]

MOCK = [
    """{
  "job_id": "mock-buy-scanner",
  "queue": "mock.jobs.buy-scanner",
  "cron_expr": "*/5 * * * *",
  "reschedule_mode": "queue",
  "interval_seconds": 120,
  "description": "Mock buy scanner auto",
  "enabled": true
}""",
    """{
  "job_id": "mock-news",
  "queue": "mock.jobs.news-crawler",
  "cron_expr": "*/10 * * * *",
  "reschedule_mode": "queue",
  "interval_seconds": 600,
  "enabled": true
}""",
    """{
  "job_id": "mock-price-start",
  "queue": "mock.jobs.price-monitor",
  "cron_expr": "0 0 * * *",
  "reschedule_mode": "queue",
  "default_params": { "action": "start", "interval_seconds": 86400 },
  "enabled": true
}""",
    """{
  "job_id": "mock-price-stop",
  "queue": "mock.jobs.price-monitor",
  "cron_expr": "0 1 * * *",
  "reschedule_mode": "queue",
  "default_params": { "action": "stop", "interval_seconds": 86400 },
  "enabled": true
}""",
    """{
  "job_id": "mock-scout",
  "queue": "mock.jobs.scout",
  "cron_expr": "0 9 * * 1-5",
  "reschedule_mode": "queue",
  "interval_seconds": 86400,
  "description": "Mock scout job",
  "enabled": true
}""",
]

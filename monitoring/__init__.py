"""Health probes, the heartbeat, the dashboard snapshot and the status page.

`probes/` say whether the platform is well; `heartbeat` sends a message through the broker and back;
`history` reads the newest verdicts out of the ledger; `dashboard` computes the snapshot that
`board` puts on the page together with what is open right now; `views/` are the doors.
"""

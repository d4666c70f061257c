"""The injected runtime of the standing `pipeline` job, named by dotted path and imported by nothing."""

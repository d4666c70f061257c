"""What happened to runs, for whoever must be told (SPEC B8, DESIGN rule 12).

Transitions write the rows, `sequence` numbers what is committed, `reading` reads on behind a
number, and `tallies` adds up what has ended. `fan_out` makes a delivery of each event for each
webhook that wants it, `webhook_sender` sends those, over a `guarded_http` that reaches no private
address.
"""

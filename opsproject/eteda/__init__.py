"""The injected runtime of the `pipeline` job, named by dotted path and imported by nothing.

One run: `extract` reads the sheet -> `transform` puts every reading on one scale -> `evaluate`
judges it -> `decide` draws one decision from all of them -> `act` writes it to the journal.
`runner` ties them together and takes the time of each.
"""

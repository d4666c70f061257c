"""The pages: `status` and its live part, `runs`, `operate` (the buttons), `health`, `flower`."""

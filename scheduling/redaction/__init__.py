"""Nothing secret leaves: one redactor for every text logged, stored, sent or shown (SPEC D4).

`clip.py` bounds a text first, `rules.py` knows what secrets look like, `redactor.py` masks them in
texts and nested values, `sentry.py` does so for what Sentry sends. Pure, so that the settings can
use it while they load.
"""

from scheduling.redaction.clip import clip
from scheduling.redaction.redactor import RedactionError, Redactor
from scheduling.redaction.sentry import sentry_filter

__all__ = ["RedactionError", "Redactor", "clip", "sentry_filter"]

r"""The manifest of a backup: JSON lines with a header, each file, what was skipped, and an end.

```
{"kind":"backup","format":1,"backup_id":…,"created_at":…,"source_root":…,"strategy":"archive",
 "purpose":"snapshot"|"expired","tool":…,"previous_id":…,"previous_sha256":…}
{"kind":"file","path":…,"size":bytes,"mtime_ns":…,"inode":…,"sha256":…}
{"kind":"skipped","path":…,"reason":…}
{"kind":"end","finished_at":…,"files":n,"bytes":n,"skipped":n,
 "archive":{"name":…,"size":bytes,"sha256":…},"lines_sha256":…}
```
Bytes of a path beyond UTF-8 are escaped as `\udcXX` (surrogateescape). `lines_sha256` covers all
lines before the last; the hash of the whole file is in the database and in the next manifest.
"""

from maintenance.manifest.reader import Manifest
from maintenance.manifest.values import ArchiveFacts, Header, Purpose, Strategy, Totals
from maintenance.manifest.writer import ManifestWriter

__all__ = [
    "ArchiveFacts",
    "Header",
    "Manifest",
    "ManifestWriter",
    "Purpose",
    "Strategy",
    "Totals",
]

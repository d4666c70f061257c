r"""The manifest of a backup: JSON lines with a header, each file, what was skipped, and an end.

```
{"kind":"backup","format":2,"backup_id":…,"created_at":…,"source_root":…,
 "strategy":"archive"|"file","purpose":"snapshot"|"expired","tool":…,"previous_id":…,
 "previous_sha256":…,"base_id":…,"generation":n}
{"kind":"file","path":…,"size":bytes,"mtime_ns":…,"inode":…,"sha256":…,"mode":permission bits,
 "owner":[user id, group id],"ctime_ns":…}
{"kind":"skipped","path":…,"reason":…}
{"kind":"end","finished_at":…,"files":n,"bytes":n,"skipped":n,"stored":bytes,
 "changed":n or null,"archive":{"name":…,"size":bytes,"sha256":…} or null,"lines_sha256":…}
```
Bytes of a path beyond UTF-8 are escaped as `\udcXX` (surrogateescape). `lines_sha256` covers all
lines before the last; the hash of the whole file is in the database and in the next manifest.
"""

from maintenance.manifest.reader import Manifest
from maintenance.manifest.values import (
    TREE_NAME,
    ArchiveFacts,
    Header,
    Purpose,
    Stored,
    Strategy,
    Totals,
)
from maintenance.manifest.writer import ManifestWriter

__all__ = [
    "TREE_NAME",
    "ArchiveFacts",
    "Header",
    "Manifest",
    "ManifestWriter",
    "Purpose",
    "Stored",
    "Strategy",
    "Totals",
]

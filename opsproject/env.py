"""The only reader of the environment: every setting, typed, with its default and its meaning.

Settings come from the environment and from the file that `OPS_ENV_FILE` names, `.env` by default;
in both, a secret may be given as `NAME_FILE`, the path of a file that holds it. A value that does
not fit stops the program with one line that names the variable; so does an unknown `OPS_` name,
because a misspelt setting that is silently ignored is found out at night.
"""

import difflib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from pydantic import BaseModel, Field, Json, SecretStr, ValidationError, field_validator

from scheduling.redaction import RedactionError, Redactor

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_PORTS = {"real": 8095, "mock": 9095}
SECRETS = (
    *("SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "SENTRY_DSN", "OPS_FLOWER_URL"),
    "OPS_BACKUP_COPY_URL",
)
ENV_FILE = "OPS_ENV_FILE"


class Target(BaseModel, extra="forbid", frozen=True):
    """One entry of OPS_TARGETS (SPEC A14)."""

    callable: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
    interval_ms: int = Field(ge=1_000, le=3_155_760_000_000, strict=True)  # 1 s to 100 years
    error_backoff_ms: int = Field(default=5_000, ge=1, le=86_400_000, strict=True)
    max_consecutive_errors: int = Field(default=3, ge=1, le=1_000_000, strict=True)


class Environment(BaseModel, extra="ignore", frozen=True):
    """What an operator may set. The order is that of docs/configuration.md."""

    SCHEDULER_SCOPE: str = Field(default="real", pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
    SCHEDULER_TICK_SECONDS: float = Field(default=1.0, ge=0.05, le=60)
    SCHEDULER_TIMEZONE: str = "UTC"
    OPS_LEDGER_DAYS: int = Field(default=90, ge=1, le=36_500)
    OPS_OFFICE_LEDGER_DAYS: int = Field(default=30, ge=1, le=36_500)
    OPS_DATA_DIR: Path | None = None
    DATABASE_URL: SecretStr | None = None
    CELERY_BROKER_URL: SecretStr | None = None
    SECRET_KEY: SecretStr | None = Field(default=None, min_length=32)
    SENTRY_DSN: SecretStr | None = None
    OPS_PORT: int | None = Field(default=None, ge=1, le=65535)
    OPS_ALLOWED_HOSTS: list[str] = ["localhost", "127.0.0.1", "[::1]"]
    OPS_HTTPS: bool = False
    OPS_DEBUG: bool = False
    OPS_LOG_LEVEL: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    OPS_TARGETS: Json[dict[str, Target]] = {}
    OPS_ADOPT_SCOPE: str = Field(default="real", pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
    OPS_TASK_MODULES: list[str] = []
    OPS_UNTRACKED_QUEUES: list[str] = []
    OPS_WEBHOOK_HOSTS: list[str] = []
    OPS_API_RATE: str = Field(default="100/s", pattern=r"^[1-9][0-9]{0,6}/[smhd]$")
    OPS_WORKER_CONCURRENCY: int = Field(default=2, ge=1, le=512)
    OPS_DEPLOYMENT: str = Field(default="", pattern=r"^[A-Za-z0-9_.:-]{0,100}$")
    OPS_STOP_SECONDS: float | None = Field(default=None, ge=0, le=86_400)
    OPS_FLOWER_URL: SecretStr | None = None
    OPS_BACKUP_AGE_KEY_FILE: Path | None = None
    OPS_BACKUP_COPY_URL: SecretStr | None = None
    OPS_REDACTION_PATTERNS: Json[list[str]] = []
    OPS_REDACTION_PLACEHOLDER: str = Field(default="[REDACTED]", min_length=1)
    OPS_REDACTION_KEEP_HASHES: bool = False
    OPS_ENV_FILE: str = ".env"
    OPS_TEST_REQUIRE: str = Field(default="", pattern=r"^(all)?$")

    @field_validator("SCHEDULER_TIMEZONE")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"no such IANA time zone: {value!r}, use a name such as Asia/Seoul"
            ) from error
        return value

    @field_validator("OPS_DATA_DIR", mode="before")
    @classmethod
    def _fits_into_a_line(cls, value: object) -> object:
        # It stands in the configuration of the supervisor and of the broker.
        if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value):
            raise ValueError("name a directory without line breaks and control characters")
        return value

    @field_validator("SENTRY_DSN")
    @classmethod
    def _usable_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        if not value:
            return value
        from sentry_sdk.utils import Dsn  # noqa: PLC0415 17 MB of every process that has no use

        try:
            Dsn(value.get_secret_value())
        except ValueError:  # its text may quote the key
            raise ValueError("use https://key@host/number, as Sentry shows it") from None
        return value

    @field_validator(
        *("OPS_ALLOWED_HOSTS", "OPS_TASK_MODULES", "OPS_UNTRACKED_QUEUES", "OPS_WEBHOOK_HOSTS"),
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: object) -> object:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("OPS_TASK_MODULES")
    @classmethod
    def _module_names(cls, value: list[str]) -> list[str]:
        for name in value:
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"{name!r} is no module: give a dotted path such as shop.tasks")
        return value

    @field_validator("OPS_REDACTION_PATTERNS")
    @classmethod
    def _usable_patterns(cls, value: list[str]) -> list[str]:
        return list(_redactor(patterns=tuple(value)).patterns)

    @field_validator("OPS_REDACTION_PLACEHOLDER")
    @classmethod
    def _usable_placeholder(cls, value: str) -> str:
        return _redactor(placeholder=value).placeholder

    @field_validator("OPS_TARGETS")
    @classmethod
    def _target_names(cls, value: dict[str, Target]) -> dict[str, Target]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
                raise ValueError(f"target name {name!r} must be letters, digits, '-' and '_'")
        return value

    @property
    def data_directory(self) -> Path:
        """Where an embedded installation keeps its state: absolute, one per scope."""
        return (
            (self.OPS_DATA_DIR or CHECKOUT / ".ops" / self.SCHEDULER_SCOPE).expanduser().resolve()
        )

    @property
    def port(self) -> int:
        """The web port: OPS_PORT, else 9095 for the scope `mock` and 8095 for any other."""
        return self.OPS_PORT or DEFAULT_PORTS.get(self.SCHEDULER_SCOPE, DEFAULT_PORTS["real"])


def read_environment(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the checked settings; raise ImproperlyConfigured naming variable and remedy."""
    given = {**_with_secret_files(_read_env_file(environ)), **_with_secret_files(environ)}
    refuse_unknown_names(given)
    try:
        return Environment.model_validate(given)
    except ValidationError as error:
        raise ImproperlyConfigured("; ".join(_describe(item) for item in error.errors())) from None


def setting_names() -> frozenset[str]:
    """Return every name that is read from the environment."""
    return frozenset({*Environment.model_fields, *(f"{name}_FILE" for name in SECRETS)})


def refuse_unknown_names(given: Mapping[str, str]) -> None:
    """Raise ImproperlyConfigured for an `OPS_` variable that no setting reads."""
    known = setting_names()
    for name in sorted(given):
        if name.startswith("OPS_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/configuration.md for the names"
            raise ImproperlyConfigured(f"{name} is not a setting: {hint}")


def _read_env_file(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the lines of the file of settings, none where it is switched off or not there.

    Raises ImproperlyConfigured if it cannot be read, or if it was named and is missing.
    """
    if environ.get(ENV_FILE) == "":
        return {}
    file = CHECKOUT / Path(environ.get(ENV_FILE, ".env")).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and ENV_FILE not in environ:
            return {}
        raise ImproperlyConfigured(
            f"the file of settings {file} cannot be read ({error}): make it a readable text file, "
            f"or name another in {ENV_FILE}, empty for none"
        ) from error
    lines = {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}
    if ENV_FILE in lines:
        raise ImproperlyConfigured(f"{ENV_FILE} stands in {file}: set it in the environment only")
    return lines


def _with_secret_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the same settings and the secrets whose `NAME_FILE` is among them."""
    files = {name: path for name in SECRETS if (path := given.get(f"{name}_FILE"))}
    return {**{name: _read_secret(name, path) for name, path in files.items()}, **given}


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"{name}_FILE={path!r} cannot be read ({error}): name a readable text file"
        ) from error


def _redactor(**given: Any) -> Redactor:
    try:
        return Redactor(**given)
    except RedactionError as error:
        raise ValueError(str(error)) from error


def _describe(item: Any) -> str:
    """Say which variable is wrong and why, never with a secret's value."""
    name, *path = (str(part) for part in item["loc"])
    where = name + "".join(f"[{part}]" for part in path)
    shown = "" if name in SECRETS or path else f"={item['input']!r}"
    problem = item["msg"].removeprefix("Value error, ")
    return f"{where}{shown} is refused: {problem} (see docs/configuration.md)"

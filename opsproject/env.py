"""The only reader of the environment: every setting, typed, with its default and its meaning.

A secret may be given as `NAME_FILE`, the path of a file that holds it. A value that does not fit
stops the program with one line that names the variable; so does an unknown `OPS_` name, because a
misspelt setting that is silently ignored is found out at night.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from scheduling.redaction import RedactionError, Redactor

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_PORTS = {"real": 8095, "mock": 9095}
SECRETS = ("SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "SENTRY_DSN", "OPS_FLOWER_URL")


class Target(BaseModel, extra="forbid", frozen=True):
    """One entry of OPS_TARGETS: the arguments of the seed's `add_target` (SPEC A14)."""

    callable: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
    interval_ms: int = Field(ge=1_000, strict=True)
    error_backoff_ms: int = Field(default=5_000, ge=1, strict=True)
    max_consecutive_errors: int = Field(default=3, ge=1, strict=True)


class Environment(BaseSettings):
    """What an operator may set. The order is that of docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_file=CHECKOUT / ".env", extra="ignore", case_sensitive=True, frozen=True
    )

    SCHEDULER_SCOPE: str = Field(default="real", pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
    SCHEDULER_TICK_SECONDS: float = Field(default=1.0, ge=0.05, le=60)
    SCHEDULER_TIMEZONE: str = "UTC"
    OPS_DATA_DIR: Path | None = None
    DATABASE_URL: SecretStr | None = None
    CELERY_BROKER_URL: SecretStr | None = None
    SECRET_KEY: SecretStr | None = Field(default=None, min_length=32)
    SENTRY_DSN: SecretStr | None = None
    OPS_PORT: int | None = Field(default=None, ge=1, le=65535)
    OPS_ALLOWED_HOSTS: Annotated[list[str], NoDecode] = ["localhost", "127.0.0.1", "[::1]"]
    OPS_HTTPS: bool = False
    OPS_DEBUG: bool = False
    OPS_LOG_LEVEL: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    OPS_TARGETS: dict[str, Target] = {}
    OPS_ADOPT_SCOPE: str = Field(default="real", pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
    OPS_WORKER_CONCURRENCY: int = Field(default=2, ge=1, le=512)
    OPS_FLOWER_URL: SecretStr | None = None
    OPS_REDACTION_PATTERNS: list[str] = []
    OPS_REDACTION_PLACEHOLDER: str = Field(default="[REDACTED]", min_length=1)
    OPS_REDACTION_KEEP_HASHES: bool = False
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

    @field_validator("OPS_ALLOWED_HOSTS", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if isinstance(value, str):
            return [host.strip() for host in value.split(",") if host.strip()]
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: the environment, `NAME_FILE` secrets, `.env`, defaults."""
        del file_secret_settings
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings

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


class SecretFiles(PydanticBaseSettingsSource):
    """Reads `NAME_FILE` for the settings that are secrets."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: this source answers as a whole."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the secrets found, by setting name; raise ImproperlyConfigured if unreadable."""
        return {
            name: self._read(name, path)
            for name in SECRETS
            if (path := os.environ.get(f"{name}_FILE"))
        }

    @staticmethod
    def _read(name: str, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(
                f"{name}_FILE={path!r} cannot be read ({error}): name a readable text file"
            ) from error


def read_environment(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the checked settings; raise ImproperlyConfigured naming variable and remedy."""
    refuse_unknown_names(environ)
    try:
        return Environment()
    except ValidationError as error:
        raise ImproperlyConfigured("; ".join(_describe(item) for item in error.errors())) from None
    except SettingsError as error:
        raise ImproperlyConfigured(f"{error}: give valid JSON, see docs/configuration.md") from None


def refuse_unknown_names(environ: Mapping[str, str]) -> None:
    """Raise ImproperlyConfigured for an `OPS_` variable that no setting reads."""
    known = set(Environment.model_fields) | {f"{name}_FILE" for name in SECRETS}
    for name in sorted(environ):
        if name.startswith("OPS_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/configuration.md for the names"
            raise ImproperlyConfigured(f"{name} is not a setting: {hint}")


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

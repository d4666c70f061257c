"""Django and Celery settings under their standard names; what operators may set is in `env.py`."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from opsproject.env import Target, read_environment

django_stubs_ext.monkeypatch()  # lets ModelAdmin and views be written with their model's type

ENV = read_environment()
BASE_DIR = Path(__file__).resolve().parent.parent


def _read_state(path: Path) -> str:
    """Return what `up` keeps in a file of the data directory, nothing if it has kept nothing.

    Raises ImproperlyConfigured naming the file if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error}): make it readable for this user, "
            "or remove it and `manage.py up` makes it anew"
        ) from error


# --- identity -----------------------------------------------------------------------------------
SCHEDULER_SCOPE = ENV.SCHEDULER_SCOPE
SCHEDULER_TICK_SECONDS = ENV.SCHEDULER_TICK_SECONDS
SCHEDULER_TIMEZONE = ENV.SCHEDULER_TIMEZONE
OPS_LEDGER_DAYS = ENV.OPS_LEDGER_DAYS
OPS_OFFICE_LEDGER_DAYS = ENV.OPS_OFFICE_LEDGER_DAYS
OPS_ADOPT_SCOPE = ENV.OPS_ADOPT_SCOPE
OPS_UNTRACKED_QUEUES = ENV.OPS_UNTRACKED_QUEUES
OPS_DATA_DIR = ENV.data_directory
OPS_PORT = ENV.port
OPS_WORKER_CONCURRENCY = ENV.OPS_WORKER_CONCURRENCY
OPS_DEPLOYMENT = ENV.OPS_DEPLOYMENT
OPS_STOP_SECONDS = ENV.OPS_STOP_SECONDS or 0.0
OPS_TEST_REQUIRE = ENV.OPS_TEST_REQUIRE

# The callables of the standing jobs, by dotted path; an entry in the environment replaces ours.
OPS_TARGETS: dict[str, Target] = {
    "pipeline": Target(callable="opsproject.eteda.runner.run_once", interval_ms=15_000),
    "broker_heartbeat": Target(callable="monitoring.heartbeat.round_trip", interval_ms=10_000),
    "dashboard_update": Target(callable="monitoring.dashboard.update_snapshot", interval_ms=10_000),
    "backup_maintenance": Target(
        callable="maintenance.standing.back_up_and_maintain", interval_ms=60_000
    ),
    **ENV.OPS_TARGETS,
}

# --- data ---------------------------------------------------------------------------------------
ETEDA_DIR = OPS_DATA_DIR / "eteda"  # the sheet and the journal
DATASET_ROOT = OPS_DATA_DIR / "dataset"  # what backup_maintenance guards
BACKUP_ROOT = OPS_DATA_DIR / "backups"
OPS_BACKUP_AGE_KEY_FILE = ENV.OPS_BACKUP_AGE_KEY_FILE
OPS_BACKUP_COPY_URL = ENV.OPS_BACKUP_COPY_URL.get_secret_value() if ENV.OPS_BACKUP_COPY_URL else ""
RESTORE_ROOT = OPS_DATA_DIR / "restored"  # what the admin has restored to be looked at


def _sqlite() -> dict[str, Any]:
    """WAL, and IMMEDIATE so that a writer waits for its turn instead of failing half way."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": OPS_DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
    }


def _database() -> dict[str, Any]:
    if ENV.DATABASE_URL is None:
        return _sqlite()
    try:
        given = dj_database_url.parse(
            ENV.DATABASE_URL.get_secret_value(), conn_max_age=60, conn_health_checks=True
        )
    except ValueError:
        given = {"ENGINE": "unknown"}
    if given["ENGINE"] == "django.db.backends.sqlite3":
        return {**_sqlite(), "NAME": given["NAME"]}
    if given["ENGINE"] == "django.db.backends.postgresql":
        return {**given, "OPTIONS": {"connect_timeout": 5, **given.get("OPTIONS", {})}}
    raise ImproperlyConfigured(
        "DATABASE_URL is refused: use postgres://user:password@host:5432/name "
        "or sqlite:////path/to/file"
    )


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- web ----------------------------------------------------------------------------------------
SECRET_KEY = (
    ENV.SECRET_KEY.get_secret_value()
    if ENV.SECRET_KEY
    else _read_state(OPS_DATA_DIR / "secret_key")
    or secrets.token_urlsafe(50)  # `up` keeps one; without it sessions end with the process
)
DEBUG = ENV.OPS_DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024  # bytes of a body: work for 10,000 runs fits
ALLOWED_HOSTS = ENV.OPS_ALLOWED_HOSTS
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_htmx",
    "health_check",
    "axes",
    "scheduling",
    "retention",
    "maintenance",
    "monitoring",
    "opsproject",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "opsproject.api.ApiRefusals",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "opsproject.urls"
ASGI_APPLICATION = "opsproject.asgi.application"
WSGI_APPLICATION = "opsproject.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # the platform starts without a collectstatic step
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "status"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Who guesses is shut out from where he guesses; whose name it is can still sign in elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # who signed in when is not kept
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.OPS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if ENV.OPS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENV.OPS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.OPS_HTTPS else None
OPS_API_RATE = ENV.OPS_API_RATE
OPS_WEBHOOK_HOSTS = ENV.OPS_WEBHOOK_HOSTS
OPS_FLOWER_URL = ENV.OPS_FLOWER_URL.get_secret_value() if ENV.OPS_FLOWER_URL else ""

# --- time and language --------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- Celery: the database is the truth, the broker the fast path --------------------------------
CELERY_BROKER_URL = (
    ENV.CELERY_BROKER_URL.get_secret_value()
    if ENV.CELERY_BROKER_URL
    else _read_state(OPS_DATA_DIR / "broker_url")  # a worker started beside `up` finds its broker
    or "redis://127.0.0.1:6379/0"
)
CELERY_BEAT_SCHEDULER = "scheduling.beat:LedgerScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = SCHEDULER_TICK_SECONDS
CELERY_TIMEZONE = "UTC"
CELERY_IMPORTS = ENV.OPS_TASK_MODULES
CELERY_TASK_IGNORE_RESULT = True  # results live in the ledger
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = True  # Flower shows tasks
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # the ledger fences the repeat
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_DEFAULT_QUEUE = f"{SCHEDULER_SCOPE}.default"
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "direct"
CELERY_TASK_CREATE_MISSING_QUEUE_EXCHANGE_TYPE = "direct"
if CELERY_BROKER_URL.startswith(("amqp", "pyamqp")):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = "quorum"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, int] = {"confirm_publish": True}
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5}

# --- what leaves the process --------------------------------------------------------------------
OPS_REDACTION_PATTERNS = ENV.OPS_REDACTION_PATTERNS
OPS_REDACTION_PLACEHOLDER = ENV.OPS_REDACTION_PLACEHOLDER
OPS_REDACTION_KEEP_HASHES = ENV.OPS_REDACTION_KEEP_HASHES
OPS_LOG_LEVEL = ENV.OPS_LOG_LEVEL
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "scheduling.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": OPS_LOG_LEVEL},
    "loggers": {"httpx": {"level": "WARNING"}},
}
if ENV.SENTRY_DSN:
    # Only where it is used: it takes 17 MB of every process.
    import sentry_sdk

    from scheduling.redaction import Redactor, sentry_filter

    sentry_sdk.init(
        dsn=ENV.SENTRY_DSN.get_secret_value(),
        environment=SCHEDULER_SCOPE,
        send_default_pii=False,
        before_send=sentry_filter(
            Redactor(
                OPS_REDACTION_PATTERNS,
                placeholder=OPS_REDACTION_PLACEHOLDER,
                keep_hashes=OPS_REDACTION_KEEP_HASHES,
            )
        ),
        before_send_log=None,
    )

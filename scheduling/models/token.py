"""API tokens: hashed at rest, with a level of access and a scope."""

from django.db import models
from knox.models import AbstractAuthToken


class Access(models.TextChoices):
    """What a token may do; each level includes those before it."""

    READ = "read", "read"
    OPERATE = "operate", "read and operate"
    ADMIN = "admin", "everything"


class ApiToken(AbstractAuthToken):
    """A token for the REST API. Only its digest is stored; the token is shown once."""

    name = models.CharField(max_length=100)
    access = models.CharField(max_length=8, choices=Access.choices, default=Access.READ)
    scope = models.SlugField(max_length=32, blank=True, help_text="Empty: every scope.")

    class Meta:
        verbose_name = "API token"

    @classmethod
    def issue(cls, **fields: object) -> str:
        """Store a new token and return its text, which is kept nowhere."""
        _, token = cls.objects.create(**fields)  # type: ignore[no-untyped-call] # knox has no types
        return str(token)

    def __str__(self) -> str:
        return f"{self.name} ({self.access})"

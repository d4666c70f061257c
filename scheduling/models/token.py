"""API tokens: hashed at rest, with a level of access, for one scope or one office or all.

The digest is django-rest-knox's, made where tokens are made and looked up. Its model is not used:
that would want its app installed wherever the ledger is, also where there is no API.
"""

from django.conf import settings
from django.db import models

from scheduling.models.office import Office


class Access(models.TextChoices):
    """What a token may do; each level includes those before it."""

    READ = "read", "read"
    OPERATE = "operate", "read and operate"
    ADMIN = "admin", "everything"


class ApiToken(models.Model):
    """A token for the REST API. Only its digest is stored; the token is shown once."""

    digest = models.CharField(max_length=128, primary_key=True)
    token_key = models.CharField(max_length=25, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="auth_token_set"
    )
    created = models.DateTimeField(auto_now_add=True)
    expiry = models.DateTimeField(null=True, blank=True)
    name = models.CharField(max_length=100)
    access = models.CharField(max_length=8, choices=Access.choices, default=Access.READ)
    scope = models.SlugField(max_length=32, blank=True, help_text="Empty: every scope.")
    office = models.ForeignKey(
        Office,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="tokens",
        help_text="Empty: jobs and every office.",
    )
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.access})"

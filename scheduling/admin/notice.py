"""Notices in the admin, to read."""

from django.contrib import admin

from scheduling.admin.read_only import ReadOnly
from scheduling.models import Notice


@admin.register(Notice)
class NoticeAdmin(ReadOnly, admin.ModelAdmin[Notice]):
    """What failed for good in a submission; a retry closes it."""

    list_display = ("at", "office", "text", "run", "closed_at")
    list_filter = ("scope", ("closed_at", admin.EmptyFieldListFilter))
    list_select_related = ("office", "run")
    ordering = ("-id",)

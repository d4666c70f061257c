"""Offices in the admin: their limits, policy and state; work is submitted through the API."""

from typing import Any

from django.contrib import admin, messages
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from scheduling.actions.offices.change_office import OFFICE_FIELDS, ROLE_FIELDS, change_office
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.admin.operator import operator_of
from scheduling.errors import SchedulingError
from scheduling.models import Office, RoleLimit


class RoleInline(admin.TabularInline[RoleLimit, Office]):
    """What holds for each role; a role without a line has the office's limits."""

    model = RoleLimit
    extra = 0


@admin.register(Office)
class OfficeAdmin(admin.ModelAdmin[Office]):
    """A paused or archived office starts nothing; what runs there finishes."""

    list_display = ("office_id", "scope", "name", "state", "max_concurrent")
    list_filter = ("scope", "state")
    search_fields = ("office_id", "name")
    fields = ("scope", "office_id", *OFFICE_FIELDS)

    def get_inlines(self, request: HttpRequest, obj: Office | None) -> list[Any]:
        """A new office gets the roles of seed 004; they are edited afterwards."""
        del request
        return [RoleInline] if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: Office | None = None) -> list[str]:
        """Its runs and queues are named after it."""
        del request
        return ["scope", "office_id"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Office | None = None) -> bool:
        """Its history refers to it: archive it."""
        del request, obj
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: Office,
        form: ModelForm[Office],
        change: bool,  # noqa: FBT001 the signature is Django's
    ) -> None:
        """Hand what was entered to the actions that every door calls."""
        operator = operator_of(request)
        given = {name: form.cleaned_data[name] for name in form.changed_data}
        if not change:
            office_id, scope = given.pop("office_id", obj.office_id), obj.scope
            given.pop("scope", None)
            made = create_office(NewOffice(scope=scope, office_id=office_id), operator)
            obj.pk = made.pk
        change_office(obj, operator, given)

    def save_formset(
        self, request: HttpRequest, form: Any, formset: BaseModelFormSet[Any, Any], change: Any
    ) -> None:
        """Roles are changed through the same action; one that is deleted loses its limits."""
        del change
        formset.save(commit=False)
        removed = dict.fromkeys(ROLE_FIELDS) | {"retry_backoff": ""}
        roles = {row.role: removed for row in formset.deleted_objects}
        for row, names in formset.changed_objects:
            roles[row.role] = {n: getattr(row, n) for n in names if n in ROLE_FIELDS}
        for row in formset.new_objects:
            roles[row.role] = {name: getattr(row, name) for name in ROLE_FIELDS}
        change_office(form.instance, operator_of(request), {}, roles=roles)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form again when an action refuses: nothing was changed, and nothing logged."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except SchedulingError as error:
            self.message_user(request, f"Nothing was changed. {error}", messages.ERROR)
            return HttpResponseRedirect(request.path)

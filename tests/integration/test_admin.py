"""The admin calls the same actions as every other door, and history cannot be touched."""

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from scheduling.actions.audit import Operator
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.plan import plan_due_jobs
from scheduling.models import AuditEntry, Job, JobStatus, Pause, Run
from tests.conftest import JobMaker

CHANGELIST = "admin:scheduling_job_changelist"


def act(client: Client, action: str, job: Job) -> None:
    response = client.post(
        reverse(CHANGELIST), {"action": action, "_selected_action": [job.pk]}, follow=True
    )
    assert response.status_code == 200


def test_run_now_pause_and_resume_are_actions(admin_client: Client, make_job: JobMaker) -> None:
    job = make_job()
    act(admin_client, "run_now", job)
    assert Run.objects.get().trigger == "manual"
    act(admin_client, "pause", job)
    assert Pause.objects.get().paused_by == "admin"
    act(admin_client, "resume", job)
    assert Pause.objects.get().ended_by == "admin"
    trail = AuditEntry.objects.filter(door="admin").order_by("id").values_list("action", flat=True)
    assert list(trail) == ["trigger_run", "pause_job", "resume_job"]


def act_on_run(client: Client, action: str, run: Run) -> list[str]:
    """Return what the page says then."""
    response = client.post(
        reverse("admin:scheduling_run_changelist"),
        {"action": action, "_selected_action": [run.pk]},
        follow=True,
    )
    run.refresh_from_db()
    return [str(message) for message in response.context["messages"]]


def test_runs_are_cancelled_and_retried(admin_client: Client, make_job: JobMaker) -> None:
    act(admin_client, "run_now", make_job())
    run = Run.objects.get()
    assert act_on_run(admin_client, "cancel", run) == [
        "Runs cancelled, or stopping until they are gone: 1."
    ]
    assert (run.state, run.reason) == ("cancelled", "cancelled by admin")
    assert act_on_run(admin_client, "cancel", run) == ["Runs not cancelled, as they have ended: 1."]
    assert act_on_run(admin_client, "retry", run) == ["Runs opened again: 1."]
    assert (run.state, run.finished_at) == ("ready", None)
    trail = AuditEntry.objects.filter(target=f"run {run.pk}").values_list("action", flat=True)
    assert list(trail) == ["cancel_run", "retry_run"]


def test_who_may_not_change_jobs_may_not_cancel_runs(
    client: Client, django_user_model: type[User], make_job: JobMaker, operator: Operator
) -> None:
    run = trigger_run(make_job(), operator)
    viewer = django_user_model.objects.create_user("viewer", password="x", is_staff=True)  # noqa: S106
    viewer.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(viewer)
    assert act_on_run(client, "cancel", run) == []
    assert run.state == "ready"


def test_a_breaker_is_reset_by_hand(admin_client: Client, make_job: JobMaker) -> None:
    job = make_job()
    JobStatus.objects.update(consecutive_errors=3, tripped_at=database_now())
    act(admin_client, "reset_breaker", job)
    status = JobStatus.objects.get()
    assert (status.consecutive_errors, status.tripped_at) == (0, None)
    assert AuditEntry.objects.get(action="reset_breaker").before == {
        "consecutive_errors": 3,
        "open": True,
    }


def save_policy(client: Client, job: Job, **policy: object) -> list[str]:
    """Post the form of a job as a browser does, some fields changed; return what it is told."""
    url = reverse("admin:scheduling_job_change", args=[job.pk])
    form = client.get(url).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    data = {name: "" if value is None else value for name, value in values.items()}
    data |= {"non_retryable_codes": "[]", "initial-non_retryable_codes": "[]"}
    inline = {"pauses-TOTAL_FORMS": 0, "pauses-INITIAL_FORMS": 0}
    response = client.post(url, {**data, **inline, **policy}, follow=True)
    return [str(message) for message in response.context["messages"]]


def test_the_policy_is_edited_through_its_action(admin_client: Client, make_job: JobMaker) -> None:
    job = make_job()
    save_policy(admin_client, job, max_parallel=4)
    job.refresh_from_db()
    assert job.max_parallel == 4
    assert AuditEntry.objects.get(action="change_policy").after == {"max_parallel": 4}


def test_a_policy_that_contradicts_itself_is_refused_and_nothing_says_otherwise(
    admin_client: Client, make_job: JobMaker
) -> None:
    job = make_job()
    (message,) = save_policy(admin_client, job, retry_base="00:01:00", retry_cap="00:00:01")
    assert message.startswith("Nothing was changed. retry_cap: ")
    job.refresh_from_db()
    assert (job.retry_base, job.retry_cap) == (None, None)
    assert not LogEntry.objects.exists()


def test_saving_a_policy_as_it_is_leaves_no_trace(admin_client: Client, make_job: JobMaker) -> None:
    save_policy(admin_client, make_job())
    assert not AuditEntry.objects.filter(action="change_policy").exists()


def test_every_page_of_every_model_opens(admin_client: Client, make_job: JobMaker) -> None:
    job = make_job()
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    for model in apps.get_models():
        if not site.is_registered(model):
            continue
        name = model._meta.label_lower.replace(".", "_")  # noqa: SLF001 Django documents it
        assert admin_client.get(reverse(f"admin:{name}_changelist")).status_code == 200, name
        for row in model._default_manager.all()[:1]:  # noqa: SLF001
            url = reverse(f"admin:{name}_change", args=[row.pk])
            assert admin_client.get(url).status_code == 200, name


def test_history_cannot_be_changed(admin_client: Client, make_job: JobMaker) -> None:
    job = make_job()
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    run = Run.objects.get()
    for page in ("change", "delete"):
        url = reverse(f"admin:scheduling_run_{page}", args=[run.pk])
        assert admin_client.post(url, {"state": "done", "post": "yes"}).status_code == 403
    assert admin_client.get(reverse("admin:scheduling_run_add")).status_code == 403
    run.refresh_from_db()
    assert run.state == "ready"


def test_a_schedule_edited_in_the_stock_admin_is_linked_from_its_job(
    admin_client: Client, make_job: JobMaker
) -> None:
    job = make_job()
    page = admin_client.get(reverse("admin:scheduling_job_change", args=[job.pk]))
    row = PeriodicTask.objects.get()
    assert reverse("admin:django_celery_beat_periodictask_change", args=[row.pk]) in (
        page.content.decode()
    )


@pytest.mark.django_db
def test_nobody_sees_the_admin_without_a_login(client: Client) -> None:
    assert client.get(reverse(CHANGELIST)).status_code == 302

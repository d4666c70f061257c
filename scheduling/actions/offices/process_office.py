"""Starts what an office may start, without waiting for a beat (seed 004)."""

from celery import current_app

from scheduling.actions.audit import Operator, record
from scheduling.engine.follow_up import start_waiting
from scheduling.engine.publishing.publish import Publisher
from scheduling.models import Office


def process_office(office: Office, operator: Operator) -> int:
    """Pass ends on, and start what has a slot, a page of it; return how many runs.

    What the broker does not take stays claimed, and a beat sends it as soon as it can.
    """
    started = start_waiting(Publisher(current_app), office)
    record(operator, "process_office", office, after={"started": started})
    return started

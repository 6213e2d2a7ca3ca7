"""The structs of calls have the members that their statements read."""

from __future__ import annotations

import re

import msgspec
import pytest

from fencepost.store import (
    activities,
    calls,
    decisions,
    events,
    schedule_runs,
    start_requests,
    transitions_by_id,
    workflow_tree,
    workflows,
)
from fencepost.store.statements import statement, statements
from fencepost.vocabularies.people.store import command_transaction

_RECORDS = re.compile(r"json_to_recordset\(%\((\w+)\)s::json\) as \w+ \(([^()]*)\)")
# By statement and parameter.
STRUCTS: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("tasks/create", "calls"): calls.CreateTask,
    ("tasks/start", "calls"): calls.LeaseCall,
    ("tasks/notify", "calls"): calls.NotifyCall,
    ("tasks/success", "calls"): calls.FinishCall,
    ("tasks/fail", "calls"): calls.FinishCall,
    ("tasks/release", "calls"): calls.ReleaseCall,
    ("tasks/cancel", "calls"): calls.TaskCall,
    ("tasks/retry", "calls"): calls.TaskCall,
    ("tasks/claim", "asks"): calls.ClaimAsk,
    ("tasks/held_by_request", "asks"): calls.ClaimAsk,
    ("tasks/claim_by_id", "calls"): transitions_by_id._ClaimById,
    ("tasks/lock_state", "calls"): transitions_by_id._LockState,
    ("tasks/time_out", "calls"): activities.TimeOutCall,
    ("tasks/begin_timer", "calls"): start_requests.BeginTimer,
    ("workflows/create", "calls"): calls.CreateWorkflow,
    ("workflows/signal", "calls"): workflows._SignalId,
    ("workflows/end", "calls"): workflow_tree.EndWorkflow,
    ("workflows/advance", "events"): workflow_tree.WorkflowEvent,
    ("workflows/create_tasks", "calls"): decisions.CreateActivity,
    ("workflows/lock_decisions", "calls"): decisions._LockDecision,
    ("events/create", "calls"): events._CreateEvent,
    ("events/save_outcomes", "calls"): events._SaveOutcome,
    ("events/save_outcomes", "starts"): events._TriggerStart,
    ("subscriptions/complete", "calls"): events._Complete,
    ("subscriptions/find", "places"): events._Place,
    ("schedules/claim", "calls"): schedule_runs._ClaimRun,
    ("schedules/save_runs", "calls"): schedule_runs._SaveRun,
    ("schedules/advance", "calls"): schedule_runs._Advance,
    ("people/save_events", "calls"): command_transaction._SaveEvent,
}
# Two columns, built from the contacts of a partner.
WITHOUT_STRUCT = {("people/partners/put", "contacts")}


def _columns(name: str, param: str) -> list[str]:
    (columns,) = [found[2] for found in _RECORDS.finditer(statement(name)) if found[1] == param]
    return [column.split()[0] for column in columns.split(",")]


def test_every_statement_that_takes_json_records_has_a_struct() -> None:
    taken = {(name, found[1]) for name, text in statements().items() for found in _RECORDS.finditer(text)}
    assert taken == STRUCTS.keys() | WITHOUT_STRUCT


@pytest.mark.parametrize(("name", "param"), STRUCTS)
def test_a_struct_has_every_column_that_its_statement_reads(name: str, param: str) -> None:
    assert set(_columns(name, param)) <= set(STRUCTS[name, param].__struct_fields__)


@pytest.mark.parametrize(("name", "param"), STRUCTS)
def test_a_struct_is_frozen(name: str, param: str) -> None:
    assert STRUCTS[name, param].__struct_config__.frozen

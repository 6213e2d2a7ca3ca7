"""The hot statements, with params for their plans, and rows of a busy database."""

from __future__ import annotations

import uuid
from typing import Any

# Two thousand live tasks, a quarter in each state, and as many done tasks; two of ten definitions have a limit.
ROWS = """
insert into fencepost.definitions
    (name, version, kind, document, is_newest, requested_to_start_timeout, in_progress_timeout, allowed_retry_count,
     retry_delay, concurrency_limit, concurrency_path, has_result_schema, has_error_schema, created_at, created_by)
select
    'demo/kind-' || n, 1, 'task', '{}', true, '10 s', '1 min', 2, '10 s', case when n > 7 then 3 end,
    case when n > 7 then 'strict $."n"'::jsonpath end, false, false, now(), 'test'
from generate_series(0, 9) as n;

insert into fencepost.task_names (id, seq) select 'task-' || n, n from generate_series(1, 4000) as n;

insert into fencepost.live_tasks
    (seq, id, definition, definition_version, params, requester, created_by, created_at, status, version, retry_count,
     exec_id, ready_at, deadline_at, updated_at, held_by, limit_key)
select
    n, 'task-' || n, 'demo/kind-' || n % 10, 1, '{"n": 1}', '{}', 'test', now(),
    (array['waiting', 'ready', 'requested', 'in-progress'])[1 + n % 4], 1, 0,
    case when n % 4 > 1 then gen_random_uuid() end, now(),
    case when n % 4 <> 1 then now() + n * interval '1 second' end, now(),
    case when n % 4 > 1 then 'test' end,
    case when n % 10 > 7 then n % 97 end
from generate_series(1, 2000) as n;

insert into fencepost.poll_requests (caller, request_id, hash, prefix, seqs, claimed_at)
select 'test', 'request-' || n, '', '', array[n], now() from generate_series(1, 2000) as n;

insert into fencepost.done_tasks
    (seq, id, definition, definition_version, params, requester, created_by, created_at, version, action, done_by,
     status_before, outcome, retry_count, done_at)
select
    n, 'task-' || n, 'demo/kind-' || n % 10, 1, '{"n": 1}', '{}', 'test', now(), 2, 'awf.task/cancel', 'test', 'ready',
    'canceled', 0, now()
from generate_series(2001, 4000) as n;

insert into fencepost.live_tasks
    (seq, id, definition, definition_version, params, requester, created_by, created_at, status, version, retry_count,
     ready_at, updated_at, workflow_seq)
select
    6000 + n, '01234567-89ab-8def-8002-' || lpad(to_hex(6000 + n), 12, '0'), 'demo/kind-1', 1, '{}', '{}', 'test',
    now(), 'ready', 1, 0, now(), now(), 10000 + n % 500
from generate_series(1, 2000) as n;

insert into fencepost.openings (definition, ready_at, seq, limit_key)
select 'demo/kind-' || n % 10, now(), n, n % 97 from generate_series(1, 2000) as n;

insert into fencepost.devices (name, info, seen_at, due_at, created_at)
select 'r-' || n, '{}', now(), case when n % 2 = 0 then now() + n * interval '1 second' end, now()
from generate_series(1, 2000) as n;

insert into fencepost.live_workflows
    (seq, id, definition, definition_version, requester, created_by, created_at, begun_at, last_event, parent_seq, key)
select
    10000 + n, 'flow-' || n, 'demo/flow', 1, '{}', 'test', now(), now(), 5, case when n > 250 then 9750 + n end,
    case when n % 2 = 0 then 'device/' || n end
from generate_series(1, 500) as n;

insert into fencepost.done_workflows
    (seq, id, definition, definition_version, requester, created_by, created_at, done_at, action, done_by, outcome)
select 12000 + n, 'done-' || n, 'demo/flow', 1, '{}', 'test', now(), now(), 'test', 'test', 'canceled'
from generate_series(1, 2000) as n;

insert into fencepost.workflow_names (id, seq)
select w.id, w.seq from fencepost.live_workflows as w
union all
select w.id, w.seq from fencepost.done_workflows as w;

insert into fencepost.workflow_events (workflow_seq, number, event)
select 10000 + n % 500, 5 + n, '{}' from generate_series(1, 2000) as n;

insert into fencepost.activities (workflow_seq, label, seq, is_workflow, digest)
select 10000 + n % 500, 'label-' || n, 6000 + n, false, gen_random_uuid() from generate_series(1, 2000) as n;

insert into fencepost.workflow_signals (workflow_seq, id, digest)
select 10000 + n % 500, 'signal-' || n, gen_random_uuid() from generate_series(1, 2000) as n;

insert into fencepost.task_log (seq, version, at, action, caller, status_before, status, retry_count)
select n, version, now(), 'awf.task/notify', 'test', 'in-progress', 'in-progress', 1
from generate_series(1, 4000) as n, generate_series(2, 4) as version;

update fencepost.live_tasks set subscription_path = '["a"]', subscription_value = seq % 10
where status = 'in-progress' and seq % 8 = 3;

insert into fencepost.events (key, id, digest, content, at, caller)
select gen_random_uuid(), n, gen_random_uuid(), '{}', now(), 'test' from generate_series(1, 2000) as n;

insert into fencepost.trigger_starts (event_key, trigger, trigger_version, at, status, reference)
select e.key, 'demo/trigger', 1, e.at, 'started', '{}' from fencepost.events as e;

insert into fencepost.definitions
    (name, version, kind, document, is_newest, has_result_schema, has_error_schema, created_at, created_by)
select 'demo/schedule-' || n, 1, 'schedule', '{}', true, false, false, now(), 'test'
from generate_series(1, 1000) as n;

insert into fencepost.schedules (name, version, due_at, starts_at)
select 'demo/schedule-' || n, 1, now() + n * interval '1 minute', now() + n * interval '1 minute'
from generate_series(1, 1000) as n;

insert into fencepost.schedule_starts (name, version, due_at, kind, status, reference, at)
select 'demo/schedule-' || n % 10, 1, now() - n * interval '1 minute', 'scheduled', 'started', '{}', now()
from generate_series(1, 4000) as n;

insert into fencepost.workflow_subjects (subject, workflow_seq, workflow_id)
select 'machine-' || n.seq % 100, n.seq, n.id from fencepost.workflow_names as n;

insert into fencepost.machine_reports (workflow_id, at, task, action, state, seconds, message, worker)
select n.id, now(), 'task', 'action', 1, 0, '', 'machine' from fencepost.workflow_names as n;

insert into fencepost.machine_data (workflow_id, version, metadata)
select n.id, 1, '{}' from fencepost.workflow_names as n;

insert into fencepost.machine_deletions (workflow_id, at)
select n.id, now() from fencepost.workflow_names as n where n.seq % 5 = 0;

insert into fencepost.receipts
    (prefix, definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)
select left(md5(n::text), 18), 'demo/kind-1', 1, 'awf.task/success', 'succeeded', array[n], array[n],
    array['task-' || n], now(), now()
from generate_series(1, 2000) as n;

insert into fencepost.hardware (id, record, pushed_at, pushed_by)
select 'machine-' || n, '{}', now(), 'test' from generate_series(1, 2000) as n;

insert into fencepost.hardware_addresses (address, hardware_id)
select '52:54:00:00:' || to_hex(n / 256) || ':' || to_hex(n % 256), 'machine-' || n from generate_series(1, 2000) as n;
"""
_TASKS = [
    {"call": number, "id": f"task-{number}", "seq": None, "exec_id": str(uuid.uuid4()), "caller": "test"}
    for number in range(3)
]
_ASK = {
    "ask": 0,
    "size": 5,
    "start": True,
    "action": "awf.task/poll",
    "caller": "test",
    "request_id": "request-2",
    "prefix": "01234567-89ab-8def",
}
_NEW = {"definition": "demo/kind-1", "version": 1, "requester": {}}
_BEGUN = {"workflow_seq": 10001, "workflow_id": "flow-1", "label": "new", "digest": str(uuid.uuid4())}
_EVENT = {"key": str(uuid.uuid4()), "digest": str(uuid.uuid4())}
HOT: dict[str, dict[str, Any]] = {
    "tasks/create": {"calls": [{**call, **_NEW, "id": f"new-{call['call']}", "prefix": None} for call in _TASKS]},
    "tasks/claim": {"definitions": ["demo/kind-1", "demo/kind-9"], "seqs": [8, 9], "asks": [_ASK]},
    "tasks/limit_capacity": {"definitions": ["demo/kind-8", "demo/kind-9"], "size": 5, "width": 13},
    "definitions/create_openings": {"name": "demo/kind-8"},
    "tasks/held_by_request": {"asks": [_ASK]},
    "tasks/start": {"calls": _TASKS},
    "tasks/notify": {"calls": _TASKS},
    "tasks/success": {"calls": _TASKS},
    "tasks/fail": {"calls": _TASKS},
    "tasks/release": {"calls": _TASKS},
    "tasks/cancel": {"calls": _TASKS},
    "tasks/retry": {"calls": _TASKS},
    "tasks/find": {"id": "task-1"},
    "tasks/find_previous_create": {"prefix": "0123", "before": 1000},
    "tasks/matches_execute_at": {"id": "task-1"},
    "tasks/find_attempt": {**_TASKS[1], "actions": ["awf.task/start"]},
    "tasks/deliver_cancel": {**_TASKS[1], "notification": "{}", "age": "10 minutes"},
    "receipts/find": {**_TASKS[1], "content": None, "age": "10 minutes"},
    "receipts/is_named": {"id": "task-1"},
    "receipts/delete": {"age": "10 minutes", "batch": 20},
    "receipts/delete_log": {"seqs": [1, 2, 3], "created_at": "2026-01-01T00:00:00Z", "at": "2026-01-01T01:00:00Z"},
    "receipts/delete_names": {"seqs": [1, 2, 3], "names": ["task-1", "task-2"]},
    "tasks/entries": {"id": "task-1", "after": 0, "size": 100},
    "tasks/last_entries": {"id": "task-1", "before": 3, "size": 100},
    "tasks/count_entries": {"id": "task-1"},
    "tasks/thin_log": {"seq": 5, "whole": 1000, "until": 1500},
    "tasks/seq_range": {},
    "workflows/seq_range": {},
    "tasks/reap": {"resumed_at": "2026-01-01T00:00:00Z", "grace": "10 s", "batch": 500},
    "tasks/time_out": {"calls": _TASKS},
    "tasks/begin_timer": {"calls": [{**_TASKS[1], "milliseconds": 1000}]},
    "tasks/next_deadline": {},
    "tasks/extend_after_outage": {"grace": "10 seconds"},
    "tasks/claim_by_id": {"calls": [{**call, "start": True, "prefix": _ASK["prefix"]} for call in _TASKS]},
    "tasks/lock_state": {"calls": _TASKS},
    "schedules/find": {"name": "demo/schedule-1"},
    "schedules/claim": {"calls": [{"name": "demo/schedule-1", "version": 1, "due_at": "2026-01-01T00:00:00Z"}]},
    "schedules/find_runs": {"name": "demo/schedule-1", "due_ats": ["2026-01-01T00:00:00Z"], "id": "mine"},
    "schedules/list_runs": {"name": "demo/schedule-1", "size": 20},
    "tasks/peek": {"definitions": ["demo/kind-1", "demo/kind-9"]},
    "workflows/create": {"calls": [{**call, **_NEW, "id": f"new-{call['call']}"} for call in _TASKS]},
    "workflows/lock": {"tasks": [6001, 6002], "workflows": [10007, 10300], "with_parents": True},
    "workflows/lock_children": {"workflows": [10001, 10002]},
    "workflows/lock_decisions": {"calls": [{**call, "labels": ["label-1", "label-2"]} for call in _TASKS]},
    "workflows/create_tasks": {"calls": [{**call, **_NEW, **_BEGUN} for call in _TASKS]},
    "workflows/signal": {"calls": [{"call": 0, "workflow_seq": 10001, "id": "signal-1", "digest": _BEGUN["digest"]}]},
    "workflows/advance": {
        "events": [{"workflow_seq": 10001, "event": {}}],
        "tasks": [2001],
        "changed": True,
        "workflows": [12001],
        "decided": [10001, 10300],
    },
    "workflows/end": {"calls": [{"seq": 10001, "outcome": "canceled", "action": "x", "caller": "x"}]},
    "workflows/find_signal": {"workflow_seq": 10001, "id": "signal-1", "digest": _BEGUN["digest"]},
    "workflows/find_by_tasks": {"tasks": [6001, 2001]},
    "workflows/find": {"id": "flow-1"},
    "workflows/find_decision": {"id": "flow-1"},
    "workflows/entries": {"workflow_seq": 10001, "decides": False, "size": 100},
    "workflows/find_key_holders": {"keys": ["device/one", "device/two"]},
    "workflows/list_tasks": {"workflow_seq": 10001, "decides": False, "size": 100},
    "workflows/list_children": {"workflow_seq": 10001, "size": 100},
    "people/find_task": {"id": f"{_ASK['prefix']}-8002-{6001:012x}", "seq": 6001},
    "people/lock_core_task": {"seq": 6001},
    "taskflow/find": {"ids": ["flow-1", "flow-2"]},
    "taskflow/list_activities": {"workflows": [10001, 10002]},
    "taskflow/count_changes": {"workflow_seq": 10001},
    "taskflow/list_changes": {"workflow_seq": 10001, "taken": [3, 2]},
    "events/create": {"calls": [{**_EVENT, "source": None, "id": "a", "content": {}, "caller": "test", "triggers": 0}]},
    "events/find": {"keys": [_EVENT["key"]]},
    "events/save_outcomes": {
        "calls": [{**_EVENT, "outcome": {}}],
        "starts": [{"event_key": _EVENT["key"], "trigger": "demo/t", "trigger_version": 1, "status": "skipped"}],
    },
    "subscriptions/list_paths": {},
    "subscriptions/find": {"places": [{"place": 0, "path": '["a"]', "value": 7}]},
    "subscriptions/complete": {"calls": [{**call, "seq": 3, "event_key": _EVENT["key"]} for call in _TASKS]},
    "triggers/list_starts": {"name": "demo/t", "size": 20},
    "history/delete_events": {"retention": "1 day", "batch": 1000},
    "devices/heartbeat": {"name": "r-1", "watch": True, "silence": 15000, "task_id": None},
    "devices/find": {"name": "r-1"},
    "devices/expire": {"size": 100},
    "devices/extend_all": {"silence": 15000},
    "devices/next_due": {},
    "devices/list_tasks": {"devices": ["2", "4"]},
    "devices/list_changed_runs": {"since": "2026-01-01T00:00:00Z", "seqs": [10002]},
    "machines/find": {"id": "flow-1", "deleted": False},
    "machines/list_of_worker": {"names": ["machine-1", "machine-2"], "live": True, "size": None},
    "machines/current_actions": {"workflows": [10001, 10002]},
    "machines/find_time_limit": {"workflow_seq": 10001},
    "machines/list_reports": {"workflow_id": "flow-1", "after": 0, "size": 100},
    "machines/find_data": {"workflow_id": "flow-1", "version": 1},
    "machines/hardware/worker_names": {"worker": "machine-1", "address": "52:54:00:00:00:01"},
    "machines/hardware/ids_by_address": {"addresses": ["52:54:00:00:00:01"]},
}

"""The history of a task as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fencepost.vocabularies.people.statuses import STATUS_NAMES
from fencepost.vocabularies.people.streams import TaskEvent
from fencepost.vocabularies.people.task import PeopleTask

_HEADINGS = ("When", "Who", "What", "State")


def history_html(task: PeopleTask, history: Sequence[TaskEvent]) -> str:
    """Return a table of all events, oldest first; all texts are escaped."""
    fields = task.fields
    title = f"{task.task_list} / {task.line_number}: {fields.description or fields.process_step}"
    first = (task.start_date_time, "", f"created, {_initial_values(task)}", "")
    rows = [
        first,
        *((e.event_date_time, e.user, _description(e), "processed" if e.processed else "draft") for e in history),
    ]
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    headings = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>"


def _initial_values(task: PeopleTask) -> str:
    initial = task.initial
    user = "" if initial.user is None else f" ({initial.user})"
    due = f"priority {initial.priority}, due {initial.due_date_time}"
    return f"{STATUS_NAMES[initial.status]}, team {initial.team}{user}, {due}"


def _description(event: TaskEvent) -> str:
    match event.stream, event.values:
        case "status", (str() as status,):
            return f"status {STATUS_NAMES[status]}" + (f": {event.reason}" if event.reason else "")
        case "transfer", (team, user):
            return f"transfer to team {team}" + (f", {user}" if user else "")
        case _, (priority, due):
            return f"plan: priority {priority}, due {due}"
    return event.stream

"""Random calls that fit the current queue: hypothesis draws small numbers, which pick from the state of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from tests.system.queue_columns import columns_of
from tests.system.queue_model import Model
from tests.system.queue_tasks import Params

T = TypeVar("T")
Call = tuple[str, Params]

# Payloads; some are equal in Python and different in JSON, and the last is refused.
CONTENTS: list[Any] = [None, {}, {"a": 1}, {"a": True}, {"a": {"b": [1.5, "é", None]}}, [1]]
FIELDS = ["definition", "params", "label", "retryCount", "lostAttempts", "inProgressTimeout", "allowedRetryCount"]
STRANGER = "5c1d3f7e-0000-4000-8000-000000000000"
PICK = st.integers(0, 20)


class Spec(Protocol):
    """A drawn value that can be turned into a call."""

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        """Return method and params for the current state of the queue."""


def pick(things: Sequence[T], number: int) -> T:
    """Return one of the things; 0 is the newest."""
    return things[-1 - number % len(things)]


@dataclass(frozen=True)
class Create:
    """A create, or with `again` one with a taken id; `other` names the member of its content that differs."""

    definition: int
    named: bool
    label: str | None
    content: Any
    due: int | None
    again: int | None
    other: str | None
    short: bool = False

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        params: Params = {"definition": pick(definitions, self.definition), "params": self.content}
        if self.due is not None:
            params["executeAt"] = (model.now + timedelta(seconds=self.due)).isoformat()
        params["label"] = self.label
        if self.again is not None and model.tasks:
            task = pick(list(model.tasks.values()), self.again)
            old = {"id": task.id, "definition": task.definition, "label": task.label, "params": task.params}
            old["executeAt"] = None if task.asked_for is None else task.asked_for.isoformat()
            params = {**old, self.other: params.get(self.other)} if self.other else old
        elif self.named:
            params["id"] = f"{definitions[0].replace('/', '.')}.{len(model.tasks)}"
        if self.short:
            params["include-resource?"] = False
        return "awf.task/create-and-execute", {name: value for name, value in params.items() if value is not None}


@dataclass(frozen=True)
class CreateMany:
    """Creates with one call: the definition and the time are those of `shared`; requestIds are reused."""

    shared: Create
    items: list[Create]
    request: int | None

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        _, shared = self.shared.call(model, definitions)
        calls = [item.call(model, definitions)[1] for item in self.items]
        for place, params in enumerate(calls):
            if self.items[place].again is None and "id" in params:
                params["id"] += f".{place}"
        params = {**shared, "params": [None] * len(calls), **columns_of(calls)}
        if self.request is not None and "ids" not in params:
            params["requestId"] = f"{definitions[0]} {self.request}"
        return "awf.task/create-many", params


@dataclass(frozen=True)
class Poll:
    """A poll for some of the definitions; requestIds are reused."""

    definitions: int
    size: int
    start: bool
    request: int | None
    worker: str | None
    long: bool
    fields: list[str] | None

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        wanted = [name for bit, name in enumerate(definitions) if self.definitions & 1 << bit]
        params: Params = {"taskDefinitions": [*wanted, "model/unknown"], "maxBatchSize": self.size, "start": self.start}
        if self.request is not None:
            params["requestId"] = f"{definitions[0]} {self.request}"
        if self.worker is not None:
            params["worker"] = self.worker
        if self.fields is not None:
            params["fields"] = self.fields
        return ("awf.task/long-poll", {**params, "timeout": 0}) if self.long else ("awf.task/poll", params)


@dataclass(frozen=True)
class Say:
    """A report about an execution: a live one, any that ever existed (`old`), or one that never existed (`stray`)."""

    verb: str
    execution: int
    old: bool
    stray: str | None
    content: Any
    short: bool
    error_as_result: bool

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        known = list(model.executions)
        live = [exec_id for exec_id in known if model.executions[exec_id].task.exec_id == exec_id]
        exec_id = pick((known if self.old else live) or [STRANGER], self.execution)
        ids = list(model.tasks) or ["nobody"]
        id = model.executions[exec_id].task.id if exec_id in model.executions else ids[0]
        if self.stray is not None:
            id, exec_id = {"id": ("nobody", exec_id), "task": (pick(ids, self.execution), exec_id)}.get(
                self.stray, (id, STRANGER)
            )
        return f"awf.task/{self.verb}", {"id": id, "execId": exec_id, **self._members()}

    def _members(self) -> Params:
        if self.verb == "notify":
            kind = "awf.task/progress" if self.content else "heartbeat"
            return {"notification": kind, **({"progress-current": 7, "progress-unit": "rows"} if self.content else {})}
        name = {"success": "result", "fail": "result" if self.error_as_result else "error"}.get(self.verb)
        members: Params = {"include-resource?": False} if self.short else {}
        return members if name is None or self.content is None else {**members, name: self.content}


@dataclass(frozen=True)
class EndMany:
    """Reports of one kind with one call, each of which ends an execution."""

    verb: str
    says: list[Say]

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        says = [replace(say, verb=self.verb, error_as_result=False) for say in self.says]
        return f"awf.task/{self.verb}-many", columns_of([say.call(model, definitions)[1] for say in says])


@dataclass(frozen=True)
class About:
    """A call of a user about a task."""

    verb: str
    task: int
    unknown: bool

    def call(self, model: Model, definitions: Sequence[str]) -> Call:
        ids = ["nobody"] if self.unknown or not model.tasks else list(model.tasks)
        return f"awf.task/{self.verb}", {"id": pick(ids, self.task)}


contents = st.sampled_from(CONTENTS)
labels = st.none() | st.sampled_from(["first", "second"])
dues = st.none() | st.sampled_from([-5, 0, 3, 60])
members = st.sampled_from(["definition", "label", "params", "executeAt"])
workers = st.none() | st.just("w-1")
rarely = st.sampled_from([False, False, False, True])
strays = st.none() | st.none() | st.sampled_from(["id", "task", "execution"])
verbs = st.sampled_from(["start", "notify", "success", "fail", "release"])

ends = st.sampled_from(["success", "fail", "release"])
requests = st.none() | st.integers(0, 2)
fields = st.none() | st.lists(st.sampled_from(FIELDS), unique=True)

creates = st.builds(Create, PICK, st.booleans(), labels, contents, dues, st.none(), st.none(), rarely)
creates_again = st.builds(Create, PICK, st.just(True), labels, contents, dues, PICK, st.none() | members, rarely)
unnamed = st.builds(Create, PICK, st.just(False), labels, contents, dues, st.none(), st.none())
shared = st.builds(Create, PICK, st.just(False), st.none(), st.none(), dues, st.none(), st.none())
creates_many = st.builds(
    CreateMany,
    shared,
    st.lists(unnamed, min_size=1, max_size=4) | st.lists(creates | creates_again, min_size=1, max_size=4),
    requests,
)
polls = st.builds(Poll, st.integers(1, 3), st.integers(1, 6), st.booleans(), requests, workers, rarely, fields)
says = st.builds(Say, verbs, PICK, st.just(False), st.none(), contents, rarely, st.booleans())
says_late = st.builds(Say, verbs, PICK, st.just(True), strays, contents, rarely, st.booleans())
ends_many = st.builds(
    EndMany, ends, st.lists(says, min_size=1, max_size=6) | st.lists(says | says_late, min_size=1, max_size=6)
)
abouts = st.builds(About, st.sampled_from(["cancel", "retry"]), PICK, rarely)

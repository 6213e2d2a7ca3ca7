"""People tasks under random commands of users, developers and workers, on two servers.

A model keeps the expected events of each task in order, and which of them are processed. After every step each task has
the values of the model, its core task has a state that fits, and `fencepost check` finds no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from fencepost.store.check import check
from fencepost.vocabularies.people.statuses import ACTIVE, CLOSED, STATUS_NAMES, allowed_statuses
from tests.fixtures.models import run_model
from tests.fixtures.people import Desk
from tests.fixtures.servers import running_server
from tests.fixtures.surface import CHECKS

USERS = st.sampled_from(["ann", "al", "bob"])
TEAM_OF = {"ann": "HR", "al": "HR", "bob": "IT"}
TEAMS = st.sampled_from(["HR", "IT"])
STATUSES = st.sampled_from([*STATUS_NAMES])
PICK = st.integers(0, 1000)
MAIL = "hr/onboard/MAIL"


@dataclass
class ExpectedEvent:
    """An event: the values that it sets, the user who recorded it, and whether it is processed."""

    sets: dict[str, str | None]
    user: str
    processed: bool
    id: int | None = None
    stream: str = ""


@dataclass
class Model:
    """The expected state of a task."""

    id: str
    is_job: bool
    events: list[ExpectedEvent] = field(default_factory=list)
    lease: dict[str, str] | None = None

    def now(self, *, confirming: ExpectedEvent | None = None) -> dict[str, str | None]:
        """Return the expected values, with the draft `confirming` processed too."""
        current: dict[str, str | None] = {"status": "PE", "team": "IT" if self.is_job else "HR", "user": None}
        current["priority"] = "M"
        for event in self.events:
            if event.processed or event is confirming:
                current |= event.sets
        return current


class People(RuleBasedStateMachine):
    """A list with two manual tasks and an automatic one, and its users."""

    desks: ClassVar[tuple[Desk, Desk]]
    clock: ClassVar[FrozenClock]
    lists: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        self.models: list[Model] = []

    @property
    def desk(self) -> Desk:
        """The desks of the two servers in turn."""
        self.turn += 1
        return self.desks[self.turn % 2]

    @initialize()
    def begin(self) -> None:
        """Create a list with two manual tasks and an automatic one."""
        People.lists += 1
        code = f"L-{People.lists}"
        self.models = [Model(task["id"], is_job=False) for task in self.desk.begin(code)]
        self.models.append(Model(self.desk.add("ASK", code)["id"], is_job=False))
        self.models.append(Model(self.desk.add("MAIL", code)["id"], is_job=True))

    @rule(pick=PICK, user=USERS)
    def claim(self, pick: int, user: str) -> None:
        model = self._model(pick)
        now = model.now()
        mine = (now["status"], now["user"]) == ("AS", user)
        refusal = None
        if now["team"] != TEAM_OF[user]:
            refusal = "not-a-member"
        elif model.is_job and not mine:
            refusal = "people-task-automatic"
        elif not mine and (now["status"] != "PE" or now["user"] not in (None, user)):
            refusal = "people-task-taken"
        if self._call(refusal, "claim", id=model.id, user=user) and not mine:
            model.events.append(ExpectedEvent({"status": "AS", "user": user}, user, processed=True))

    @rule(pick=PICK, user=USERS)
    def unclaim(self, pick: int, user: str) -> None:
        model = self._model(pick)
        now = model.now()
        refusal = None
        if now["status"] in CLOSED:
            refusal = "people-task-completed"
        elif now["user"] != user and now["team"] != TEAM_OF[user]:
            refusal = "not-a-member"
        if self._call(refusal, "unclaim", id=model.id, user=user):
            back: dict[str, str | None] = {} if model.is_job else {"status": "PE"}
            self._after_job(model, now, {"user": None, **back}, user)

    @rule(pick=PICK, user=USERS, team=TEAMS)
    def transfer(self, pick: int, user: str, team: str) -> None:
        model = self._model(pick)
        now = model.now()
        refusal = "people-task-completed" if now["status"] in CLOSED else None
        unchanged = (now["team"], now["user"]) == (team, None)
        if self._call(refusal, "transfer", id=model.id, user=user, transferToTeam=team) and not unchanged:
            left = now["status"] in ACTIVE and not model.is_job
            sets: dict[str, str | None] = {"team": team, "user": None, **({"status": "PE"} if left else {})}
            model.events.append(ExpectedEvent(sets, user, processed=True))

    @rule(pick=PICK, user=USERS)
    def complete(self, pick: int, user: str) -> None:
        model = self._model(pick)
        now = model.now()
        refusal = None
        again = (now["status"], now["user"]) == ("CO", user)
        if now["team"] != TEAM_OF[user]:
            refusal = "not-a-member"
        elif now["status"] in CLOSED and not again:
            refusal = "people-task-completed"
        if self._call(refusal, "set-task-completed", id=model.id, user=user) and not again:
            model.events.append(ExpectedEvent({"status": "CO", "user": now["user"] or user}, user, processed=True))
            model.lease = None

    @rule(pick=PICK, status=STATUSES)
    def change_status(self, pick: int, status: str) -> None:
        """Change the status as a developer."""
        model = self._model(pick)
        now = model.now()
        took = model.is_job and status in ("AS", "IN", "WA", "LO", "EX") and now["status"] != status
        held = model.lease is not None and status in ("IN", "WA", "LO", "EX")
        failed = status == "EX" and self._core(model) == ("done", "failed")
        refusal = "people-task-automatic" if took and not held and not failed else None
        if self._call(refusal, "change-status", id=model.id, user="dev", status=status) and now["status"] != status:
            model.events.append(ExpectedEvent({"status": status}, "dev", processed=True))
            if status in ("PE", "CO", "CA"):
                model.lease = None

    @rule(pick=PICK, priority=st.sampled_from(["H", "M", "L"]), confirm=st.booleans())
    def plan(self, pick: int, priority: str, confirm: bool) -> None:
        model = self._model(pick)
        params = {"id": model.id, "user": "ann", "priority": priority, "confirm": confirm}
        event = self._drafted(model, {"priority": priority}, "plan-task-if-required", params)
        assert (event is None) == (model.now()["priority"] == priority) or confirm

    @rule(pick=PICK, user=USERS, status=STATUSES)
    def draft(self, pick: int, user: str, status: str) -> None:
        """Record a status as a draft."""
        model = self._model(pick)
        if model.is_job and status in ("IN", "WA", "EX", "LO"):
            # Confirmed after a worker has started, it would belong to the execution of the worker.
            return
        now = model.now()
        needed = status != now["status"] and status in ACTIVE and now["user"] is None
        params = {"id": model.id, "user": user, "status": status}
        self._drafted(model, {"status": status}, "change-task-status-if-required", params, needed and "user-needed")

    @precondition(lambda self: any(not event.processed for model in self.models for event in model.events))
    @rule(pick=PICK)
    def confirm(self, pick: int) -> None:
        """Confirm a draft, whatever its place in the stream."""
        drafts = [(model, event) for model in self.models for event in model.events if not event.processed]
        model, draft = drafts[pick % len(drafts)]
        now, after = model.now(), model.now(confirming=draft)
        refusal = None
        changed = (now["status"], now["user"]) != (after["status"], after["user"])
        if changed and after["status"] in ACTIVE and after["user"] is None:
            refusal = "user-needed"
        elif changed and after["status"] == "CO" != now["status"] and after["team"] != TEAM_OF[draft.user]:
            refusal = "not-a-member"
        elif model.is_job and after["status"] not in allowed_statuses(*self._core(model)):
            refusal = "people-task-automatic" if after["status"] in ("AS", "IN", "WA", "LO", "EX") else None
        if self._call(refusal, f"confirm-{draft.stream}-event", id=model.id, user="ann", event=draft.id):
            draft.processed = True
            if changed and after["status"] in ("PE", "CO", "CA"):
                model.lease = None

    @rule()
    def poll(self) -> None:
        """Poll as a worker."""
        for task in self.desk.server.poll(MAIL, start=True, worker="mailer"):
            model = next(model for model in self.models if self._task(model)["coreTask"] == task["id"])
            assert model.now()["status"] == "PE"
            model.events.append(ExpectedEvent({"status": "IN"}, "mailer", processed=True))
            model.lease = {"id": task["id"], "execId": task["execId"]}

    @precondition(lambda self: any(model.lease for model in self.models))
    @rule(ending=st.sampled_from(["success", "fail", "release"]))
    def report(self, ending: str) -> None:
        """Report as the worker that holds a lease."""
        model = next(model for model in self.models if model.lease)
        self.desk.server.rpc(f"awf.task/{ending}", model.lease)
        status = {"success": "CO", "fail": "EX", "release": "PE"}[ending]
        if model.now()["status"] != status:
            model.events.append(ExpectedEvent({"status": status}, "mailer", processed=True))
        model.lease = None

    @rule(seconds=st.integers(1, 3600))
    def wait(self, seconds: int) -> None:
        """Let time pass: a manual task has no lease that expires."""
        if not any(model.lease for model in self.models):
            self.clock.advance(timedelta(seconds=seconds))
            self.desk.server.reap()

    @invariant()
    def every_task_equals_the_model(self) -> None:
        for model in self.models:
            task, now = self._task(model), model.now()
            core = self.desk.server.task(task["coreTask"])
            stands = {name: task[f"bi{member}"] for name, member in _MEMBERS.items()}
            assert stands == now, (stands, now, self.desk.events(model.id))
            assert (task["biCompletionDateTime"] is not None) == (now["status"] == "CO")
            assert task["biTaskStatus"] in allowed_statuses(core["status"], core.get("outcome"))

    def teardown(self) -> None:
        """Check everything, and cancel the list so that the next example finds no work of this one."""
        if not self.models:
            return
        try:
            self.checked()
        finally:
            self.desk.server.rpc("awf.workflow/cancel", {"id": f"L-{People.lists}"})
        self.checked()

    def checked(self) -> None:
        """Find no difference from the history."""
        found = [one for part in check(self.desks[0].server.conninfo, CHECKS) for one in part.differences]
        assert found == []

    def _after_job(self, model: Model, now: dict[str, str | None], sets: dict[str, str | None], user: str) -> None:
        if any(now[name] != value for name, value in sets.items()):
            model.events.append(ExpectedEvent(sets, user, processed=True))

    def _drafted(
        self, model: Model, sets: dict[str, str | None], method: str, params: dict[str, Any], refusal: Any = None
    ) -> Any:
        answer = self._call(refusal or None, method, **params)
        event = answer and answer["event"]
        if event and not any(expected.id == event["id"] for expected in model.events):
            stream = "plan" if "priority" in sets else "status"
            model.events.append(ExpectedEvent(sets, params["user"], event["processed"], event["id"], stream))
        return event

    def _call(self, refusal: str | None, method: str, **params: Any) -> Any:
        """Call a method, which must be refused for this reason, or not at all."""
        _, answer = self.desk.server.post({"method": f"awf.people/{method}", "params": params})
        assert answer.get("error", {}).get("type") == refusal, (method, params, answer)
        return answer.get("result")

    def _model(self, pick: int) -> Model:
        return self.models[pick % len(self.models)]

    def _task(self, model: Model) -> Any:
        return self.desk.get(model.id)

    def _core(self, model: Model) -> tuple[str, str | None]:
        return self.desk.core(model.id)


_MEMBERS = {"status": "TaskStatus", "team": "AssignedToTeam", "user": "AssignedToUser", "priority": "Priority"}


def test_random_commands_keep_each_task_equal_to_the_model(database: str) -> None:
    clock = FrozenClock()
    quick = Settings(lease_grace_seconds=0)
    with running_server(database, clock, quick) as one, running_server(database, clock, quick) as other:
        one.define(MAIL, allowedRetryCount=0, inProgressTimeout=3_600_000)
        People.desks = (Desk(one), Desk(other))
        People.clock = clock
        run_model(People, examples=20, steps=30)

"""A model of the documented queue, in memory: without batches and SQL, and with time as an argument.

`Model.answer` takes a call and the server's answer, checks the answer, and applies the call. The model is written
from the documented behaviour, not from the server.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partialmethod
from typing import Any

from tests.system.queue_columns import calls_in
from tests.system.queue_tasks import Execution, Params, Task, Terms, seen


class Refused(Exception):
    """The model refuses the call, with this type of error and HTTP status."""

    def __init__(self, type: str, status: int) -> None:
        super().__init__(type)
        self.type = type
        self.status = status


def _is_payload(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _check_payload(value: Any) -> None:
    if not _is_payload(value):
        raise Refused("invalid-params", 400)


class Model:
    """The queue; `now` moves with `advance`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.terms: dict[str, Terms] = {}
        self.tasks: dict[str, Task] = {}
        self.executions: dict[str, Execution] = {}
        # The requestIds of creates, each with the tasks that it stands for and their ids.
        self.creates: dict[str, tuple[str, list[str]]] = {}

    def answer(self, method: str, params: Params, status: int | None, answer: Params) -> None:
        """Check the server's answer and apply the call; `status` is None inside a batch."""
        verb = method.removeprefix("awf.task/").replace("-", "_")
        act: Callable[[Params, Params], object] = getattr(self, f"_{verb}")
        expected: Any
        try:
            expected = act(params, answer.get("result", {}))
            if not params.get("include-resource?", True):
                expected = {"id": expected["id"]}
        except Refused as refused:
            expected = refused
        if isinstance(expected, Refused):
            assert answer.get("error", {}).get("type") == expected.type, (method, params, answer, expected.type)
            assert status is None or status == expected.status
        else:
            assert "error" not in answer, (method, params, answer, expected)
            assert status in (None, 200)
            result = answer["result"]
            assert (seen(result["resource"]) if "resource" in result else result) == expected, (method, params)

    def advance(self, by: timedelta, retry_at: Callable[[Task], datetime]) -> None:
        """Advance the time and apply deadlines; `retry_at` returns the time of the retry after a lost attempt."""
        self._retry_at = retry_at
        self.now += by
        for task in self.tasks.values():
            if task.deadline is not None and task.deadline <= self.now:
                self._reap(task)

    def _reap(self, task: Task) -> None:
        if task.status == "waiting":
            task.move("awf.engine/ready", "ready", self.now)
        elif task.status == "requested":
            task.move("awf.engine/requeue", "ready", self.now)
        else:
            task.lost += 1
            self._attempt_failed(task, "awf.engine/timeout", "awf.task/failed-due-to-in-progress-timeout")

    def _attempt_failed(self, task: Task, action: str, reason: str, error: Any = None) -> None:
        if task.retry_count <= task.terms.retries:
            at = self.now + task.terms.delay
            if action == "awf.engine/timeout":
                # The delay has a random part, which doubles with each consecutive lost attempt.
                spread = min(task.terms.delay * 2 ** (task.lost - 1), max(task.terms.delay, timedelta(minutes=10)))
                assert at <= self._retry_at(task) <= at + spread
                at = self._retry_at(task)
            else:
                task.lost = 0
            task.execute_at = task.ready_at = at
            task.move(action, "waiting", self.now, task.execute_at)
        else:
            task.outcome, task.reason, task.error = "failed", reason, error
            task.move(action, "done", self.now)

    # Calls for many tasks, which are single calls one after the other

    def _create_many(self, params: Params, result: Params) -> Params:
        calls = calls_in(params)
        created = [call for call in calls if _is_payload(call.get("params"))]
        if "requestId" in params and created:
            given = [id for id in result.get("ids", ()) if id is not None]
            content, ids = self.creates.setdefault(params["requestId"], (repr(created), given))
            if repr(created) != content:
                raise Refused("request-id-reused", 409)
            for call, id in zip(created, ids, strict=True):
                call["id"] = id
        return self._many("create-and-execute", calls, result["ids"], result)

    def _finish_many(self, verb: str, params: Params, result: Params) -> Params:
        return self._many(verb, calls_in(params), params["ids"], result)

    _success_many = partialmethod(_finish_many, "success")
    _fail_many = partialmethod(_finish_many, "fail")
    _release_many = partialmethod(_finish_many, "release")

    def _many(self, verb: str, calls: list[Params], ids: list[str | None], result: Params) -> Params:
        refused = {item["index"]: item["error"] for item in result["refused"]}
        assert list(refused) == sorted(refused)
        for place, (call, id) in enumerate(zip(calls, ids, strict=True)):
            answer = {"error": refused.pop(place)} if place in refused else {"result": {"id": id}}
            self.answer(f"awf.task/{verb}", call, None, answer)
        assert not refused
        return result

    # What users call

    def _create_and_execute(self, params: Params, result: Params) -> Params:
        _check_payload(params.get("params"))
        at = None if params.get("executeAt") is None else datetime.fromisoformat(params["executeAt"])
        if params["definition"] not in self.terms:
            raise Refused("definition-not-found", 404)
        if (task := self.tasks.get(params.get("id", ""))) is not None:
            content = (params["definition"], params.get("label"), repr(params.get("params")), at)
            if content != (task.definition, task.label, repr(task.params), task.asked_for):
                raise Refused("already-exists", 409)
            return task.view()
        id = params.get("id") or result.get("resource", result).get("id", "")
        assert id not in self.tasks
        task = self.tasks[id] = Task(
            id=id,
            definition=params["definition"],
            terms=self.terms[params["definition"]],
            label=params.get("label"),
            params=params.get("params"),
            asked_for=at,
            created_at=self.now,
            execute_at=at,
            ready_at=max(at or self.now, self.now),
        )
        waits = at is not None and at > self.now
        task.move("awf.task/create-and-execute", "waiting" if waits else "ready", self.now, at if waits else None)
        return task.view()

    def _cancel(self, params: Params, _: Params) -> Params:
        task = self._known(params)
        if task.status == "done":
            raise Refused("task-has-been-done", 422)
        task.outcome = "canceled"
        task.move("awf.task/cancel", "done", self.now)
        return task.view()

    def _retry(self, params: Params, _: Params) -> Params:
        task = self._known(params)
        if task.status != "done":
            raise Refused("task-not-done", 422)
        if task.outcome == "succeeded":
            raise Refused("task-has-been-done", 422)
        task.outcome = task.reason = task.error = None
        task.told, task.retry_count, task.lost, task.ready_at = False, 0, 0, self.now
        task.move("awf.task/retry", "ready", self.now)
        return task.view()

    def _known(self, params: Params) -> Task:
        if params["id"] not in self.tasks:
            raise Refused("task-not-found", 404)
        return self.tasks[params["id"]]

    # What workers call

    def _poll(self, params: Params, result: Params, action: str = "awf.task/poll") -> Params:
        request = None
        if "requestId" in params:
            # Either method repeats the request; `timeout` and `fields` are not part of its content.
            what = {name: value for name, value in params.items() if name not in ("requestId", "timeout", "fields")}
            request = params["requestId"], repr(sorted(what.items()))
        given = self._held(request) or self._lease(params, result, action, request)
        fields = params.get("fields")
        assert {one["id"]: seen(one) if fields is None else one for one in result.get("resources", ())} == {
            task.id: task.view() if fields is None else task.polled(fields) for task in given
        }
        return result

    def _long_poll(self, params: Params, result: Params) -> Params:
        return self._poll(params, result, "awf.task/long-poll")

    def _held(self, request: tuple[str, str] | None) -> list[Task]:
        """Return the tasks that an earlier poll with the same requestId still holds."""
        if request is None:
            return []
        held = [
            execution
            for exec_id, execution in self.executions.items()
            if execution.request is not None
            and execution.request[0] == request[0]
            and execution.task.exec_id == exec_id
            and execution.task.status in ("requested", "in-progress")
        ]
        if any(execution.request != request for execution in held):
            raise Refused("request-id-reused", 409)
        return [execution.task for execution in held]

    def _lease(self, params: Params, result: Params, action: str, request: tuple[str, str] | None) -> list[Task]:
        wanted = params["taskDefinitions"]
        resources = result.get("resources", [])
        given = [self.tasks[resource["id"]] for resource in resources]
        # The longest ready first; tasks that became ready at the same moment come in any order.
        oldest = self._ready(wanted)[: params["maxBatchSize"]]
        # A task whose attempt was lost is alone in its poll.
        oldest = oldest[:1] if oldest and oldest[0].lost else [task for task in oldest if not task.lost]
        assert [task.ready_at for task in given] == [task.ready_at for task in oldest]
        assert len(given) == 1 or not any(task.lost for task in given)
        for task, resource in zip(given, resources, strict=True):
            assert task.status == "ready"
            assert task.definition in wanted
            assert self._held_by_key()[self._key(task)] < self._limit(task)
            assert resource["execId"] not in self.executions, "an execId names one execution"
            self._begin(task, resource["execId"], params, action)
            self.executions[resource["execId"]].request = request
        return given

    def _ready(self, wanted: list[str]) -> list[Task]:
        """Return the ready tasks that the limits allow, the longest ready first."""
        taken = self._held_by_key()
        free: list[Task] = []
        ready = [task for task in self.tasks.values() if task.status == "ready" and task.definition in wanted]
        for task in sorted(ready, key=lambda task: task.ready_at):
            if taken[self._key(task)] < self._limit(task):
                taken[self._key(task)] += 1
                free.append(task)
        return free

    def _held_by_key(self) -> Counter[tuple[str, str]]:
        return Counter(self._key(task) for task in self.tasks.values() if task.status in ("requested", "in-progress"))

    def _limit(self, task: Task) -> float:
        limit = self.terms[task.definition].limit
        return math.inf if limit is None else limit

    def _key(self, task: Task) -> tuple[str, str]:
        """Return the limit key of a task; the newest version of its definition has the path."""
        value = {"params": task.params}
        for step in self.terms[task.definition].path:
            if not isinstance(value, dict) or step not in value:
                return task.definition, "nothing is there"
            value = value[step]
        return task.definition, repr(value) if self.terms[task.definition].path else ""

    def _begin(self, task: Task, exec_id: str, params: Params, action: str) -> None:
        task.exec_id, task.worker = exec_id, params.get("worker")
        execution = self.executions[exec_id] = Execution(task)
        if params.get("start", False):
            task.retry_count += 1
            task.move(action, "in-progress", self.now, self.now + task.terms.in_progress)
            execution.began = task.view()
        else:
            task.move(action, "requested", self.now, self.now + task.terms.requested)

    def _start(self, params: Params, _: Params) -> Params:
        execution = self._execution(params)
        if execution.began is not None:
            return execution.began
        task = self._current(params)
        task.retry_count += 1
        task.move("awf.task/start", "in-progress", self.now, self.now + task.terms.in_progress)
        execution.began = task.view()
        return execution.began

    def _notify(self, params: Params, _: Params) -> Params:
        execution = self._execution(params)
        task = execution.task
        if task.exec_id == params["execId"] and task.outcome == "canceled":
            if not task.told:
                task.told = True
                task.move("awf.task/notify", "done", self.now)
            return {"inProgressTimeoutAt": None, "cancelRequested": True}
        task = self._current(params, "in-progress")
        task.move("awf.task/notify", "in-progress", self.now, self.now + task.terms.in_progress)
        assert task.deadline is not None
        return {"inProgressTimeoutAt": task.deadline.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}

    def _success(self, params: Params, _: Params) -> Params:
        _check_payload(params.get("result"))

        def end(task: Task) -> None:
            task.outcome, task.result = "succeeded", params.get("result")
            task.move("awf.task/success", "done", self.now)

        return self._end("success", params, repr(params.get("result")), end, "in-progress")

    def _fail(self, params: Params, _: Params) -> Params:
        error = params.get("error", params.get("result"))  # the vendor's own SDK says `result`
        _check_payload(error)

        def end(task: Task) -> None:
            self._attempt_failed(task, "awf.task/fail", "awf.task/failed-by-executor", error)

        return self._end("fail", params, repr(error), end, "in-progress")

    def _release(self, params: Params, _: Params) -> Params:
        def end(task: Task) -> None:
            task.retry_count -= task.status == "in-progress"
            task.move("awf.task/release", "ready", self.now)

        return self._end("release", params, "None", end, "requested", "in-progress")

    def _end(self, verb: str, params: Params, content: str, end: Callable[[Task], None], *statuses: str) -> Params:
        execution = self._execution(params)
        if execution.ending is not None:
            if execution.ending[:2] == (verb, content):
                return execution.ending[2]
            if execution.ending[2]["status"] == "done":
                raise Refused("task-has-been-done", 422 if verb == "release" else 409)
            raise Refused("exec-id-mismatch", 409)
        task = self._current(params, *statuses, finished=422 if verb == "release" else 409)
        end(task)
        execution.ending = (verb, content, task.view())
        return execution.ending[2]

    def _execution(self, params: Params) -> Execution:
        task = self._known(params)
        execution = self.executions.get(params["execId"])
        if execution is None or execution.task is not task:
            raise Refused("exec-id-mismatch", 409)
        return execution

    def _current(self, params: Params, *statuses: str, finished: int = 422) -> Task:
        """Return the task if this execId holds it and it is in one of the states; refuse otherwise."""
        task = self._known(params)
        if task.exec_id != params["execId"]:
            raise Refused("exec-id-mismatch", 409)
        if task.status == "done":
            raise Refused("task-has-been-done", finished)
        wanted = statuses or ("requested",)
        if task.status not in wanted:
            raise Refused(f"task-not-{wanted[-1]}", 422)
        return task

"""`fencepost.enqueue`: the rows of a create, in the transaction of the caller and with its rights only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Json, Jsonb

from fencepost.domain.task_overrides import TaskOverrides
from tests.fixtures.roles import role
from tests.fixtures.servers import CallRefused, Server, running_server

PARAMS = {"width": 320, "tags": ["a", None, 1.5]}
CONTENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "params": {"params": PARAMS},
    "label": {"params": PARAMS, "label": "one"},
    "later": {"executeAt": "2090-01-02T03:04:05Z"},
    "earlier": {"executeAt": "2020-01-02T03:04:05Z"},
    "settings": {"settings": {"retryDelay": 5, "allowedRetryCount": 0, "attemptTimeout": 9}},
    "expiry": {"settings": {"expiresAfter": 60_000}},
    "later and expiry": {"executeAt": "2090-01-02T03:04:05Z", "settings": {"expiresAfter": 60_000}},
    "id": {"id": "order-17", "params": PARAMS},
}
# Members that are a time: they are compared as seconds since the creation where they depend on it.
TIMES = ("execute_at", "asked_execute_at", "ready_at", "updated_at", "deadline_at", "expires_at")
OWN = {"seq", "id", "created_at", "created_by", "requester"}


@pytest.fixture
def connection(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the application."""
    server.define()
    with psycopg.connect(server.conninfo) as connection:
        yield connection


def enqueue(connection: psycopg.Connection[Any], definition: str = "demo/resize", **members: Any) -> Any:
    """Call fencepost.enqueue with the members of a create."""
    names = {"executeAt": "execute_at"}
    given = {names.get(name, name): _adapted(name, value) for name, value in members.items()}
    arguments = "".join(f", {name} => %({name})s" for name in given)
    text = f"select fencepost.enqueue(%(definition)s{arguments})"
    return connection.execute(text.encode(), {"definition": definition, **given}).fetchall()[0][0]


def _adapted(name: str, value: Any) -> Any:
    if name == "settings" and value is not None:
        return Jsonb(value)
    return Json(value) if isinstance(value, dict | list) else value


def live_row(server: Server, id: str) -> dict[str, Any]:
    """Return the row of a live task, without what differs between two tasks of one content."""
    ((row,),) = server.query(f"select to_jsonb(l) from fencepost.live_tasks as l where l.id = '{id}'")
    since = datetime.fromisoformat(row["created_at"])
    times = {name: row[name] and datetime.fromisoformat(row[name]) for name in TIMES}
    # A time in the far future or past was given; the others follow from the creation.
    near = {
        name: time and ((time - since).total_seconds() if abs((time - since).days) < 2 else time.isoformat())
        for name, time in times.items()
    }
    return {name: value for name, value in row.items() if name not in OWN} | near


def refusal(connection: psycopg.Connection[Any], **members: Any) -> str:
    """Return the message of a refused enqueue and roll its transaction back to before."""
    with pytest.raises(psycopg.Error) as caught, connection.transaction():
        enqueue(connection, **members)
    return str(caught.value.diag.message_primary)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_an_enqueued_task_has_the_row_of_a_created_one(
    connection: psycopg.Connection[Any], server: Server, content: dict[str, Any]
) -> None:
    created = server.create(**content | ({"id": "another"} if "id" in content else {}))
    id = enqueue(connection, **content)
    connection.commit()

    assert id == content.get("id", id)
    assert live_row(server, id) == live_row(server, created["id"])
    assert {**server.task(id), "id": 0, "meta": 0, "requester": 0} == {
        **server.task(created["id"]), "id": 0, "meta": 0, "requester": 0
    }  # fmt: skip
    (entry,) = server.log(id)
    (other,) = server.log(created["id"])
    assert (entry["action"], entry["status-after"]) == (other["action"], other["status-after"])


def test_the_task_names_the_role_that_enqueued_it(connection: psycopg.Connection[Any], server: Server) -> None:
    first = enqueue(connection)
    with role(server.conninfo, "shop"):
        connection.execute("select fencepost.grant_enqueue('shop')")
        connection.execute("set local role shop")
        second = enqueue(connection)
        connection.commit()
    assert server.task(first)["requester"] == {"resourceType": "DatabaseRole", "id": "postgres"}
    assert server.task(second)["requester"] == {"resourceType": "DatabaseRole", "id": "shop"}
    assert server.log(second)[0]["caller"] == "role/shop"


@pytest.mark.shows("guarantees/enqueued-with-the-transaction")
def test_a_transaction_that_rolls_back_leaves_no_task_and_no_taken_id(
    connection: psycopg.Connection[Any], server: Server
) -> None:
    server.define("demo/limited", concurrencyLimit=1, concurrencyPath=["params", "k"])
    enqueue(connection, id="gone")
    enqueue(connection)
    enqueue(connection, definition="demo/limited", params={"k": 1})
    connection.rollback()
    for table in ("live_tasks", "task_names", "openings"):
        assert server.query(f"select count(*) from fencepost.{table}") == [(0,)]
    assert server.poll("demo/resize", "demo/limited") == []


def test_a_savepoint_that_rolls_back_takes_only_its_tasks_along(
    connection: psycopg.Connection[Any], server: Server
) -> None:
    kept = enqueue(connection)
    with connection.transaction(force_rollback=True):
        enqueue(connection)
    connection.commit()
    assert [task["id"] for task in server.poll(maxBatchSize=10)] == [kept]


def test_params_are_stored_as_the_text_that_was_given(connection: psycopg.Connection[Any], server: Server) -> None:
    text = '{"b": 1.0,  "a": 1e2}'
    forms = [
        connection.execute("select fencepost.enqueue('demo/resize', %s::json)", [text]),
        connection.execute("select fencepost.enqueue('demo/resize', %s)", [text]),
        connection.execute("select fencepost.enqueue('demo/resize', '{\"b\": 1.0,  \"a\": 1e2}')"),
        connection.execute("select fencepost.enqueue('demo/resize', %s::jsonb)", [text]),
    ]
    ids = [form.fetchall()[0][0] for form in forms]
    connection.commit()
    found = dict(server.query("select id, params::text from fencepost.live_tasks"))
    assert [found[id] for id in ids] == [text, text, text, '{"a": 100, "b": 1.0}']


def test_the_same_id_and_content_answer_the_same_task(connection: psycopg.Connection[Any], server: Server) -> None:
    content: dict[str, Any] = {"id": "order-17", "label": "one", "params": PARAMS, "settings": {"retryDelay": 5}}
    content["executeAt"] = "2090-01-02T03:04:05Z"
    created = server.create(**content)
    for _ in range(2):
        assert enqueue(connection, **content) == "order-17"
        connection.commit()
    assert server.create(**content) == created
    own = server.create()
    assert enqueue(connection, id=own["id"]) == own["id"]
    assert server.query("select count(*) from fencepost.live_tasks") == [(2,)]


@pytest.mark.parametrize(
    "other",
    [{"params": {}}, {"label": None}, {"executeAt": None}, {"settings": None}, {"definition": "demo/other"}],
    ids=lambda other: next(iter(other)),
)
def test_an_id_with_other_content_is_a_unique_violation(
    connection: psycopg.Connection[Any], server: Server, other: dict[str, Any]
) -> None:
    server.define("demo/other")
    content: dict[str, Any] = {"id": "order-17", "label": "one", "params": PARAMS, "settings": {"retryDelay": 5}}
    content["executeAt"] = "2090-01-02T03:04:05Z"
    server.create(**content)
    with pytest.raises(errors.UniqueViolation, match='a task "order-17" with other content exists'):
        enqueue(connection, **content | other)


def test_a_done_task_still_has_its_id(connection: psycopg.Connection[Any], server: Server) -> None:
    server.rpc("awf.task/success", server.started(id="order-17", params=PARAMS))
    assert enqueue(connection, id="order-17", params=PARAMS) == "order-17"
    assert refusal(connection, id="order-17") == 'a task "order-17" with other content exists'

    server.define("demo/light", keep="none")
    server.rpc("awf.task/success", server.started("demo/light", id="order-18"))
    assert refusal(connection, definition="demo/light", id="order-18") == 'a task "order-18" has ended and is not kept'


def test_many_tasks_are_enqueued_by_one_call(connection: psycopg.Connection[Any], server: Server) -> None:
    existing = server.create(id="b", params={"n": 2}, label="two")["id"]
    text = "select fencepost.enqueue_many('demo/resize', %s, ids => %s, labels => %s)"
    all_params = [Json({"n": n}) for n in range(4)]
    ids = connection.execute(text, [all_params, ["z", None, "b", "a"], [None, "one", "two", "three"]]).fetchall()[0][0]
    assert [ids[0], *ids[2:]] == ["z", existing, "a"]
    connection.commit()
    assert [(server.task(id)["params"]["n"], server.task(id).get("label")) for id in ids] == [
        (0, None), (1, "one"), (2, "two"), (3, "three")
    ]  # fmt: skip

    many = connection.execute(
        "select fencepost.enqueue_many('demo/resize', array_agg(jsonb_build_object('n', n) order by n)) "
        "from generate_series(1, 1000) as n"
    ).fetchall()[0][0]
    connection.commit()
    assert len(set(many)) == 1000
    assert server.task(many[999])["params"] == {"n": 1000}
    assert connection.execute("select fencepost.enqueue_many('demo/resize', '{}'::json[])").fetchall() == [([],)]

    for arguments in ("ids => '{a}'", "labels => '{a}'"):
        with pytest.raises(errors.InvalidParameterValue, match="as many as the params: 2"), connection.transaction():
            connection.execute(f"select fencepost.enqueue_many('demo/resize', '{{null,null}}'::json[], {arguments})")


def test_a_bad_task_among_many_is_named_and_none_is_made(connection: psycopg.Connection[Any], server: Server) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=r"^params: expected an object, got array \(task 2\)"):
        connection.execute("select fencepost.enqueue_many('demo/resize', %s)", [[Json({}), Json([])]])
    connection.rollback()
    assert server.query("select count(*) from fencepost.live_tasks") == [(0,)]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"definition": "demo/unknown"}, 'there is no definition "demo/unknown"'),
        ({"definition": "demo/flow"}, '"demo/flow" is the definition of a workflow'),
        ({"definition": "awf.task/wait"}, '"awf.task/wait" is built in'),
        ({"definition": "aidbox.task/run-rpc"}, '"aidbox.task/run-rpc" is built in'),
        ({"id": "a b"}, 'an id has 1 to 64 letters, digits, "." or "-"'),
        ({"id": "a\n"}, 'an id has 1 to 64 letters, digits, "." or "-"'),
        ({"id": "a" * 65}, 'an id has 1 to 64 letters, digits, "." or "-"'),
        ({"label": "a" * 1001}, "a label has at most 1000 characters"),
        ({"params": []}, "params: expected an object, got array"),
        ({"params": {"a": "x" * (1 << 20)}}, "params: larger than 1 MiB"),
        ({"executeAt": "infinity"}, "execute_at must be in the years 1 to 9999"),
        ({"settings": []}, "settings: expected an object, got array"),
        ({"settings": {"retry": 1}}, 'settings: there is no setting "retry"'),
    ],
)
def test_what_a_create_refuses_is_refused(
    connection: psycopg.Connection[Any], server: Server, members: dict[str, Any], message: str
) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/flow"})
    assert refusal(connection, **members) == message
    # The RPC call takes these four; `infinity` is no time there.
    if members.get("definition") not in ("awf.task/wait", "aidbox.task/run-rpc"):
        with pytest.raises(CallRefused):
            server.create(**members)


def test_a_deleted_definition_is_refused(connection: psycopg.Connection[Any], server: Server) -> None:
    server.rpc("awf.definition/delete", {"name": "demo/resize"})
    with pytest.raises(errors.UndefinedObject, match='there is no definition "demo/resize"'):
        enqueue(connection)


def test_an_id_in_the_form_of_the_server_is_refused_unless_its_task_exists(connection: psycopg.Connection[Any]) -> None:
    id = "01234567-89ab-8cde-8000-00000000beef"
    assert refusal(connection, id=id) == f'"{id}" is of the form that only the server gives out'


@pytest.mark.parametrize(
    "text", ['{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": 1e400}', "{", '{"a": ' * 63 + "1" + "}" * 63]
)
def test_params_that_a_server_could_not_give_out_are_refused(connection: psycopg.Connection[Any], text: str) -> None:
    with pytest.raises(psycopg.DataError):
        connection.execute("select fencepost.enqueue('demo/resize', %s)", [text])


def test_params_nest_as_deeply_as_in_a_call(connection: psycopg.Connection[Any], server: Server) -> None:
    def nested(levels: int) -> Any:
        return {"a": nested(levels - 1)} if levels else 1

    assert enqueue(connection, params=nested(62))
    assert server.create(params=nested(62))
    assert refusal(connection, params=nested(63)) == "params: nested more than 62 levels deep"
    with pytest.raises(CallRefused):
        server.create(params=nested(63))


def bounds() -> list[tuple[str, int, int]]:
    """Return each setting of a task with its least and its largest value."""
    members = msgspec.json.schema(TaskOverrides)["$defs"]["TaskOverrides"]["properties"]
    integers = {
        name: next(one for one in member["anyOf"] if one["type"] == "integer") for name, member in members.items()
    }
    return [(name, integer["minimum"], integer["maximum"]) for name, integer in integers.items()]


@pytest.mark.parametrize(("name", "least", "most"), bounds())
def test_each_setting_of_a_task_has_the_bounds_of_a_create(
    connection: psycopg.Connection[Any], name: str, least: int, most: int
) -> None:
    for value in (least, most, None):
        assert enqueue(connection, settings={name: value})
    for bad in (least - 1, most + 1, 1.5, "1", True, 10**30):
        assert refusal(connection, settings={name: bad}).startswith(f"settings: {name} must be a whole number")
    with pytest.raises(errors.InvalidParameterValue), connection.transaction():
        connection.execute("select fencepost.enqueue('demo/resize', settings => %s)", [f'{{"{name}": 5.0}}'])


def test_a_definition_with_a_schema_needs_unchecked(connection: psycopg.Connection[Any], server: Server) -> None:
    server.define("demo/checked", params={"type": "object", "required": ["width"]})
    with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught, connection.transaction():
        enqueue(connection, definition="demo/checked", params=PARAMS)
    assert caught.value.diag.message_hint == "Check the params in the application and enqueue with unchecked => true."
    id = enqueue(connection, definition="demo/checked", params=PARAMS, unchecked=True)
    connection.commit()
    assert [task["id"] for task in server.poll("demo/checked")] == [id]


def test_a_limit_applies_to_enqueued_tasks(connection: psycopg.Connection[Any], server: Server) -> None:
    server.define("demo/limited", concurrencyLimit=1, concurrencyPath=["params", "k"])
    for k in (1, 1, 2):
        enqueue(connection, definition="demo/limited", params={"k": k})
    connection.commit()
    tasks = server.poll("demo/limited", maxBatchSize=10)
    assert sorted(task["params"]["k"] for task in tasks) == [1, 2]


def test_an_expired_task_fails_although_its_transaction_committed_later(
    connection: psycopg.Connection[Any], server: Server
) -> None:
    id = enqueue(connection, settings={"expiresAfter": 1})
    connection.commit()
    server.reap()
    assert server.task(id)["outcome"] == "failed"


@pytest.mark.shows("guarantees/enqueue-rights")
def test_a_role_without_a_grant_cannot_enqueue(connection: psycopg.Connection[Any], server: Server) -> None:
    calls = ["enqueue('demo/resize')", "enqueue_many('demo/resize', array[null::json])", "grant_enqueue('stranger')"]
    grant = "grant usage on schema fencepost to {role}"
    with role(server.conninfo, "stranger", grant) as conninfo, psycopg.connect(conninfo, autocommit=True) as stranger:
        for call in calls:
            with pytest.raises(errors.InsufficientPrivilege):
                stranger.execute(f"select fencepost.{call}".encode())


@pytest.mark.shows("guarantees/enqueue-rights")
def test_a_granted_role_can_enqueue_and_nothing_else(connection: psycopg.Connection[Any], server: Server) -> None:
    grant = "select fencepost.grant_enqueue('{role}')"
    with role(server.conninfo, "shop", grant) as conninfo, psycopg.connect(conninfo, autocommit=True) as shop:
        ids = {enqueue(shop, params=PARAMS), enqueue(shop, id="x"), enqueue(shop, params=PARAMS, notify=True)}
        ids |= {*shop.execute("select unnest(fencepost.enqueue_many('demo/resize', '{null}'::json[]))").fetchall()[0]}
        for refused in (
            "select from fencepost.live_tasks", "select from fencepost.definitions",
            "delete from fencepost.task_names", "select nextval('fencepost.task_seq')",
            "create table fencepost.mine ()",
        ):  # fmt: skip
            with pytest.raises(errors.InsufficientPrivilege):
                shop.execute(refused.encode())
        assert {task["id"] for task in server.poll(maxBatchSize=10)} == ids

        server.query("select fencepost.revoke_enqueue('shop')")
        with pytest.raises(errors.InsufficientPrivilege):
            enqueue(shop)


@pytest.mark.shows("guarantees/enqueue-rights")
def test_no_function_or_operator_of_the_caller_runs_with_the_rights_of_the_owner(
    connection: psycopg.Connection[Any], server: Server
) -> None:
    grants = ("select fencepost.grant_enqueue('{role}')", "grant create on schema public to {role}")
    with role(server.conninfo, "shop", *grants) as conninfo, psycopg.connect(conninfo, autocommit=True) as shop:
        for name in ("left(text, integer)", "json_typeof(json)", "starts_with(text, text)", "length(text)"):
            result = {"json_typeof": "text", "length": "integer", "left": "text"}.get(name.partition("(")[0], "boolean")
            shop.execute(
                f"create function public.{name} returns {result} language plpgsql as "
                "$$ begin raise exception 'ran as %', current_user; end $$".encode()
            )
        shop.execute(
            "create function public.same(text, text) returns boolean language plpgsql as "
            "$$ begin raise exception 'ran as %', current_user; end $$"
        )
        shop.execute("create operator public.= (leftarg = text, rightarg = text, function = public.same)")
        shop.execute("create temporary table definitions (name text)")
        shop.execute("set search_path to public, pg_temp, pg_catalog")
        for _ in range(2):
            assert enqueue(shop, id="x", label="a", params=PARAMS) == "x"


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_each_isolation_level_can_enqueue(connection: psycopg.Connection[Any], server: Server, level: str) -> None:
    connection.execute(f"set transaction isolation level {level}".encode())
    ids = [enqueue(connection, params=PARAMS), enqueue(connection, id="x"), enqueue(connection, id="x")]
    connection.commit()
    assert sorted(task["id"] for task in server.poll(maxBatchSize=10)) == sorted(set(ids))


def test_a_notification_is_sent_at_the_commit_only_when_it_is_asked_for(
    connection: psycopg.Connection[Any], server: Server
) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as listener:
        listener.execute("listen fencepost")
        enqueue(connection)
        enqueue(connection, notify=True)
        enqueue(connection, notify=True)
        enqueue(connection, notify=True, executeAt="2090-01-01")
        connection.commit()
        connection.execute("select pg_notify('fencepost', 'end')")
        connection.commit()
        heard = [one.payload for one in itertools.takewhile(lambda one: one.payload != "end", listener.notifies())]
    assert heard == ['{"from" : "sql", "ready" : {"demo/resize" : 1000}, "definitions" : []}']


def test_a_database_that_an_older_server_has_used_enqueues(database: str) -> None:
    with running_server(database) as server:
        server.define()
    with psycopg.connect(database) as connection:
        id = enqueue(connection)
    with running_server(database) as server:
        assert [task["id"] for task in server.poll()] == [id]

"""A search matches the decoded text of a payload, not its JSON escapes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.servers import Server

PARAMS = {
    "plain": '{"to": "Müller", "file": "in/a.csv", "said": "no"}',
    "escaped": r'{"to": "M\u00fcller", "file": "in\/a.csv", "said": "\u006eo"}',
    "quoted": r'{"said": "he said \"yes\" \\ no\ttab \\u00fc", "smile": "\ud83d\ude00"}',
}


@pytest.fixture
def noun(request: pytest.FixtureRequest, server: Server) -> str:
    """The kind of resource to search, task or workflow, with one resource for each of the params above."""
    noun: str = request.param
    server.rpc("awf.definition/put", {"kind": noun, "name": "demo/mail"})
    for id, params in PARAMS.items():
        call = (
            '{"method": "awf.%s/create-and-execute", "params": {"definition": "demo/mail", "id": "%s", "params": %s}}'
        )
        assert "result" in server.post((call % (noun, id, params)).encode())[1]
    return noun


def found(server: Server, noun: str, part: str, **wanted: Any) -> set[str]:
    listed = server.rpc(f"awf.{noun}/list", {"filter": {"ilike": part, "includeDefinitions": ["demo/mail"], **wanted}})
    return {one["id"] for one in listed["resources"]}


@pytest.mark.parametrize("noun", ["task", "workflow"], indirect=True)
@pytest.mark.parametrize(
    ("part", "ids"),
    [
        ("müller", {"plain", "escaped"}),
        ("MÜLLER", {"plain", "escaped"}),
        ("in/a.csv", {"plain", "escaped"}),
        ('"no"', {"plain", "escaped"}),
        ("u00fc", {"quoted"}),
        ("\\u00fc", {"quoted"}),
        ("u006e", set()),
        ("in\\/a", set()),
        ('said "yes"', {"quoted"}),
        ("\\ no", {"quoted"}),
        ("no\ttab", {"quoted"}),
        ("\\t", set()),
        ("😀", {"quoted"}),
        ("%", set()),
        ("_", set()),
        ("a_csv", set()),
        ("in%csv", set()),
        ("esc", {"escaped"}),
    ],
)
def test_a_search_matches_decoded_text_and_not_its_json_escapes(
    noun: str, server: Server, part: str, ids: set[str]
) -> None:
    assert found(server, noun, part) == ids


@pytest.mark.parametrize("noun", ["task"], indirect=True)
def test_params_keep_their_text(noun: str, server: Server) -> None:
    _, _, answer = server.send("GET", "/AidboxTask/escaped")
    assert PARAMS["escaped"].encode() in answer


def test_results_errors_and_reasons_are_searched(server: Server) -> None:
    server.define("demo/mail", allowedRetryCount=0)
    done = server.started("demo/mail", id="done")
    server.post(
        b'{"method":"awf.task/success","params":{"id":"done","execId":"%b","result":{"seen":"Z\\u00fcrich"}}}'
        % done["execId"].encode()
    )
    failed = server.started("demo/mail", id="failed")
    server.rpc("awf.task/fail", {**failed, "error": {"reason": "no such file: x%y"}})

    assert found(server, "task", "zürich") == {"done"}
    assert found(server, "task", "x%y") == {"failed"}
    assert found(server, "task", "failed", status="done") == {"failed"}

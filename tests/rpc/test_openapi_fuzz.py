"""Schemathesis over the OpenAPI document: the server accepts, refuses and answers as documented.

In the document, all methods share the path `/rpc`, with one body schema for each. The fuzzer gets a view of it with
one path per method, and its bodies are sent to `/rpc` as params.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from psycopg.conninfo import make_conninfo
from schemathesis import Case, GenerationMode
from schemathesis.core import NOT_SET

from fencepost.openapi.document import document, per_method
from fencepost.settings import Limits, Settings
from fencepost.store.embedded import EmbeddedPostgres
from tests.fixtures.servers import Server, running_server
from tests.fixtures.surface import SURFACE
from tests.rpc.fuzzing import check_answer

DOCUMENT = document(SURFACE)
CALLS = schemathesis.openapi.from_dict(per_method(DOCUMENT, SURFACE))
READS = schemathesis.openapi.from_dict(DOCUMENT)
FUZZ = settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
MODES = pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))


@pytest.fixture(scope="module")
def server(postgres: EmbeddedPostgres, template: str) -> Iterator[Server]:
    """A server with short long polls and a few tasks, shared by all tests of the module."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(f"create database fuzzed template {template}".encode())
    conninfo = make_conninfo(postgres.conninfo, dbname="fuzzed")
    with running_server(conninfo, settings=Settings(limits=Limits(wait_seconds=0.02))) as running:
        running.define()
        running.started(label="0")
        running.create(id="a")
        yield running


def has_a_body(case: Case[Any]) -> bool:
    """Return whether the case has params; without them it would not test the schema of the params."""
    return case.body is not NOT_SET


@MODES
@pytest.mark.parametrize("method", list(SURFACE.methods.methods))
def test_calls_generated_from_the_openapi_document_are_answered_as_documented(
    server: Server, method: str, mode: Any
) -> None:
    operation = CALLS[f"/rpc/{method}"]["POST"]

    @FUZZ
    @given(operation.as_strategy(generation_mode=mode).filter(has_a_body))
    def check(case: Case[Any]) -> None:
        params = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        text = b'{"method": "%s", "params": %s}' % (method.encode(), params)
        response = requests.post(f"{server.url}/rpc", text, headers={"content-type": "application/json"})
        check_answer(response.status_code, dict(response.headers), response.content)
        operation.validate_response(response)
        assert mode is GenerationMode.POSITIVE or response.status_code >= 400, "the document refuses these params"

    check()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        *(("/AidboxTask", mode) for mode in GenerationMode),
        *(("/AidboxTaskLog", mode) for mode in GenerationMode),
        ("/AidboxTask/{id}", GenerationMode.POSITIVE),  # any text is an id there: nothing is against the document
    ],
    ids=str,
)
def test_reads_generated_from_the_openapi_document_are_answered_as_documented(
    server: Server, path: str, mode: Any
) -> None:
    operation = READS[path]["GET"]

    @FUZZ
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        response = case.call(base_url=server.url)
        assert response.status_code < 500
        operation.validate_response(response)

    check()


@MODES
def test_events_generated_from_the_openapi_document_are_answered_as_documented(server: Server, mode: Any) -> None:
    operation = READS["/events"]["POST"]

    @FUZZ
    @given(case=operation.as_strategy(generation_mode=mode).filter(has_a_body))
    def check(case: Case[Any]) -> None:
        response = case.call(base_url=server.url)
        assert response.status_code < 500, response.content
        operation.validate_response(response)

    check()

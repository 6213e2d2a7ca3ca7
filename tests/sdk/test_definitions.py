from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from fencepost_sdk.definitions import task_document


@dataclass
class Resize:
    width: int


def test_a_definition_has_durations_in_milliseconds_and_names_of_the_protocol() -> None:
    assert task_document(
        "demo/resize",
        {
            "requested_to_start_timeout": timedelta(seconds=5),
            "in_progress_timeout": timedelta(minutes=2),
            "allowed_retry_count": 0,
            "retry_delay": timedelta(milliseconds=250),
            "concurrency_limit": 2,
            "concurrency_path": ("params", "customers", 0),
        },
    ) == {
        "kind": "task",
        "name": "demo/resize",
        "requestedToStartTimeout": 5000,
        "inProgressTimeout": 120_000,
        "allowedRetryCount": 0,
        "retryDelay": 250,
        "concurrencyLimit": 2,
        "concurrencyPath": ["params", "customers", 0],
    }


def test_a_schema_may_be_given_as_a_type() -> None:
    document = task_document("demo/resize", {"params": Resize, "result": {"type": "object"}})
    assert document["params"]["$defs"]["Resize"]["properties"] == {"width": {"type": "integer"}}
    assert document["result"] == {"type": "object"}


def test_a_duration_that_is_a_number_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="demo/resize: retry_delay is a timedelta"):
        task_document("demo/resize", {"retry_delay": 5})


def test_a_concurrency_path_that_is_a_string_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="demo/resize: concurrency_path is a list"):
        task_document("demo/resize", {"concurrency_limit": 1, "concurrency_path": "params.customer"})


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="there is no setting 'retries'"):
        task_document("demo/resize", {"retries": 5})

"""The answer that the reference shows for each method is the answer of a server.

`make answers` records them again, in a file a noun, and writes them into docs/reference/methods/.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from fencepost.rpc.registry import Method
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import surface_of
from tests.answers.examples import answer_of
from tests.fixtures.servers import Server

METHODS = surface_of(ALL).methods.methods
REFUSED = {"awf.people/remove-task"}


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_a_server_gives_the_answer_that_is_shown(method: Method, frozen_server: Server) -> None:
    answer = answer_of(frozen_server, method)
    assert ("error" in answer) == (method.name in REFUSED)
    file = Path(__file__).with_name(f"{method.name.removeprefix('awf.').partition('/')[0]}.json")
    recorded = orjson.loads(file.read_bytes()) if file.exists() else {}
    if os.environ.get("RECORD_ANSWERS"):
        recorded[method.name] = answer
        file.write_bytes(orjson.dumps(recorded, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert recorded.get(method.name) == answer, "make answers && make generate"

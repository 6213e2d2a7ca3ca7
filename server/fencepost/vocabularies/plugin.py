"""The interface between the core and a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from fencepost import errors
from fencepost.clock import Clock
from fencepost.domain.decider import Decide
from fencepost.domain.definition import Decided
from fencepost.domain.document import Document, Documents
from fencepost.engine.engine import Engine
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import Kind
from fencepost.http.routes import Routes
from fencepost.loops.loop import Loop
from fencepost.openapi.document import Surface
from fencepost.routes import CORE_ROUTES
from fencepost.rpc.methods import registry
from fencepost.rpc.registry import Registry
from fencepost.settings import Settings
from fencepost.store.check import Check
from fencepost.store.database import Database


class Core(NamedTuple):
    """The parts of a server that a vocabulary builds upon."""

    settings: Settings
    database: Database
    clock: Clock
    wakeups: Wakeups
    engine: Engine


@dataclass(frozen=True, kw_only=True)
class Running:
    """A vocabulary with a database: what `Vocabulary.start` returns.

    RPC methods and routes find `services` by their type. `loops` run in the background. `serve` is entered while the
    server serves: for a port of its own.
    """

    services: Sequence[object] = ()
    loops: Sequence[Loop] = ()
    serve: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A vocabulary without a database: enough for the command line and for the generated documents.

    name         unique
    documents    the kinds of documents that it declares
    deciders     from the settings: the decider of each kind of document
    built_in     definitions that each server declares
    not_polled   names of definitions that no worker may poll
    moved_by_id  names of definitions whose tasks show no execId
    errors       the kinds of refusal, beside those of the core
    methods      the RPC methods
    routes       the plain HTTP and WebSocket routes
    checks       what `fencepost check` recomputes
    orphans      names of statements that delete a batch of its rows whose workflow has left the history
    reserve      entered before the database is started, for a port of its own; gives the settings to go on with
    start        builds it over a core
    """

    name: str
    documents: Sequence[type[Decided]] = ()
    deciders: Callable[[Settings], Mapping[str, Decide]] = lambda settings: {}
    built_in: Sequence[Document] = ()
    not_polled: Sequence[str] = ()
    moved_by_id: Sequence[str] = ()
    errors: Sequence[Kind] = ()
    methods: Sequence[Registry] = ()
    routes: Sequence[Routes] = ()
    checks: Sequence[Check] = ()
    orphans: Sequence[str] = ()
    reserve: Callable[[Settings], AbstractContextManager[Settings]] = nullcontext
    start: Callable[[Core], Running] = lambda core: Running()


def documents_of(vocabularies: Iterable[Vocabulary]) -> Documents:
    """Return the documents that a server with these vocabularies reads."""
    several = list(vocabularies)
    return Documents(
        [kind for one in several for kind in one.documents],
        [document for one in several for document in one.built_in],
        not_polled=[name for one in several for name in one.not_polled],
        moved_by_id=[name for one in several for name in one.moved_by_id],
    )


def methods_of(vocabularies: Iterable[Vocabulary], documents: Documents) -> Registry:
    """Return the methods of a server with these vocabularies, which reads these documents."""
    return registry(documents, [methods for one in vocabularies for methods in one.methods])


def routes_of(vocabularies: Iterable[Vocabulary]) -> Sequence[Routes]:
    """Return the routes of a server with these vocabularies, those of the core first."""
    return [*CORE_ROUTES, *(routes for one in vocabularies for routes in one.routes)]


def surface_of(vocabularies: Iterable[Vocabulary]) -> Surface:
    """Return everything that a server with these vocabularies shows on the wire."""
    several = list(vocabularies)
    return Surface(methods_of(several, documents_of(several)), routes_of(several), catalogue_of(several))


def catalogue_of(vocabularies: Iterable[Vocabulary]) -> Sequence[Kind]:
    """Return every kind of refusal, by status."""
    return errors.catalogue(*(one.errors for one in vocabularies))

"""`fencepost apply`: puts definitions on a running server."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from fencepost.cli.documents import read_documents
from fencepost.cli.rpc_client import RpcClient, server_options
from fencepost.errors import StartRefused


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print the resources as JSON, one a line.")
def apply(client: RpcClient, path: Path, as_json: bool) -> None:
    """Put the definitions in PATH, a file or a folder; unchanged ones keep their version."""
    from fencepost.vocabularies.all import ALL
    from fencepost.vocabularies.plugin import documents_of

    documents = read_documents(path, documents_of(ALL))
    if not documents:
        click.echo(f"fencepost: no document is in {path}: it takes .yaml, .yml and .json", err=True)
    for document in documents:
        try:
            result = client.call("awf.definition/put", orjson.loads(document.text))
        except StartRefused as refused:
            raise StartRefused(f"{document.source}: {refused}") from None
        resource = result["resource"]
        click.echo(orjson.dumps(resource).decode() if as_json else f"{resource['name']} version {resource['version']}")

"""`fencepost serve`: runs a server on an embedded Postgres or on yours."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from fencepost.cli.database import server_database_options
from fencepost.cli.http_options import connections_of, http_options, limits_of
from fencepost.settings import (
    DeviceSettings,
    Settings,
    read_clients,
    read_grpc_tls,
    read_host,
    read_hosts,
    read_retention,
    read_secret,
)


def _from_environment(name: str) -> dict[str, Any]:
    return {"envvar": f"FENCEPOST_{name}", "show_envvar": True}


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on.", **_from_environment("HOST")
)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
    **_from_environment("PORT"),
)
@server_database_options
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".fencepost"),
    show_default=True,
    help="Folder of the embedded Postgres.",
    **_from_environment("DATA_DIR"),
)
@click.option(
    "--definitions",
    type=click.Path(path_type=Path, exists=True),
    help="File or folder of definitions to put before serving.",
    **_from_environment("DEFINITIONS"),
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="ID:SECRET",
    help="A client that may call; repeat it for several. Without clients, only this machine may call.",
    **_from_environment("CLIENT"),
)
@click.option(
    "--client-file",
    type=click.Path(path_type=Path),
    help="File with one id:secret a line.",
    **_from_environment("CLIENT_FILE"),
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Server processes on one port.",
    **_from_environment("WORKERS"),
)
@click.option(
    "--connections",
    default=4,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Connections to Postgres for statements, for each worker process.",
    **_from_environment("CONNECTIONS"),
)
@click.option(
    "--read-connections",
    default=2,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Connections to Postgres for lists, searches and logs, for each worker process.",
    **_from_environment("READ_CONNECTIONS"),
)
@click.option(
    "--read-timeout",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.05, 3600),
    help="Seconds that a read may wait for a connection, and then run.",
    **_from_environment("READ_TIMEOUT"),
)
@click.option(
    "--lease-grace",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds that leases get after an outage before they are reaped.",
    **_from_environment("LEASE_GRACE"),
)
@click.option(
    "--retention",
    metavar="DURATION",
    help="Time to keep done tasks and the log, such as 90d or 12h; without it they are never deleted.",
    **_from_environment("RETENTION"),
)
@click.option(
    "--device-retries",
    default=3,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="Retries of a step of a device run, and restarts of the run.",
    **_from_environment("DEVICE_RETRIES"),
)
@click.option(
    "--device-window",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.1, 86_400),
    help="Seconds in which a device must start a task, or reject it.",
    **_from_environment("DEVICE_WINDOW"),
)
@click.option(
    "--device-healthcheck",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="Seconds between two health checks on a device's channel.",
    **_from_environment("DEVICE_HEALTHCHECK"),
)
@click.option(
    "--device-silence",
    default=15.0,
    show_default=True,
    type=click.FloatRange(0.1, 86_400),
    help="Seconds without a heartbeat until the current task of a device is aborted.",
    **_from_environment("DEVICE_SILENCE"),
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Port for machines that speak gRPC; 0 takes a free one. Without it the server has no such port.",
    **_from_environment("GRPC_PORT"),
)
@click.option(
    "--grpc-host",
    default="127.0.0.1",
    show_default=True,
    help="Address of the port for machines.",
    **_from_environment("GRPC_HOST"),
)
@click.option(
    "--grpc-open",
    is_flag=True,
    help="Allow access from other machines to --grpc-host, which takes no credentials.",
    **_from_environment("GRPC_OPEN"),
)
@click.option(
    "--grpc-tls-cert",
    type=click.Path(path_type=Path),
    help="PEM file with the TLS certificate of the gRPC port; GET /cert returns it without credentials.",
    **_from_environment("GRPC_TLS_CERT"),
)
@click.option(
    "--grpc-tls-key",
    type=click.Path(path_type=Path),
    help="PEM file with the key of the certificate, without a password.",
    **_from_environment("GRPC_TLS_KEY"),
)
@click.option(
    "--workflow-data-versions",
    default=3,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of complete versions of a machine workflow's data to keep.",
    **_from_environment("WORKFLOW_DATA_VERSIONS"),
)
@http_options
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level of log lines on stderr.",
    **_from_environment("LOG_LEVEL"),
)
def serve(**options: Any) -> None:
    """Serve until SIGTERM or SIGINT; prints one line on stdout when it accepts work."""
    logging.basicConfig(level=options["log_level"].upper(), format="%(asctime)s %(levelname)s %(message)s")
    from fencepost.cli import serving, workers

    settings = Settings(
        host=read_host(options["host"]),
        port=options["port"],
        database_url=read_secret(options["database_url"], options["database_url_file"], "--database-url"),
        data_dir=options["data_dir"],
        definitions=options["definitions"],
        clients=read_clients(options["clients"], options["client_file"]),
        allowed_hosts=read_hosts(options["allowed_host"]),
        workers=options["workers"],
        connections=options["connections"],
        read_connections=options["read_connections"],
        read_seconds=options["read_timeout"],
        lease_grace_seconds=options["lease_grace"],
        retention=read_retention(options["retention"]),
        run_sql_url=read_secret(options["run_sql_url"], options["run_sql_url_file"], "--run-sql-url"),
        run_sql_timeout_seconds=options["run_sql_timeout"],
        grpc_port=options["grpc_port"],
        grpc_host=read_host(options["grpc_host"]),
        grpc_open=options["grpc_open"],
        grpc_tls=read_grpc_tls(options["grpc_tls_cert"], options["grpc_tls_key"]),
        workflow_data_versions=options["workflow_data_versions"],
        limits=limits_of(options),
        http_protocol=options["http"],
        http=connections_of(options),
        devices=DeviceSettings(
            retries=options["device_retries"],
            window_seconds=options["device_window"],
            healthcheck_seconds=options["device_healthcheck"],
            silence_seconds=options["device_silence"],
        ),
    )
    if settings.workers == 1:
        serving.run(settings)
    else:
        workers.run(settings, options["log_level"])

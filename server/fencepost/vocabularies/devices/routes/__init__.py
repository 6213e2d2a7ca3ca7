"""The routes of devices and their clients; each is also under `/api`, as devices call it."""

from __future__ import annotations

from fencepost.vocabularies.devices.routes.channels import channel_routes
from fencepost.vocabularies.devices.routes.devices import device_routes
from fencepost.vocabularies.devices.routes.runs import run_routes

DEVICE_ROUTES = (run_routes, device_routes, channel_routes)

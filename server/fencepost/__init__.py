"""Fencepost: an RPC task queue and workflow server on Postgres."""

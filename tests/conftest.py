"""Fixtures, a module each."""

# Every test has `def server(` from here: tests/fixtures/servers.py
pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.servers",
    "tests.fixtures.pairs",
    "tests.fixtures.machines",
]

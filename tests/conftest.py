"""Fixtures, a module each."""

# Every test has `def server(` from here: tests/fixtures/servers.py
pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.servers",
    "tests.fixtures.two_servers",
    "tests.fixtures.machines",
]

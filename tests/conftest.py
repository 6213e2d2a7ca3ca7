"""Plugins with the fixtures of all tests, and the profile of Hypothesis."""

from hypothesis import HealthCheck, settings

# On a busy machine, an example may take long. The limit of pytest for a test applies.
settings.register_profile("fencepost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fencepost")

# The fixture `server` is in tests/fixtures/servers.py.
pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.servers",
    "tests.fixtures.two_servers",
    "tests.fixtures.machines",
]

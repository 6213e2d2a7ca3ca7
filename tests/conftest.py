"""Plugins with the fixtures of all tests, and the profile of Hypothesis."""

import signal

from hypothesis import HealthCheck, settings

# On a busy machine, an example may take long. The limit of pytest for a test applies.
settings.register_profile("fencepost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fencepost")

# A shell starts commands in the background with SIGINT ignored, and their children inherit that. Tests send SIGINT to
# processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The fixture `server` is in tests/fixtures/servers.py.
pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.servers",
    "tests.fixtures.two_servers",
    "tests.fixtures.machines",
]

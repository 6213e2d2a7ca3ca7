"""The embedded Postgres, used without a database URL: a server in a data folder, started and stopped with Fencepost.

supervisor      EmbeddedPostgres: start, stop, recovery when it does not start
binaries        finds the programs
folder          the data folder: its parts and its lock
account         the user that Postgres runs as, since it refuses to run as root
access          access rules that let only root connect, when root runs it
handover        changes the owner of the data
cluster         creates the cluster (initdb) and checks its version
postmaster      the child process, which ends with this process
leftovers       files and processes of a killed Postgres
"""

from fencepost.store.embedded.supervisor import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]

"""Our own Postgres, for whoever gave no URL: a real server in a data folder, started and stopped with this process.

supervisor      EmbeddedPostgres: start, stop, and what to do when it does not come up
binaries        where the programs come from
folder          the data folder: what lies in it, and the lock that makes it ours
account         as whom Postgres runs, for it refuses to be root
access          the rules by which Postgres lets in root alone, when root runs it
handover        giving the data to another account
cluster         making Postgres's own folder, and checking its version
postmaster      the child process that ends when we do
leftovers       what a killed Postgres leaves in the way of the next one
"""

from fencepost.store.embedded.supervisor import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]

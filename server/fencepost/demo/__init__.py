"""`fencepost demo`: imports real data with a server and executors in processes of their own.

run             the run: start, import, stop
server          a `fencepost serve` as a child process
executor        the worker: `python -m fencepost.demo.executor`
definition      the definitions of the workflow and its tasks
decider         the decider of the workflow
airports        the airports of the world, written to files
source          a file to import
rows            reads a file row by row
table           the table for the rows: the only module here that uses Postgres
imports         the workflow of a run and its progress
display         progress bars on a terminal, else lines

The demo calls its server through the SDK, over HTTP. Of the store it uses only the socket path of a data folder.
"""

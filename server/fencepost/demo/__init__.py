"""`fencepost demo`: everything at once on real data, in processes of their own, as anybody else would run it.

rehearsal       the whole: start, import, stop
server          a `fencepost serve` as a child
executor        the worker: `python -m fencepost.demo.executor`
definition      the workflow and its tasks, as they are declared
decider         what the workflow does
airports        the airports of the world, written out as files
source          a file to import
rows            a file read row by row
table           where the rows go: the only module here that speaks to Postgres
imports         the workflow of a run, and how it stands
display         a tree of bars on a terminal, lines elsewhere

To the server it speaks through the SDK, over HTTP. What of the store it uses is where the data folder keeps its socket.
"""

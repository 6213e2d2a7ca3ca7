-- Find the lowest and the highest seq of all tasks.
-- Takes:   nothing.
-- Returns: one row (lowest, highest), nulls when there are no tasks.
-- Touches: nothing; reads live_tasks, done_tasks.
select
    least((select min(l.seq) from fencepost.live_tasks as l), (select min(d.seq) from fencepost.done_tasks as d)) as lowest,
    greatest((select max(l.seq) from fencepost.live_tasks as l), (select max(d.seq) from fencepost.done_tasks as d)) as highest

-- Find the lowest and the highest seq of all workflows.
-- Takes:   nothing.
-- Returns: one row (lowest, highest), nulls when there are no workflows.
-- Touches: nothing; reads live_workflows, done_workflows.
select
    least((select min(l.seq) from fencepost.live_workflows as l), (select min(d.seq) from fencepost.done_workflows as d)) as lowest,
    greatest((select max(l.seq) from fencepost.live_workflows as l), (select max(d.seq) from fencepost.done_workflows as d)) as highest

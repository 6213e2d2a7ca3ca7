-- Delete a batch of what workflows that are over have noted: the labels of their tasks, and the ids of their signals.
-- Takes:   workflows bigint[]; batch integer, of each kind.
-- Returns: one row (count), how many notes were deleted.
-- Touches: activities, workflow_signals; reads live_workflows. Labels of children stay until these are gone: a clean-up
--          that begins again finds them by it.
with over as materialized (
    select w.seq
    from unnest(%(workflows)s::bigint[]) as w (seq)
    where not exists (select from fencepost.live_workflows as l where l.seq = w.seq)
),
labels as (
    delete from fencepost.activities as a
    -- Nobody changes them any more, so that they stay where they are found.
    where a.ctid = any(array(
        select n.place
        from over as o
        cross join lateral (
            select a.ctid as place from fencepost.activities as a where a.workflow_seq = o.seq and not a.is_workflow offset 0
        ) as n
        limit %(batch)s::integer
    ))
    returning a.workflow_seq
),
signals as (
    delete from fencepost.workflow_signals as s
    where s.ctid = any(array(
        select n.place
        from over as o
        cross join lateral (
            select s.ctid as place from fencepost.workflow_signals as s where s.workflow_seq = o.seq offset 0
        ) as n
        limit %(batch)s::integer
    ))
    returning s.workflow_seq
)
select ((select count(*) from labels) + (select count(*) from signals))::integer as count

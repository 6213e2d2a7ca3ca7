-- Delete a batch of notes of finished workflows: labels of their tasks and ids of their signals.
-- Takes:   workflows bigint[]; batch integer, of each kind.
-- Returns: one row (count), how many were deleted.
-- Touches: activities, workflow_signals; reads live_workflows. Labels of children are deleted with the children
--          (delete_workflows.sql): a clean-up that starts again finds the children by them.
with over as materialized (
    select w.seq
    from unnest(%(workflows)s::bigint[]) as w (seq)
    where not exists (select from fencepost.live_workflows as l where l.seq = w.seq)
),
labels as (
    delete from fencepost.activities as a
    -- No statement changes these rows any more, so their ctid stays valid.
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

-- Look at a batch of old workflows and find those that a rule wants gone, with all that is below them.
-- Takes:   age interval, how long ago they must have ended; include, exclude text[], of definitions (each null for any);
--          after bigint, the seq to go on behind (0 to begin); batch integer; now.
-- Returns: one row (last, seqs): the seq to go on behind, null when there are no more; and the workflows, children before
--          their parents.
-- Touches: nothing; reads done_workflows, live_workflows, activities.
with recursive looked as materialized (
    select w.seq, w.definition, w.parent_seq
    from fencepost.done_workflows as w
    where w.seq > %(after)s::bigint
        and w.done_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
    order by w.seq
    limit %(batch)s::integer
),
family as (
    select l.seq
    from looked as l
    where (%(include)s::text[] is null or l.definition = any(%(include)s::text[]))
        and (%(exclude)s::text[] is null or l.definition <> all(%(exclude)s::text[]))
        -- Its parent's decider may still ask for it.
        and not exists (select from fencepost.live_workflows as p where p.seq = l.parent_seq)
    union
    select a.seq
    from family as f
    cross join lateral (
        select a.seq from fencepost.activities as a where a.workflow_seq = f.seq and a.is_workflow offset 0
    ) as a
)
select
    (select max(l.seq) from looked as l) as last,
    -- A child's number is greater than its parent's.
    array(select f.seq from family as f order by f.seq desc) as seqs

-- Read a batch of old workflows and find those that match a rule, with all their descendants.
-- Takes:   age interval, how long ago they must have ended; include, exclude text[], definitions (each null for any);
--          after bigint, the seq after which the batch begins (0 for the first); batch integer; now.
-- Returns: one row (last, seqs): the next `after`, null when there are no more; and the workflows, children before
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
        -- The decider of a live parent may still ask for it.
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
    -- A child has a greater seq than its parent.
    array(select f.seq from family as f order by f.seq desc) as seqs

-- The workflows, live and done, a batch at a time, and which of them are task lists.
-- Takes:   after bigint, the number to go on behind (0 to begin); batch integer.
-- Returns: per workflow, in the order of numbers, (seq, is_list).
-- Touches: nothing; reads live_workflows, done_workflows, definitions.
with batch as materialized (
    -- Without a join: in the order of the indexes, so that a batch reads itself and not all that is behind it.
    select w.seq, w.definition, w.definition_version
    from fencepost.workflow_resources as w
    where w.seq > %(after)s::bigint
    order by w.seq
    limit %(batch)s::integer
)
select
    b.seq,
    exists (
        select from fencepost.definitions as d
        where d.name = b.definition and d.version = b.definition_version and d.kind = 'process'
    ) as is_list
from batch as b
order by b.seq

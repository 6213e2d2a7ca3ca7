-- List workflows, live and done, a batch at a time, and which of them are task lists.
-- Takes:   after bigint, the seq after which the batch begins (0 for the first); batch integer.
-- Returns: per workflow, by seq, (seq, is_list).
-- Touches: nothing; reads live_workflows, done_workflows, definitions.
with batch as materialized (
    -- No join here: Postgres then reads the indexes in order and stops at the limit.
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

-- Delete the names of the tasks of deleted receipts.
-- Takes:   names text[]; seqs bigint[].
-- Returns: one row (count), the number of deleted names.
-- Touches: task_names.
with gone as (
    delete from fencepost.task_names as n
    -- The name of one create is that of its first task; other tasks of it leave the name in place.
    where n.id = any(%(names)s::text[]) and n.seq = any(%(seqs)s::bigint[])
    returning n.id
),
digests as (
    -- The digest of a create with a requestId, found by a partial index: no id of a caller has a colon.
    delete from fencepost.task_names as n
    where starts_with(n.id, ':') and length(n.id) > 19 and n.seq = any(%(seqs)s::bigint[])
    returning n.id
)
select (select count(*) from gone)::integer + (select count(*) from digests)::integer as count

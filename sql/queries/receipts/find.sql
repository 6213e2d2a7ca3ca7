-- Find the receipt of an execution, to answer a repeated call like the first.
-- Takes:   id, seq (as in tasks/find.sql), exec_id, content text, age interval, for how long a receipt counts; now.
-- Returns: the definition and its version, action, outcome, at, and whether the end had the same content; or no row.
-- Touches: nothing; reads receipts, task_names.
select
    r.definition, r.definition_version, r.action, r.outcome, r.at,
    r.hashes[array_position(r.seqs, t.seq)]
        = hashtextextended(concat(%(id)s::text, ' ', %(content)s::text), 0) as is_same
from (
    select coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text)) as seq
) as t
cross join fencepost.receipts as r
where r.prefix = left(%(exec_id)s::text, 18)
    and t.seq = any(r.seqs)
    and right(%(exec_id)s::text, 12) = lpad(to_hex(t.seq), 12, '0')
    and r.at > coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
limit 1

-- Record the ids of signals, so that each signal is accepted once.
-- Takes:   calls json: [{call, workflow_seq, id, digest}].
-- Returns: per call whose id is free or belongs to the same signal (call, is_new); no row for an id that belongs to
--          another signal.
-- Touches: workflow_signals. Run after lock.sql.
with calls as materialized (
    select c.*
    from json_to_recordset(%(calls)s::json) as c (call integer, workflow_seq bigint, id text, digest uuid)
),
taken as (
    insert into fencepost.workflow_signals (workflow_seq, id, digest)
    select c.workflow_seq, c.id, c.digest from calls as c
    on conflict (workflow_seq, id) do nothing
    returning workflow_seq, id
)
select c.call, n.is_new
from calls as c
cross join lateral (select (c.workflow_seq, c.id) in (select t.workflow_seq, t.id from taken as t) as is_new) as n
-- `offset 0` makes the look-up an index probe in every plan. It does not see the rows that were inserted above.
left join lateral (
    select s.digest from fencepost.workflow_signals as s where s.workflow_seq = c.workflow_seq and s.id = c.id offset 0
) as s on true
where n.is_new or s.digest = c.digest

-- The requestId of a poll is a row for each poll that got tasks, no longer two columns of each leased task.
-- live_tasks.request_id, request_hash and their index stay: servers of the version before use them.

create table fencepost.poll_requests (
    caller text not null,
    request_id text not null,
    -- A digest of the poll's other params.
    hash text not null,
    -- The tasks that it leased. They are held while their execIds begin with the prefix (tasks/claim.sql).
    prefix text not null,
    seqs bigint[] not null,
    claimed_at timestamptz not null,
    constraint poll_requests_pkey primary key (caller, request_id)
);
-- Thousands of numbers are stored beside the table; compression costs more than it saves.
alter table fencepost.poll_requests alter column seqs set storage external;

insert into fencepost.poll_requests (caller, request_id, hash, prefix, seqs, claimed_at)
select l.held_by, l.request_id, min(l.request_hash), min(left(l.exec_id::text, 18)), array_agg(l.seq), min(l.updated_at)
from fencepost.live_tasks as l
where l.request_id is not null
group by l.held_by, l.request_id;

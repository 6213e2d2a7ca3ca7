-- A receipt is the only trace of a task whose definition does not keep its end. A repeated finish is answered from it.

alter table fencepost.definitions
    add column keep text not null default 'all',
    add constraint definitions_keep check (keep in ('all', 'failures', 'none'));

create table fencepost.receipts (
    number bigint not null generated always as identity,
    -- The beginning of the execIds, which the tasks of one poll share; null for tasks that ended without one.
    prefix text,
    definition text not null,
    definition_version integer not null,
    action text not null,
    outcome text not null,
    -- The tasks, and in the same order a hash of the id and the content of each end.
    seqs bigint[] not null,
    hashes bigint[] not null,
    -- Their rows of task_names, to be deleted with the receipt, and the time of their log.
    names text[] not null,
    created_at timestamptz not null,
    at timestamptz not null,
    constraint receipts_pkey primary key (number)
);
create index receipts_prefix on fencepost.receipts (prefix) where prefix is not null;
-- Stored beside the table when they are long: compression costs more than it saves.
alter table fencepost.receipts
    alter column seqs set storage external,
    alter column hashes set storage external;

-- The name of a task in task_names: the id that a caller chose, or the prefix of the ids of one create.
create function fencepost.task_name(id text, seq bigint) returns text
language sql immutable parallel safe
return case
    when right(id, 18) = '-8000-' || lpad(to_hex(seq), 12, '0') then ':' || left(id, 18) else id
end collate "C";

-- The digests of creates with a requestId, which are deleted with the receipt of the first task.
create index task_names_digests on fencepost.task_names (seq) where starts_with(id, ':') and length(id) > 19;

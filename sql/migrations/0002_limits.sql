-- Limits: how many tasks of a definition, or of one value found in their params, may be held by workers at once.
--
-- Nothing counts. A live task of a limited definition carries the key that it is limited by, and what a key has in use
-- are the leases that carry it. Tasks without a limit carry no key and are in none of these indexes.

alter table fencepost.definitions
    add column concurrency_limit integer,
    add column concurrency_path jsonpath,
    add constraint definitions_concurrency_limit check (concurrency_limit >= 1),
    add constraint definitions_path_of_a_limit check (concurrency_path is null or concurrency_limit is not null);

-- Reader: definitions/limited.sql.
create index definitions_limited on fencepost.definitions (name) where is_newest and concurrency_limit is not null;

-- The key that a task is limited by: the JSON text of what the path leads to in its params, `-` (which is no JSON) when
-- it leads nowhere and when there is no path. Long texts become a hash: an index takes no more than 2,700 bytes.
create function fencepost.limit_key(params json, path jsonpath) returns text
language sql immutable parallel safe
return (
    select case
        when found.value is null then '-'
        when octet_length(found.value) > 200 then 'sha256:' || encode(sha256(convert_to(found.value, 'UTF8')), 'hex')
        else found.value
    end
    from (select jsonb_path_query_first(params::jsonb, path, silent => true)::text as value) as found
);

alter table fencepost.live_tasks
    -- In "C": keys are compared for equality and walked through, in whatever order.
    add column limit_key text collate "C";

-- Reader: tasks/claim.sql, in queue order within a definition. What has a key is claimed by its key.
drop index fencepost.live_tasks_ready;
create index live_tasks_ready on fencepost.live_tasks (definition, ready_at, seq)
    where status = 'ready' and limit_key is null;
-- Readers: tasks/free_places.sql and ready_definitions.sql, from key to key and in queue order within one.
create index live_tasks_ready_by_key on fencepost.live_tasks (definition, limit_key, ready_at, seq)
    where status = 'ready' and limit_key is not null;
-- Readers: the same, which count the leases of a key.
create index live_tasks_held_by_key on fencepost.live_tasks (definition, limit_key)
    where exec_id is not null and limit_key is not null;

-- Which limited keys a claim has to look at, so that it never walks over those that are blocked:
-- docs/decisions/0018-a-freed-place-leads-to-its-key.md.

-- An opening says: this key may have a free place and a ready task. It is added, in the same transaction, by each task
-- that becomes ready under a key and by each lease that leaves one, and taken away by a claim that sees no place or no
-- task. Openings are never changed, so that adding one waits for nobody, and a claim takes away none that it has not
-- seen. The key `-` has no openings: each claim looks at it anyway.
create table fencepost.openings (
    definition text not null,
    ready_at timestamptz not null,
    seq bigint not null,
    limit_key text collate "C" not null
-- Each row lives briefly, and a claim walks over the dead ones at the head of the index until they are vacuumed.
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
-- Reader: tasks/free_places.sql, in the order of the oldest ready tasks.
create index openings_queue on fencepost.openings (definition, ready_at, seq);

create function fencepost.open_by_task() returns trigger language plpgsql as $$
begin
    insert into fencepost.openings (definition, ready_at, seq, limit_key)
    values (new.definition, new.ready_at, new.seq, new.limit_key);
    return null;
end $$;

create function fencepost.open_by_lease() returns trigger language plpgsql as $$
begin
    insert into fencepost.openings (definition, ready_at, seq, limit_key)
    select old.definition, coalesce(h.ready_at, old.ready_at), coalesce(h.seq, old.seq), old.limit_key
    from (values (1)) as one
    left join lateral (
        select l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = old.definition and l.limit_key = old.limit_key
        order by l.ready_at, l.seq
        limit 1
    ) as h on true;
    return null;
end $$;

-- Triggers and no parts of the statements: there are a dozen of these, and one that forgets leaves a task for ever.
-- What has no key fails their conditions, which costs it no call.
create trigger live_tasks_come after insert on fencepost.live_tasks for each row
    when (new.status = 'ready' and new.limit_key <> '-')
    execute function fencepost.open_by_task();
create trigger live_tasks_come_back after update of status, limit_key on fencepost.live_tasks for each row
    when (
        new.status = 'ready' and new.limit_key <> '-'
        and (old.status <> 'ready' or old.limit_key is distinct from new.limit_key)
    )
    execute function fencepost.open_by_task();
create trigger live_tasks_leave after delete on fencepost.live_tasks for each row
    when (old.exec_id is not null and old.limit_key <> '-')
    execute function fencepost.open_by_lease();
create trigger live_tasks_give_way after update of status, limit_key on fencepost.live_tasks for each row
    when (
        old.exec_id is not null and old.limit_key <> '-' and new.status <> 'ready'
        and (new.exec_id is null or new.limit_key is distinct from old.limit_key)
    )
    execute function fencepost.open_by_lease();

-- Behind the triggers, whose creation has waited for every task that was being made: none is between the two.
insert into fencepost.openings (definition, ready_at, seq, limit_key)
select distinct on (l.definition, l.limit_key) l.definition, l.ready_at, l.seq, l.limit_key
from fencepost.live_tasks as l
where l.status = 'ready' and l.limit_key <> '-'
order by l.definition, l.limit_key, l.ready_at, l.seq;

-- Payloads are no longer compressed by pglz, which costs several times as much as writing them:
-- docs/decisions/0026-payloads-are-not-compressed-by-pglz.md. Stored payloads stay as they are.

do $$
declare
    payload record;
    -- A server that was built without lz4 stores payloads uncompressed.
    action constant text := case
        when 'lz4' = any ((select s.enumvals from pg_settings as s where s.name = 'default_toast_compression')::text[])
        then 'set compression lz4' else 'set storage external'
    end;
begin
    for payload in
        select a.attrelid::regclass as place, a.attname as name
        from pg_attribute as a
        join pg_class as c on c.oid = a.attrelid
        left join pg_inherits as i on i.inhrelid = c.oid
        -- A new partition copies the columns of its parent; one that exists has to be changed too.
        where coalesce(i.inhparent, c.oid) = any (array[
                'fencepost.live_tasks', 'fencepost.done_tasks', 'fencepost.task_log', 'fencepost.live_workflows',
                'fencepost.done_workflows', 'fencepost.events'
            ]::regclass[])
            and a.atttypid = 'json'::regtype and not a.attisdropped
            -- Parents first.
        order by c.relkind = 'r', a.attrelid, a.attnum
    loop
        execute format('alter table %s alter column %I %s', payload.place, payload.name, action);
    end loop;
end $$;

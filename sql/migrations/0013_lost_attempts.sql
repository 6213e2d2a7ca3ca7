-- How many attempts in a row each live task has lost to silence: their workers were not heard of until the lease ended.
-- Such a task may be what ends its workers, so that it is given out alone:
-- docs/decisions/0017-tasks-that-end-their-workers.md.

alter table fencepost.live_tasks
    add column lost_attempts integer not null default 0;

-- How many of a claim's asks get one suspect each, and no other task. Neither suspects nor others can keep all asks to
-- themselves; where there is one ask, the kind that has waited longest gets it.
create function fencepost.asks_alone(asks bigint, suspects bigint, others bigint, suspect_first boolean) returns bigint
language sql immutable parallel safe
return case when others = 0 then suspects else least(suspects, greatest(asks - 1, suspect_first::integer)) end;

-- How long after an attempt the next one comes. What shared a worker that died would come back at one moment, and
-- together again after each further death: the more attempts were lost in a row, the wider their retries are spread.
create function fencepost.retry_pause(retry_delay interval, lost_attempts integer) returns interval
language sql volatile parallel safe
return retry_delay + case
    when lost_attempts = 0 then interval '0'
    else random()
        * least(retry_delay * 2 ^ least(lost_attempts - 1, 20), greatest(retry_delay, interval '10 minutes'))
end;

-- The execId of a lease: a random beginning, what kind of work it is (domain/ids.py), and the number of the task.
create function fencepost.exec_id(prefix text, workflow_seq bigint, kind text, seq bigint) returns uuid
language sql immutable parallel safe
return (
    prefix || case when workflow_seq is null then '-8000-' when kind = 'task' then '-8002-' else '-8001-' end
    || lpad(to_hex(seq), 12, '0')
)::uuid;

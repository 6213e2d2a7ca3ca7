-- How long an attempt of a definition's tasks may last, however often its worker is heard of; a task's own stands above it.

alter table fencepost.definitions
    add column attempt_timeout interval;

-- As in 0008_own_settings.sql, with the attempt's time of the definition. Servers of before call those of there.
create function fencepost.attempt_time(settings json, in_progress interval, attempt interval) returns interval
language sql immutable parallel safe
return least(
    fencepost.term(settings, 'inProgressTimeout', in_progress), fencepost.term(settings, 'attemptTimeout', attempt));

create function fencepost.lease_end(
    now timestamptz, begun boolean, settings json, expires_at timestamptz,
    in_progress interval, requested interval, attempt interval
) returns timestamptz
language sql stable parallel safe
return case
    when begun then now + fencepost.attempt_time(settings, in_progress, attempt)
    else least(now + fencepost.term(settings, 'requestedToStartTimeout', requested), expires_at)
end;

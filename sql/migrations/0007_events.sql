-- Events: taken once each, with what they bring about: what triggers start, and the subscriptions that they end.

create table fencepost.events (
    -- A hash of source and id, both of which may be long.
    key uuid not null,
    -- Null for a resource, which is no CloudEvent.
    source text,
    id text not null,
    digest uuid not null,
    content json not null,
    at timestamptz not null,
    caller text not null,
    -- Null only until the transaction ends that takes it.
    outcome json,
    constraint events_pkey primary key (key)
);
-- Reader: history/delete_events.sql.
create index events_at on fencepost.events (at);

-- What triggers did, or why they could not; kept as long as the event.
create table fencepost.trigger_starts (
    event_key uuid not null,
    trigger text not null,
    trigger_version integer not null,
    at timestamptz not null,
    status text not null,
    reference json,
    reason text,
    constraint trigger_starts_pkey primary key (event_key, trigger),
    constraint trigger_starts_status check (status in ('started', 'skipped')),
    constraint trigger_starts_reference check ((reference is not null) = (status = 'started')),
    constraint trigger_starts_reason check ((reason is not null) = (status = 'skipped'))
);
-- Readers: triggers/starts.sql, count.sql.
create index trigger_starts_trigger on fencepost.trigger_starts (trigger, at, event_key);

-- How often triggers were put or deleted: who has chosen among them can tell whether they are still the same.
create table fencepost.trigger_changes (number bigint not null);
insert into fencepost.trigger_changes (number) values (0);
-- Reader: triggers/all.sql.
create index definitions_triggers on fencepost.definitions (name) where kind = 'trigger' and is_newest;

-- By what an event finds a subscription that it may be for: a path of its rules, and a hash of the value there. Part of
-- the task's own row, so that it is gone with it.
alter table fencepost.live_tasks
    add column subscription_path text collate "C",
    add column subscription_value bigint;
-- Readers: subscriptions/paths.sql, find.sql.
create index live_tasks_subscription on fencepost.live_tasks (subscription_path, subscription_value)
    where subscription_path is not null;

-- Never has a row: its locks keep subscriptions from being made while events look for them, and let events, and
-- subscriptions, go side by side among themselves.
create table fencepost.subscription_gate ();

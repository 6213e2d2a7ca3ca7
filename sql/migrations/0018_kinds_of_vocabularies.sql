-- The kinds of documents belong to the vocabularies of a server. The database checks only the form of a kind.
alter table fencepost.definitions
    drop constraint definitions_kind,
    add constraint definitions_kind check (kind ~ '^[a-z][a-z-]{0,39}$');

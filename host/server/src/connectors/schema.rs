//! The catalogue's tables, and the order in which they and the journal's were released.

use connector_runtime::journal;
use rusqlite_migration::M;

/// How many steps of the journal's were released before the catalogue.
const JOURNAL_BEFORE_CATALOGUE: usize = 4;

/// Connectors and tenants themselves are the journal's, since every record's identity depends on their ids.
///
/// A definition's `due` is when it is to run next, none as long as it was in no profile; it stays when the connector leaves
/// one, so that coming back brings no run before its time. `content_types` and `interval_minutes` are what the settings say,
/// so that a schedule needs no plugin.
const CATALOGUE: &str = "
CREATE TABLE devices (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('dp', 'sensor')),
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO devices (name, kind, created) VALUES ('dp', 'dp', 0);

CREATE TABLE definitions (
    connector TEXT PRIMARY KEY REFERENCES connectors (id) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    content_types TEXT NOT NULL,
    interval_minutes INTEGER NOT NULL,
    active INTEGER NOT NULL,
    run_on TEXT NOT NULL REFERENCES devices (name),
    version TEXT NOT NULL,
    due INTEGER,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX definitions_by_device ON definitions (run_on);

-- `key` is the id of the key that sealed it.
CREATE TABLE secrets (
    connector TEXT NOT NULL REFERENCES definitions (connector) ON DELETE CASCADE,
    pointer TEXT NOT NULL,
    key TEXT NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (connector, pointer)
) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO profiles (name, created) VALUES ('Default', 0);

CREATE TABLE profile_members (
    profile TEXT NOT NULL REFERENCES profiles (name),
    connector TEXT NOT NULL REFERENCES definitions (connector) ON DELETE CASCADE,
    added INTEGER NOT NULL,
    PRIMARY KEY (profile, connector)
) STRICT, WITHOUT ROWID;
CREATE INDEX profile_members_by_connector ON profile_members (connector);

-- `tenant` is none for the filters of all tenants.
CREATE TABLE filters (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    tenant TEXT REFERENCES tenants (id),
    conditions TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE connector_filters (
    connector TEXT NOT NULL REFERENCES definitions (connector) ON DELETE CASCADE,
    filter TEXT NOT NULL REFERENCES filters (id),
    attached INTEGER NOT NULL,
    PRIMARY KEY (connector, filter)
) STRICT, WITHOUT ROWID;
CREATE INDEX connector_filters_by_filter ON connector_filters (filter);

-- The connector's row stays for its records, under a name that nobody can type.
CREATE TABLE deletions (
    connector TEXT PRIMARY KEY REFERENCES connectors (id),
    name TEXT NOT NULL,
    deleted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    connector TEXT REFERENCES connectors (id),
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_connector ON events (connector, id);
";

/// Alerts, at most one open of a kind for each connector; what is still to be delivered about them; and which destinations
/// asked to be sent nothing any more.
const ALERTS: &str = "
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    connector TEXT NOT NULL REFERENCES connectors (id),
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    since INTEGER NOT NULL,
    raised INTEGER NOT NULL,
    cleared INTEGER
) STRICT;
CREATE UNIQUE INDEX open_alerts ON alerts (connector, kind) WHERE cleared IS NULL;
CREATE INDEX alerts_by_time ON alerts (raised);
CREATE INDEX alerts_by_end ON alerts (cleared) WHERE cleared IS NOT NULL;

CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    alert TEXT NOT NULL REFERENCES alerts (id),
    webhook TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_due ON deliveries (webhook, due);
CREATE INDEX deliveries_by_alert ON deliveries (alert);

CREATE TABLE closed_webhooks (
    name TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// All steps of `journal.sqlite`, in the order of their release. It only ever grows at its end: a new step of the catalogue
/// is written there, behind whatever the journal has released by then.
pub(crate) fn migrations() -> Vec<M<'static>> {
    let mut steps = journal::migrations();
    let later = steps.split_off(JOURNAL_BEFORE_CATALOGUE.min(steps.len()));
    steps.push(M::up(CATALOGUE));
    steps.extend(later);
    steps.push(M::up(ALERTS));
    steps
}

//! The catalogue's tables, and the order in which they and the journal's were released.

use connector_runtime::journal;
use rusqlite_migration::M;

/// How many steps of the journal's were released before the catalogue.
const JOURNAL_BEFORE_CATALOGUE: usize = 4;
/// How many more before the statuses.
const JOURNAL_BEFORE_STATUS: usize = 1;
/// How many more before the alerts of the host.
const JOURNAL_BEFORE_HOST_ALERTS: usize = 2;

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

/// What every connector's status and next run follow from, beside its definition: what the last run came to (`verdict`, with
/// its `reason`, `judged` at that time), waits, and the state that was last told. It begins with what the last run's ledger says.
///
/// The two indices make a listing's last activity and last data a look each, however many runs and blocks there are.
const STATUS: &str = "
CREATE TABLE statuses (
    connector TEXT PRIMARY KEY REFERENCES definitions (connector) ON DELETE CASCADE,
    started INTEGER,
    running INTEGER,
    verdict TEXT,
    reason TEXT NOT NULL DEFAULT '',
    judged INTEGER,
    not_before INTEGER,
    tested INTEGER,
    suspended TEXT,
    state TEXT,
    since INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO statuses (connector, started, verdict, reason, judged, not_before)
SELECT d.connector, r.started,
    CASE
        WHEN r.outcome = 'done' THEN 'healthy'
        WHEN r.outcome = 'postponed' AND r.ledger ->> '$.resume_at' IS NOT NULL THEN 'waiting-for-quota'
        WHEN r.outcome IN ('incomplete', 'postponed') THEN 'incomplete'
        WHEN r.outcome = 'failed' AND EXISTS (SELECT 1 FROM json_each(r.ledger, '$.contents') c
            WHERE c.value ->> '$.outcome' = 'failed' AND c.value ->> '$.failure.kind' = 'unauthenticated')
            THEN 'stopped-after-refused-login'
        WHEN r.outcome = 'failed' THEN 'failing'
    END,
    coalesce(r.ledger ->> '$.reason', ''), r.ended, r.ledger ->> '$.resume_at'
FROM definitions d JOIN runs r ON r.rowid = (
    SELECT rowid FROM runs WHERE connector = d.connector ORDER BY started DESC, rowid DESC LIMIT 1);

UPDATE definitions SET due = created WHERE due IS NULL AND active
    AND run_on IN (SELECT name FROM devices WHERE kind = 'sensor');

CREATE INDEX runs_done ON runs (connector, ended) WHERE outcome = 'done';
CREATE INDEX blocks_with_records ON blocks (connector, offset, written) WHERE records > 0;
";

/// Who may use the host. A user's password is an argon2id hash; tokens and sessions are kept as the SHA-256 of a secret
/// that only their holder has.
const ACCESS: &str = "
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('root', 'tenant-admin', 'read-only')),
    tenant TEXT REFERENCES tenants (id),
    active INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_login INTEGER,
    CHECK (role <> 'root' OR tenant IS NULL),
    CHECK (role <> 'tenant-admin' OR tenant IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user, used);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('root', 'tenant-admin', 'read-only')),
    tenant TEXT REFERENCES tenants (id),
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER,
    last_used INTEGER,
    CHECK (role <> 'root' OR tenant IS NULL),
    CHECK (role <> 'tenant-admin' OR tenant IS NOT NULL)
) STRICT, WITHOUT ROWID;
-- By tenant, so that a name that is taken tells nothing of another tenant.
CREATE UNIQUE INDEX tokens_by_name ON tokens (coalesce(tenant, ''), name);
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

CREATE INDEX activations ON events (connector, time) WHERE kind = 'activated';

CREATE TABLE closed_webhooks (
    name TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Alerts may be about something else than a connector, then called their subject. They are no connector's, and a tenant's
/// only if the subject is that tenant's alone.
///
/// SQLite cannot take a NOT NULL away, so both tables are made anew: the first cannot be dropped while the second points at it.
const HOST_ALERTS: &str = "
CREATE TABLE all_alerts (
    id TEXT PRIMARY KEY,
    connector TEXT REFERENCES connectors (id),
    subject TEXT,
    tenant TEXT,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    since INTEGER NOT NULL,
    raised INTEGER NOT NULL,
    cleared INTEGER,
    CHECK ((connector IS NULL) <> (subject IS NULL))
) STRICT;
INSERT INTO all_alerts (id, connector, kind, message, since, raised, cleared)
SELECT id, connector, kind, message, since, raised, cleared FROM alerts ORDER BY rowid;

CREATE TABLE all_deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    alert TEXT NOT NULL REFERENCES all_alerts (id),
    webhook TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL
) STRICT;
INSERT INTO all_deliveries (number, id, alert, webhook, body, attempts, created, due)
SELECT number, id, alert, webhook, body, attempts, created, due FROM deliveries;

DROP TABLE deliveries;
DROP TABLE alerts;
ALTER TABLE all_alerts RENAME TO alerts;
ALTER TABLE all_deliveries RENAME TO deliveries;

CREATE UNIQUE INDEX open_alerts ON alerts (coalesce(connector, ''), coalesce(subject, ''), kind) WHERE cleared IS NULL;
CREATE INDEX alerts_by_time ON alerts (raised);
CREATE INDEX alerts_by_end ON alerts (cleared) WHERE cleared IS NOT NULL;
CREATE INDEX deliveries_by_due ON deliveries (webhook, due);
CREATE INDEX deliveries_by_alert ON deliveries (alert);
";

/// All steps of `journal.sqlite`, in the order of their release. It only ever grows at its end: a new step of the catalogue
/// is written there, behind whatever the journal has released by then.
pub(crate) fn migrations() -> Vec<M<'static>> {
    let mut steps = journal::migrations();
    let mut later = steps.split_off(JOURNAL_BEFORE_CATALOGUE.min(steps.len()));
    let mut newer = later.split_off(JOURNAL_BEFORE_STATUS.min(later.len()));
    let newest = newer.split_off(JOURNAL_BEFORE_HOST_ALERTS.min(newer.len()));
    steps.push(M::up(CATALOGUE));
    steps.extend(later);
    steps.push(M::up(STATUS));
    steps.push(M::up(ACCESS));
    steps.push(M::up(ALERTS));
    steps.extend(newer);
    steps.push(M::up(HOST_ALERTS));
    steps.extend(newest);
    steps
}

//! What is known of a machine goes into its asset, and two assets become one.
//!
//! Each shown field has the time of the record that it comes from: an older record fills it only where there is none.

use super::identity::{Placed, Sighting};
use super::machine::{Kind, Machine};
use super::schema::{loaded, stored};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;

/// The fields with a time of their own, as columns.
const FIELDS: [&str; 5] = ["name", "hostname", "os", "mac", "tags"];

/// Merges two assets, and answers the one that stays: the older one, by when it was first seen.
pub(super) fn merge(
    database: &Connection,
    one: i64,
    other: i64,
    touched: &mut BTreeSet<i64>,
) -> rusqlite::Result<i64> {
    let first_seen = |asset: i64| -> rusqlite::Result<i64> {
        database
            .prepare_cached("SELECT first_seen FROM assets WHERE seq = ?1")?
            .query_row([asset], |row| row.get(0))
    };
    let (stays, goes) = match (first_seen(one)?, one) <= (first_seen(other)?, other) {
        true => (one, other),
        false => (other, one),
    };
    for field in FIELDS {
        database
            .prepare_cached(&format!(
                "UPDATE assets SET {field} = g.{field}, {field}_time = g.{field}_time
                 FROM (SELECT {field}, {field}_time FROM assets WHERE seq = ?2) AS g
                 WHERE seq = ?1 AND g.{field}_time > assets.{field}_time"
            ))?
            .execute([stays, goes])?;
    }
    for statement in [
        "UPDATE assets SET first_seen = min(first_seen, g.first), last_seen = max(last_seen, g.last)
         FROM (SELECT first_seen AS first, last_seen AS last FROM assets WHERE seq = ?2) AS g WHERE seq = ?1",
        "UPDATE identities SET asset = ?1 WHERE asset = ?2",
        "INSERT INTO addresses (asset, scope, ip, view, last, current)
         SELECT ?1, scope, ip, view, last, current FROM addresses WHERE asset = ?2
         ON CONFLICT DO UPDATE SET view = CASE WHEN excluded.last > last THEN excluded.view ELSE view END,
             last = max(last, excluded.last), current = max(current, excluded.current)",
        "INSERT INTO sources (asset, source) SELECT ?1, source FROM sources WHERE asset = ?2 ON CONFLICT DO NOTHING",
        "INSERT INTO classes (asset, class) SELECT ?1, class FROM classes WHERE asset = ?2 ON CONFLICT DO NOTHING",
        "UPDATE aliases SET asset = ?1 WHERE asset = ?2",
        "INSERT INTO aliases (alias, asset) SELECT id, ?1 FROM assets WHERE seq = ?2",
    ] {
        database.prepare_cached(statement)?.execute([stays, goes])?;
    }
    for statement in [
        "DELETE FROM addresses WHERE asset = ?1",
        "DELETE FROM sources WHERE asset = ?1",
        "DELETE FROM classes WHERE asset = ?1",
        "DELETE FROM assets WHERE seq = ?1",
    ] {
        database.prepare_cached(statement)?.execute([goes])?;
    }
    touched.remove(&goes);
    touched.insert(stays);
    Ok(stays)
}

/// Puts what a machine is described by into the asset where it was placed.
pub(super) fn describe(
    database: &Connection,
    machine: &Machine,
    sighting: Sighting<'_>,
    placed: Placed,
    source: &str,
) -> rusqlite::Result<()> {
    let asset = placed.asset;
    let time = stored(sighting.last);
    database
        .prepare_cached("UPDATE assets SET first_seen = min(first_seen, ?2), last_seen = max(last_seen, ?3) WHERE seq = ?1")?
        .execute(params![asset, stored(sighting.first), time])?;
    let list = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
    let macs = (!machine.macs.is_empty()).then(|| list(&machine.macs));
    let tags = machine.tags.as_deref().map(list);
    let values = [&machine.name, &machine.hostname, &machine.os, &macs, &tags];
    for (field, value) in FIELDS.into_iter().zip(values) {
        if let Some(value) = value {
            database
                .prepare_cached(&format!(
                    "UPDATE assets SET {field} = ?2, {field}_time = ?3 WHERE seq = ?1 AND {field}_time <= ?3"
                ))?
                .execute(params![asset, value, time])?;
        }
    }
    let source = machine.source.as_deref().unwrap_or(source);
    database
        .prepare_cached(
            "INSERT INTO sources (asset, source) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![asset, source])?;
    if let Some(class) = &machine.class {
        database
            .prepare_cached(
                "INSERT INTO classes (asset, class) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![asset, class])?;
    }
    if machine.ips.is_empty() {
        return Ok(());
    }
    let is_newest = sighting.last >= placed.viewed;
    if is_newest {
        // What it had under the same name and has no longer.
        database
            .prepare_cached("UPDATE addresses SET current = 0 WHERE asset = ?1 AND view = ?2")?
            .execute([asset, placed.view])?;
    }
    let scope = machine.address_scope(sighting.connector);
    for ip in &machine.ips {
        let current = is_newest
            && holder(database, sighting.tenant, &scope, ip)?.is_none_or(|holder| holder == asset);
        database
            .prepare_cached(
                "INSERT INTO addresses (asset, scope, ip, view, last, current) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET
                     view = CASE WHEN excluded.last >= last THEN excluded.view ELSE view END,
                     current = max(current, excluded.current), last = max(last, excluded.last)",
            )?
            .execute(params![asset, scope, ip, placed.view, time, current])?;
    }
    Ok(())
}

/// The asset that an address belongs to at present.
fn holder(
    database: &Connection,
    tenant: &str,
    scope: &str,
    ip: &str,
) -> rusqlite::Result<Option<i64>> {
    database
        .prepare_cached(
            "SELECT asset FROM identities WHERE tenant = ?1 AND kind = ?2 AND scope = ?3 AND value = ?4",
        )?
        .query_row(params![tenant, Kind::Address as i64, scope, ip], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

/// Notes that an asset was seen at a time.
pub(super) fn saw(database: &Connection, asset: i64, time: u64) -> rusqlite::Result<bool> {
    let before: i64 = database
        .prepare_cached("SELECT last_seen FROM assets WHERE seq = ?1")?
        .query_row([asset], |row| row.get(0))?;
    if loaded(before) >= time {
        return Ok(false);
    }
    database
        .prepare_cached("UPDATE assets SET last_seen = ?2 WHERE seq = ?1")?
        .execute(params![asset, stored(time)])?;
    Ok(true)
}

//! Which asset a machine is.
//!
//! What it is recognised by is looked up, the strongest first. A match counts only if nothing stronger tells the two apart:
//! both have it, and it differs. The address counts only for machines that the vendor recognises by it. The strongest match
//! is the asset; the others that count are merged with it (see [`super::merge`]). What did not match becomes the asset's,
//! also what another asset has had, unless that was seen there later.

use super::machine::{Identity, Kind, Machine};
use super::merge;
use super::schema::{loaded, stored};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The namespace of asset ids (RFC 9562, version 5). The name is the tenant's id, and kind, scope and value of what the
/// asset was first recognised by, each preceded by its length in bytes.
const NAMESPACE: Uuid = Uuid::from_u128(0x2c9d_71e4_5b0a_4f36_8e17_d5a0_93c4_6b82);

/// From where a machine is told of, and when (milliseconds since 1970).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting<'a> {
    pub(super) tenant: &'a str,
    pub(super) connector: &'a str,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Where a machine was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) asset: i64,
    /// The key of what its detections and addresses are noted under: the vendor's host id, else the strongest identity.
    pub(super) view: i64,
    /// When it was last told of under that before, milliseconds since 1970.
    pub(super) viewed: u64,
}

/// An identity in the table.
struct Known {
    key: i64,
    asset: Option<i64>,
    time: u64,
}

fn known(
    database: &Connection,
    tenant: &str,
    identity: &Identity,
) -> rusqlite::Result<Option<Known>> {
    database
        .prepare_cached(
            "SELECT key, asset, time FROM identities WHERE tenant = ?1 AND kind = ?2 AND scope = ?3 AND value = ?4",
        )?
        .query_row(
            params![tenant, identity.kind as i64, identity.scope, identity.value],
            |row| {
                Ok(Known {
                    key: row.get(0)?,
                    asset: row.get(1)?,
                    time: loaded(row.get(2)?),
                })
            },
        )
        .optional()
}

/// What an asset is recognised by, as far as it is at least as strong as `weakest`.
fn identities(database: &Connection, asset: i64, weakest: Kind) -> rusqlite::Result<Vec<Identity>> {
    database
        .prepare_cached(
            "SELECT kind, scope, value FROM identities WHERE asset = ?1 AND kind <= ?2",
        )?
        .query_map(params![asset, weakest as i64], |row| {
            let kind: i64 = row.get(0)?;
            Ok(Identity {
                kind: Kind::ALL
                    .into_iter()
                    .find(|known| *known as i64 == kind)
                    .unwrap_or(Kind::Address),
                scope: row.get(1)?,
                value: row.get(2)?,
            })
        })?
        .collect()
}

/// Whether something stronger than `than` tells two machines apart: both have it, within the same scope, and nothing of it is
/// the same.
fn differ(one: &[Identity], other: &[Identity], than: Kind) -> bool {
    one.iter()
        .filter(|identity| identity.kind < than)
        .any(|identity| {
            let alike =
                |found: &&Identity| found.kind == identity.kind && found.scope == identity.scope;
            let mut theirs = other.iter().filter(alike).peekable();
            theirs.peek().is_some()
                && !theirs.any(|theirs| {
                    let mine = one.iter().filter(alike);
                    mine.map(|mine| &mine.value)
                        .any(|value| *value == theirs.value)
                })
        })
}

/// Finds or makes the asset that a machine is. None if there is nothing to recognise it by, or nothing to tell of it yet.
/// `touched` gets the assets that have changed.
pub(super) fn place(
    database: &Connection,
    machine: &Machine,
    sighting: Sighting<'_>,
    may_create: bool,
    touched: &mut BTreeSet<i64>,
) -> rusqlite::Result<Option<Placed>> {
    let identities_of_it = machine.identities(sighting.connector);
    let mut found = Vec::with_capacity(identities_of_it.len());
    for identity in &identities_of_it {
        found.push(known(database, sighting.tenant, identity)?);
    }
    let mut asset: Option<i64> = None;
    for (identity, known) in identities_of_it.iter().zip(&found) {
        let Some(candidate) = known.as_ref().and_then(|known| known.asset) else {
            continue;
        };
        if asset == Some(candidate)
            || identity.kind == Kind::Address && !machine.is_tracked_by_address
            || differ(
                &identities_of_it,
                &identities(database, candidate, identity.kind)?,
                identity.kind,
            )
        {
            continue;
        }
        asset = Some(match asset {
            None => candidate,
            Some(other) => {
                let theirs = identities(database, candidate, identity.kind)?;
                if differ(
                    &identities(database, other, identity.kind)?,
                    &theirs,
                    identity.kind,
                ) {
                    continue;
                }
                // A merge above may have taken the candidate in.
                match still_there(database, candidate)? {
                    true => merge::merge(database, other, candidate, touched)?,
                    false => other,
                }
            }
        });
    }
    let recognises =
        |identity: &Identity| identity.kind != Kind::Address || machine.is_tracked_by_address;
    let asset = match asset {
        Some(asset) => asset,
        None => match identities_of_it
            .iter()
            .find(|identity| recognises(identity))
        {
            Some(first) if may_create => create(database, sighting, first)?,
            _ => return Ok(None),
        },
    };
    touched.insert(asset);
    let mut view = None;
    for identity in &identities_of_it {
        // Read again: a merge changes whose they are.
        let before = known(database, sighting.tenant, identity)?;
        let viewed = before.as_ref().map_or(0, |known| known.time);
        let key = claim(database, sighting, identity, asset, before, touched)?;
        if view.is_none() || identity.kind == Kind::Host {
            view = Some((key, viewed));
        }
    }
    Ok(view.map(|(view, viewed)| Placed {
        asset,
        view,
        viewed,
    }))
}

fn still_there(database: &Connection, asset: i64) -> rusqlite::Result<bool> {
    database
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM assets WHERE seq = ?1)")?
        .query_row([asset], |row| row.get(0))
}

fn create(
    database: &Connection,
    sighting: Sighting<'_>,
    first: &Identity,
) -> rusqlite::Result<i64> {
    let mut name = Vec::new();
    let kind = (first.kind as i64).to_string();
    for part in [sighting.tenant, &kind, &first.scope, &first.value] {
        name.extend((part.len() as u64).to_be_bytes());
        name.extend(part.as_bytes());
    }
    let mut insert = database.prepare_cached(
        "INSERT INTO assets (id, tenant, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING RETURNING seq",
    )?;
    // What an asset was first recognised by may have moved to another since.
    loop {
        let id = Uuid::new_v5(&NAMESPACE, &name).to_string();
        let seq = insert
            .query_row(
                params![
                    id,
                    sighting.tenant,
                    stored(sighting.first),
                    stored(sighting.last)
                ],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(seq) = seq
            && !is_alias(database, &id)?
        {
            return Ok(seq);
        }
        if let Some(seq) = seq {
            database.execute("DELETE FROM assets WHERE seq = ?1", [seq])?;
        }
        name.push(b'+');
    }
}

fn is_alias(database: &Connection, id: &str) -> rusqlite::Result<bool> {
    database
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM aliases WHERE alias = ?1)")?
        .query_row([id], |row| row.get(0))
}

/// Makes an identity the asset's, unless another asset was seen with it later; answers its key.
fn claim(
    database: &Connection,
    sighting: Sighting<'_>,
    identity: &Identity,
    asset: i64,
    before: Option<Known>,
    touched: &mut BTreeSet<i64>,
) -> rusqlite::Result<i64> {
    let Some(before) = before else {
        return database
            .prepare_cached(
                "INSERT INTO identities (tenant, kind, scope, value, asset, time)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING key",
            )?
            .query_row(
                params![
                    sighting.tenant,
                    identity.kind as i64,
                    identity.scope,
                    identity.value,
                    asset,
                    stored(sighting.last)
                ],
                |row| row.get(0),
            );
    };
    let is_elsewhere = before.asset.is_some_and(|other| other != asset);
    if is_elsewhere && before.time > sighting.last {
        return Ok(before.key);
    }
    if let Some(other) = before.asset.filter(|_| is_elsewhere) {
        touched.insert(other);
        if identity.kind == Kind::Address {
            database
                .prepare_cached(
                    "UPDATE addresses SET current = 0 WHERE asset = ?1 AND scope = ?2 AND ip = ?3",
                )?
                .execute(params![other, identity.scope, identity.value])?;
        }
    }
    if before.asset != Some(asset) || before.time < sighting.last {
        database
            .prepare_cached(
                "UPDATE identities SET asset = ?2, time = max(time, ?3) WHERE key = ?1",
            )?
            .execute(params![before.key, asset, stored(sighting.last)])?;
    }
    Ok(before.key)
}

/// The key of a vendor's host id; made, without an asset, if it was not heard of before: what is noted under it waits.
pub(super) fn host_key(
    database: &Connection,
    tenant: &str,
    connector: &str,
    host: &str,
) -> rusqlite::Result<i64> {
    let identity = Identity {
        kind: Kind::Host,
        scope: connector.to_owned(),
        value: host.trim().to_owned(),
    };
    match known(database, tenant, &identity)? {
        Some(known) => Ok(known.key),
        None => database
            .prepare_cached(
                "INSERT INTO identities (tenant, kind, scope, value, asset, time)
                 VALUES (?1, ?2, ?3, ?4, NULL, 0) RETURNING key",
            )?
            .query_row(
                params![tenant, Kind::Host as i64, identity.scope, identity.value],
                |row| row.get(0),
            ),
    }
}

/// The asset that a key belongs to.
pub(super) fn asset_of(database: &Connection, key: i64) -> rusqlite::Result<Option<i64>> {
    database
        .prepare_cached("SELECT asset FROM identities WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

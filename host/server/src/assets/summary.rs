//! The summary of an asset: what lists show and sort by, made of the other tables when blocks are committed.

use super::machine::Kind;
use rusqlite::{Connection, params};
use serde_json::json;
use std::collections::HashSet;
use std::net::IpAddr;

/// The words for severities, as columns.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "informational"];

/// Makes the summary of an asset; nothing happens if it was merged into another.
pub(super) fn refresh(database: &Connection, asset: i64) -> rusqlite::Result<()> {
    let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
        database
            .prepare_cached(sql)?
            .query_map([asset], |row| row.get(0))?
            .collect()
    };
    let addresses = texts("SELECT DISTINCT ip FROM addresses WHERE asset = ?1 AND current")?;
    let mut ips: Vec<(String, String)> = addresses.into_iter().map(|ip| (order(&ip), ip)).collect();
    ips.sort();
    let ip_order = ips.first().map(|(order, _)| order.clone());
    let ips: Vec<String> = ips.into_iter().map(|(_, ip)| ip).collect();
    let history: Vec<_> = database
        .prepare_cached(
            "SELECT ip, max(last) FROM addresses WHERE asset = ?1
             AND ip NOT IN (SELECT ip FROM addresses WHERE asset = ?1 AND current)
             GROUP BY ip ORDER BY max(last) DESC, ip",
        )?
        .query_map([asset], |row| {
            Ok(json!({"ip": row.get::<_, String>(0)?, "time": row.get::<_, i64>(1)?}))
        })?
        .collect::<Result<_, _>>()?;
    let sources = texts("SELECT source FROM sources WHERE asset = ?1 ORDER BY source")?;
    let classes = texts("SELECT class FROM classes WHERE asset = ?1 ORDER BY class")?;
    let aliases = texts("SELECT alias FROM aliases WHERE asset = ?1 ORDER BY alias")?;
    let vendor_ids: Vec<String> = database
        .prepare_cached("SELECT DISTINCT value FROM identities WHERE asset = ?1 AND kind = ?2 ORDER BY length(value), value")?
        .query_map([asset, Kind::Host as i64], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let found = Found::read(database, asset)?;
    let [critical, high, medium, low, informational] = found.by_severity;
    let list = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
    database
        .prepare_cached(
            "UPDATE assets SET ip = ?2, ip_order = ?3, iphistory = ?4, data_sources = ?5, vendor_ids = ?6, aliases = ?7,
                 open = ?8, critical = ?9, high = ?10, medium = ?11, low = ?12, informational = ?13, unknown = ?14,
                 cves = ?15, worst_qds = ?16, shown_name = coalesce(name, hostname, ?17, ?18, id), msg_class = ?19
             WHERE seq = ?1",
        )?
        .execute(params![
            asset,
            list(&ips),
            ip_order,
            serde_json::to_string(&history).unwrap_or_default(),
            list(&sources),
            list(&vendor_ids),
            list(&aliases),
            found.by_severity.iter().sum::<i64>() + found.unknown,
            critical,
            high,
            medium,
            low,
            informational,
            found.unknown,
            i64::try_from(found.cves.len()).unwrap_or(i64::MAX),
            found.worst_qds,
            ips.first(),
            vendor_ids.first(),
            list(&classes),
        ])?;
    Ok(())
}

/// An address so that texts have the order of the addresses, version 4 first.
fn order(ip: &str) -> String {
    match ip.parse() {
        Ok(IpAddr::V4(address)) => format!("4{:08x}", address.to_bits()),
        Ok(IpAddr::V6(address)) => format!("6{:032x}", address.to_bits()),
        Err(_) => format!("9{ip}"),
    }
}

/// What is open on an asset.
#[derive(Default)]
struct Found {
    by_severity: [i64; 5],
    unknown: i64,
    cves: HashSet<String>,
    worst_qds: Option<f64>,
}

impl Found {
    fn read(database: &Connection, asset: i64) -> rusqlite::Result<Self> {
        let mut found = Self::default();
        let mut statement = database.prepare_cached(
            "SELECT severity, qds, cve FROM detections WHERE closed IS NULL
             AND host IN (SELECT key FROM identities WHERE asset = ?1)",
        )?;
        let mut rows = statement.query([asset])?;
        while let Some(row) = rows.next()? {
            let severity = row.get_ref(0)?.as_str_or_null()?.unwrap_or_default();
            match SEVERITIES
                .iter()
                .position(|word| word.eq_ignore_ascii_case(severity))
            {
                Some(place) => found.by_severity[place] += 1,
                None => found.unknown += 1,
            }
            if let Some(qds) = row.get::<_, Option<f64>>(1)? {
                found.worst_qds = Some(found.worst_qds.map_or(qds, |worst| worst.max(qds)));
            }
            let cve = row.get_ref(2)?.as_str()?;
            if cve.len() > "[]".len() {
                found
                    .cves
                    .extend(serde_json::from_str::<Vec<String>>(cve).unwrap_or_default());
            }
        }
        Ok(found)
    }
}

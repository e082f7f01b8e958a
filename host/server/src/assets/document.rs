//! An asset, as it is shown: in lists, in searches and in exports. Times are milliseconds since 1970.

use super::schema::loaded;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A machine.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub(crate) struct AssetDocument {
    /// Never changes.
    pub(crate) id: String,
    /// The host's name; where there is none, its address or the vendor's id.
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    /// The addresses that it has.
    pub(crate) ip: Vec<String>,
    /// Hardware addresses, as `00-00-5E-00-53-23`.
    pub(crate) mac: Vec<String>,
    /// The addresses that it had, the last one first.
    pub(crate) iphistory: Vec<FormerAddress>,
    /// The operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) os: Option<String>,
    /// What told of it.
    pub(crate) data_sources: Vec<String>,
    /// The classes of the records that told of it.
    pub(crate) msg_class: Vec<String>,
    /// `new`.
    pub(crate) state: String,
    pub(crate) first_seen: u64,
    pub(crate) last_seen: u64,
    pub(crate) tenantid: String,
    pub(crate) tenant_name: String,
    /// The ids that vendors know it by.
    pub(crate) vendor_ids: Vec<String>,
    /// Ids of assets that turned out to be this one.
    pub(crate) aliases: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) open_detections: OpenDetections,
    /// Different CVEs of its open detections.
    pub(crate) cves: u64,
    /// The largest QDS of its open detections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) worst_qds: Option<f64>,
}

/// An address that an asset had.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub(crate) struct FormerAddress {
    pub(crate) ip: String,
    /// When it was last seen there.
    pub(crate) time: u64,
}

/// How many detections are open, by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub(crate) struct OpenDetections {
    pub(crate) critical: u64,
    pub(crate) high: u64,
    pub(crate) medium: u64,
    pub(crate) low: u64,
    pub(crate) informational: u64,
    /// Without a severity, or with another one.
    pub(crate) unknown: u64,
}

impl OpenDetections {
    /// All of them.
    pub(crate) const fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.informational + self.unknown
    }
}

/// An asset with what is open on it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub(crate) struct AssetWithDetections {
    pub(crate) asset: AssetDocument,
    /// The open ones, the most severe first.
    pub(crate) detections: Vec<OpenDetection>,
}

/// A detection that is open.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub(crate) struct OpenDetection {
    /// As the vendor knows it on this machine.
    pub(crate) id: String,
    /// What was found, as the vendor calls it.
    pub(crate) vulnerability: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) qds: Option<f64>,
    pub(crate) cve: Vec<String>,
    /// The event times of the first and last record about it.
    pub(crate) first_seen: u64,
    pub(crate) last_seen: u64,
}

/// The columns that [`AssetDocument::of_row`] reads, of `assets a JOIN tenants t`.
pub(super) const COLUMNS: &str = "a.seq, a.id, a.shown_name, a.hostname, a.ip, a.mac, a.iphistory, a.os, a.data_sources, a.state,
    a.first_seen, a.last_seen, a.tenant, t.name, a.vendor_ids, a.aliases, a.tags,
    a.critical, a.high, a.medium, a.low, a.informational, a.unknown, a.cves, a.worst_qds, a.msg_class";

/// A list that was written here.
fn list<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<T>> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

impl AssetDocument {
    /// A row of [`COLUMNS`]: its place in the order of creation, and the asset.
    pub(super) fn of_row(row: &Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let number = |column: usize| row.get(column).map(loaded);
        let asset = Self {
            id: row.get(1)?,
            name: row.get(2)?,
            hostname: row.get(3)?,
            ip: list(row, 4)?,
            mac: list(row, 5)?,
            iphistory: list(row, 6)?,
            os: row.get(7)?,
            data_sources: list(row, 8)?,
            msg_class: list(row, 25)?,
            state: row.get(9)?,
            first_seen: number(10)?,
            last_seen: number(11)?,
            tenantid: row.get(12)?,
            tenant_name: row.get(13)?,
            vendor_ids: list(row, 14)?,
            aliases: list(row, 15)?,
            tags: list(row, 16)?,
            open_detections: OpenDetections {
                critical: number(17)?,
                high: number(18)?,
                medium: number(19)?,
                low: number(20)?,
                informational: number(21)?,
                unknown: number(22)?,
            },
            cves: number(23)?,
            worst_qds: row.get(24)?,
        };
        Ok((row.get(0)?, asset))
    }

    /// As JSON.
    pub(crate) fn to_value(&self) -> Value {
        // Plain data with text keys: it cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A row of `detections`: identity, vulnerability, title, status, severity, qds, cve, first_seen, last_seen.
pub(super) fn detection(row: &Row<'_>) -> rusqlite::Result<OpenDetection> {
    Ok(OpenDetection {
        id: row.get(0)?,
        vulnerability: row.get(1)?,
        title: row.get(2)?,
        status: row.get(3)?,
        severity: row.get(4)?,
        qds: row.get(5)?,
        cve: list(row, 6)?,
        first_seen: row.get(7).map(loaded)?,
        last_seen: row.get(8).map(loaded)?,
    })
}

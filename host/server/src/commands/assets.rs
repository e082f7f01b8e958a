//! `assets list` and `assets show`, and how every command gets assets that know the whole journal.

use super::consumers::await_consumer;
use crate::answer::Answer;
use crate::api::assets::AssetList;
use crate::arguments::{AssetsCommand, Global, ListAssets};
use crate::assets::column::Column;
use crate::assets::document::{AssetDocument, AssetWithDetections};
use crate::assets::store::{AssetFilter, AssetPage, Shown};
use crate::assets::{AssetConsumer, AssetError, AssetStore, NAME};
use crate::client::Client;
use crate::connectors::Catalogue;
use crate::connectors::error::CatalogueError;
use crate::failure::Failure;
use crate::search::request::Scope;
use crate::{consumers, figures, host, table};
use indicatif::MultiProgress;

/// Addresses of one machine that a table has room for.
const ROOM: usize = 2;

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(
    global: &Global,
    command: &AssetsCommand,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    match command {
        AssetsCommand::List(wanted) => list(global, wanted, screen).await,
        AssetsCommand::Show { asset, tenant } => {
            show(global, asset, tenant.as_deref(), screen).await
        }
    }
}

/// The assets, as far as the journal goes now: whoever serves is waited for; if nobody does, they are made here.
///
/// # Errors
/// If another command owns the data directory, or the process that serves does not come that far.
pub(crate) async fn up_to_date(
    global: &Global,
    screen: &MultiProgress,
) -> Result<AssetStore, Failure> {
    let directory = host::data_directory(global)?;
    let store = AssetStore::new(&directory);
    let Some(reader) = Catalogue::read_if_any(&directory)? else {
        return Ok(store);
    };
    let end = reader.journal().last_offset()?;
    drop(reader);
    // An older or damaged file is brought up to date by whoever writes it.
    let is_there = || matches!(store.offset(), Ok(offset) if offset >= end);
    if is_there() && directory.join(crate::assets::FILE_NAME).is_file() {
        return Ok(store);
    }
    match Client::find(global)? {
        Some(client) => await_consumer(&client, &directory, NAME).await?,
        None => {
            let catalogue = Catalogue::open(&directory)?;
            let mut consumer = AssetConsumer::new(&directory);
            consumers::catch_up(catalogue.journal(), &mut consumer, screen)?;
        }
    }
    Ok(store)
}

async fn list(
    global: &Global,
    wanted: &ListAssets,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    // Before anything is read: a mistake needs no waiting.
    let column =
        |name: &str| Column::named(name).map_err(|error| Failure::Usage(error.to_string()));
    let mut filter = AssetFilter {
        conditions: Vec::new(),
        tenant: wanted.tenant.clone(),
    };
    for (name, value) in &wanted.filters {
        filter.conditions.push((column(name)?, value.clone()));
    }
    let (sort, downwards) = match wanted.sort.as_deref() {
        None => (None, false),
        Some(name) => match name.strip_prefix('-') {
            Some(name) => (Some(column(name)?), true),
            None => (Some(column(name)?), false),
        },
    };
    let page = AssetPage {
        sort,
        downwards,
        offset: wanted.offset,
        limit: wanted.limit,
    };
    let store = up_to_date(global, screen).await?;
    let found = store
        .list(&Scope::default(), &filter, page)
        .map_err(|error| match error {
            AssetError::Column(error) => Failure::Usage(error.to_string()),
            error => error.into(),
        })?;
    let text = describe(&found.assets, found.total);
    let document = AssetList {
        total: found.total,
        assets: found.assets,
    };
    Ok(Answer::new(text, &document, 0))
}

fn describe(assets: &[AssetDocument], total: usize) -> String {
    if assets.is_empty() {
        return match total {
            0 => "There are no such assets.".into(),
            _ => format!(
                "There are {} assets, and none on this page.",
                figures::count(total as u64)
            ),
        };
    }
    let rows: Vec<_> = assets
        .iter()
        .map(|asset| {
            let open = &asset.open_detections;
            [
                asset.name.clone(),
                some(&asset.ip),
                asset.os.clone().unwrap_or_else(|| "-".into()),
                figures::count(open.total()),
                figures::count(open.critical),
                figures::count(open.high),
                figures::count(asset.cves),
                asset
                    .worst_qds
                    .map_or_else(|| "-".into(), |qds| qds.to_string()),
                figures::moment(asset.last_seen),
                asset.tenant_name.clone(),
            ]
        })
        .collect();
    let mut text = table::of(
        [
            "NAME",
            "IP",
            "OS",
            "OPEN",
            "CRITICAL",
            "HIGH",
            "CVES",
            "QDS",
            "LAST SEEN",
            "TENANT",
        ],
        &rows,
    );
    if assets.len() < total {
        text.push_str(&format!(
            "\n{} of {} assets; --limit and --offset show others",
            figures::count(assets.len() as u64),
            figures::count(total as u64)
        ));
    }
    text
}

fn some(texts: &[String]) -> String {
    let shown = texts.get(..ROOM).unwrap_or(texts).join(", ");
    match texts.len() {
        0 => "-".into(),
        length if length > ROOM => format!("{shown} and {} more", length - ROOM),
        _ => shown,
    }
}

async fn show(
    global: &Global,
    reference: &str,
    tenant: Option<&str>,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let unknown = || CatalogueError::Unknown {
        thing: "asset",
        name: reference.to_owned(),
        known: Vec::new(),
    };
    let store = up_to_date(global, screen).await?;
    let mut scope = Scope::default();
    if let Some(tenant) = tenant {
        scope.tenant = Some(store.tenant(tenant)?.ok_or_else(unknown)?);
    }
    match store.show(&scope, reference)? {
        Shown::One(found) => Ok(Answer::new(describe_one(&found), &found, 0)),
        Shown::Several(ids) => Err(CatalogueError::Conflict(format!(
            "several assets are called `{reference}`; say which by its id: {}",
            ids.join(", ")
        ))
        .into()),
        Shown::None => Err(unknown().into()),
    }
}

fn describe_one(found: &AssetWithDetections) -> String {
    let asset = &found.asset;
    let list = |texts: &[String]| match texts {
        [] => "-".to_owned(),
        texts => texts.join(", "),
    };
    let history: Vec<String> = asset
        .iphistory
        .iter()
        .map(|former| format!("{} until {}", former.ip, figures::moment(former.time)))
        .collect();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let open = &asset.open_detections;
    let lines = [
        ("id", asset.id.clone()),
        ("hostname", text(&asset.hostname)),
        ("ip", list(&asset.ip)),
        ("had", list(&history)),
        ("mac", list(&asset.mac)),
        ("os", text(&asset.os)),
        ("tags", list(&asset.tags)),
        ("sources", list(&asset.data_sources)),
        ("classes", list(&asset.msg_class)),
        ("vendor ids", list(&asset.vendor_ids)),
        ("was", list(&asset.aliases)),
        ("tenant", asset.tenant_name.clone()),
        ("state", asset.state.clone()),
        (
            "seen",
            format!(
                "{} to {}",
                figures::moment(asset.first_seen),
                figures::moment(asset.last_seen)
            ),
        ),
        (
            "open",
            format!(
                "{} ({} critical, {} high, {} medium, {} low, {} informational, {} unknown), {}",
                figures::counted(open.total(), "detection"),
                open.critical,
                open.high,
                open.medium,
                open.low,
                open.informational,
                open.unknown,
                figures::counted(asset.cves, "CVE"),
            ),
        ),
    ];
    let mut shown = crate::report::printable(&asset.name);
    for (label, value) in lines {
        shown.push_str(&format!(
            "\n  {label:<10}  {}",
            crate::report::printable(&value)
        ));
    }
    if found.detections.is_empty() {
        return shown;
    }
    let rows: Vec<_> = found
        .detections
        .iter()
        .map(|detection| {
            [
                text(&detection.severity),
                text(&detection.vulnerability),
                detection
                    .qds
                    .map_or_else(|| "-".into(), |qds| qds.to_string()),
                text(&detection.status),
                figures::moment(detection.last_seen),
                some(&detection.cve),
                text(&detection.title),
            ]
        })
        .collect();
    let table = table::of(
        [
            "SEVERITY",
            "VULNERABILITY",
            "QDS",
            "STATUS",
            "LAST SEEN",
            "CVE",
            "TITLE",
        ],
        &rows,
    );
    format!("{shown}\n\n{table}")
}

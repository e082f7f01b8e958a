//! A record, read as far as the assets need it: nothing of the vendor's own object, and the machine only once for all
//! records in a row that say the same of it.
//!
//! What has another type than expected counts as missing: a plugin writes bodies as it likes.

use super::finding::Finding;
use super::machine::{Machine, Parts};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The parts of a record, unread.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    pub(super) timestamp: u64,
    #[serde(borrow, default)]
    srcip: Option<&'a RawValue>,
    #[serde(borrow, default)]
    host: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cloud: Option<&'a RawValue>,
    #[serde(borrow, default)]
    asset: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vulnerability: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg_origin: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg_class: Option<&'a RawValue>,
}

/// What a record says of its machine, as it is written: two records that agree in it agree in everything about the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Written<'a>([Option<&'a str>; 6]);

impl<'a> Record<'a> {
    /// Reads a record; none if it is no record.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    pub(super) fn written(&self) -> Written<'a> {
        let text = |part: Option<&'a RawValue>| part.map(RawValue::get);
        Written([
            text(self.srcip),
            text(self.host),
            text(self.cloud),
            text(self.asset),
            text(self.msg_origin),
            text(self.msg_class),
        ])
    }

    /// The machine that the record is about.
    pub(super) fn machine(&self) -> Machine {
        let host: Host<'_> = part(self.host);
        let cloud: Cloud<'_> = part(self.cloud);
        let asset: Asset<'_> = part(self.asset);
        let origin: Origin<'_> = part(self.msg_origin);
        let srcip: Option<Text<'_>> = part(self.srcip);
        let ips = host.ip.0.into_iter().chain(srcip).map(Text::owned);
        Machine::new(Parts {
            agent: owned(asset.id),
            instance: owned(cloud.instance.id),
            host: owned(host.id),
            macs: host.mac.0.into_iter().map(Text::owned).collect(),
            network: owned(asset.network),
            tracking: owned(asset.tracking),
            ips: ips.collect(),
            name: owned(host.name),
            hostname: owned(host.hostname),
            os: owned(host.os.full),
            tags: asset
                .tags
                .map(|tags| tags.0.into_iter().map(Text::owned).collect()),
            source: owned(origin.source),
            class: owned(part(self.msg_class)),
        })
    }

    /// What was found, if the record is about that.
    pub(super) fn finding(&self) -> Option<Finding<'a>> {
        let found: Vulnerability<'a> = part(Some(self.vulnerability?));
        let event: Event<'a> = part(self.event);
        let identity = event.id.or(found.finding_id).or_else(|| found.id.clone())?;
        Some(Finding {
            identity: identity.0,
            vulnerability: found.id.map(|text| text.0),
            title: found.title.map(|text| text.0),
            status: found.status.map(|text| text.0),
            severity: found.severity.map(|text| text.0),
            qds: found
                .qds
                .and_then(|text| text.0.parse().ok())
                .filter(|qds: &f64| qds.is_finite()),
            cve: found.cve.0.into_iter().map(|text| text.0).collect(),
            time: self.timestamp,
        })
    }
}

fn part<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(Text::owned)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Host<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    ip: Texts<'a>,
    #[serde(borrow, deserialize_with = "lenient")]
    mac: Texts<'a>,
    #[serde(borrow, deserialize_with = "lenient")]
    name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    hostname: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    os: Os<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Os<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    full: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cloud<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    instance: Instance<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Instance<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asset<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    network: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    tracking: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    tags: Option<Texts<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Origin<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    source: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Vulnerability<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    finding_id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    title: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    status: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    severity: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    qds: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    cve: Texts<'a>,
}

/// A value; the default if it is of another kind than it should be, so that what stands beside it counts.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(part(Some(raw)))
}

/// A text; numbers count as what is written.
#[derive(Clone, Default)]
struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    fn owned(self) -> String {
        self.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Texts; one alone counts as a list.
#[derive(Clone, Default)]
struct Texts<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let one = |raw: &'de RawValue| serde_json::from_str::<Text<'de>>(raw.get()).ok();
        Ok(Self(
            match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                Ok(many) => many.into_iter().filter_map(one).collect(),
                Err(_) => one(raw).into_iter().collect(),
            },
        ))
    }
}

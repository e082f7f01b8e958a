//! Elements: which ones are known, and what shape each takes in a record.
//!
//! The list follows the vendor's document types. What is not in it is kept all the same, as an object or text, and counted.

use crate::bytes::same;

/// What an element is, as far as its children and its shape are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `HOST`.
    Host,
    /// `DETECTION`.
    Detection,
    /// `DNS_DATA`.
    DnsData,
    /// `USER_DEF`.
    UserDef,
    /// `METADATA`: one child for each cloud.
    Metadata,
    /// `TRURISK_SCORE_FACTORS`, `ARS_FACTORS`.
    RiskFactors,
    /// A wrapper whose children become an array.
    List(ListOf),
    /// A child of such a wrapper.
    Member(ListOf),
    /// `VULN_COUNT`: an array in its parent.
    VulnCount,
    /// `QDS`: its text is a score.
    Qds,
    /// A known element that holds text.
    Leaf,
    /// Where the detection sources of API 5.0 are; how they are nested is not documented.
    Open,
    /// Nobody has heard of it.
    Unknown,
}

/// What a wrapper holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListOf {
    /// `TAG`
    Tags,
    /// `ATTRIBUTE` of a cloud.
    Attributes,
    /// `CLOUD_TAG`
    CloudTags,
    /// `QDS_FACTOR`
    QdsFactors,
}

impl ListOf {
    const fn member(self) -> &'static [u8] {
        match self {
            Self::Tags => b"TAG",
            Self::Attributes => b"ATTRIBUTE",
            Self::CloudTags => b"CLOUD_TAG",
            Self::QdsFactors => b"QDS_FACTOR",
        }
    }
}

/// The elements of a detection that have a place of their own in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Unique,
    Qid,
    Severity,
    Status,
    Qds,
    QdsFactors,
    Cves,
    Port,
    Protocol,
    Ssl,
    Fqdn,
    Service,
    Instance,
    LastProcessed,
    LastUpdate,
    LastFound,
    FirstFound,
    /// Anything else.
    Other,
}

fn field(parent: Class, name: &[u8]) -> Field {
    if parent != Class::Detection {
        return Field::Other;
    }
    match name {
        b"UNIQUE_VULN_ID" => Field::Unique,
        b"QID" => Field::Qid,
        b"SEVERITY" => Field::Severity,
        b"STATUS" => Field::Status,
        b"QDS" => Field::Qds,
        b"QDS_FACTORS" => Field::QdsFactors,
        b"ASSET_CVE" => Field::Cves,
        b"PORT" => Field::Port,
        b"PROTOCOL" => Field::Protocol,
        b"SSL" => Field::Ssl,
        b"FQDN" => Field::Fqdn,
        b"SERVICE" => Field::Service,
        b"INSTANCE" => Field::Instance,
        b"LAST_PROCESSED_DATETIME" => Field::LastProcessed,
        b"LAST_UPDATE_DATETIME" => Field::LastUpdate,
        b"LAST_FOUND_DATETIME" => Field::LastFound,
        b"FIRST_FOUND_DATETIME" => Field::FirstFound,
        _ => Field::Other,
    }
}

/// The classes of names that came by lately. A page says the same few names over and over, and finding one among all known ones takes many
/// comparisons; here it takes one.
#[derive(Debug)]
pub(crate) struct Names(Vec<Option<KnownName>>);

/// A parent's class, a name below it, and what that is.
type KnownName = (Class, Vec<u8>, (Class, Field));

impl Default for Names {
    fn default() -> Self {
        Self((0..256).map(|_| None).collect())
    }
}

impl Names {
    /// The class of a child of `parent`; `hash` is the name's.
    pub(crate) fn look_up(&mut self, parent: Class, name: &[u8], hash: u32) -> (Class, Field) {
        let slot = &mut self.0[(hash >> 8) as usize % 256];
        if let Some((own_parent, own_name, found)) = slot
            && *own_parent == parent
            && same(own_name, name)
        {
            return *found;
        }
        let found = (class(parent, name), field(parent, name));
        if found.0 != Class::Unknown && name.len() <= 64 {
            *slot = Some((parent, name.to_vec(), found));
        }
        found
    }
}

const fn known(yes: bool) -> Class {
    if yes { Class::Leaf } else { Class::Unknown }
}

/// The class of a child of `parent`.
fn class(parent: Class, name: &[u8]) -> Class {
    match parent {
        Class::Host => host(name),
        Class::Detection => detection(name),
        Class::DnsData => known(matches!(name, b"HOSTNAME" | b"DOMAIN" | b"FQDN")),
        Class::UserDef => known(matches!(
            name,
            b"LABEL_1" | b"LABEL_2" | b"LABEL_3" | b"VALUE_1" | b"VALUE_2" | b"VALUE_3"
        )),
        Class::Metadata => match name {
            b"EC2" | b"GOOGLE" | b"GCP" | b"AZURE" | b"ALICLOUD" | b"IBM" | b"OCI" => {
                Class::List(ListOf::Attributes)
            }
            _ => Class::Unknown,
        },
        Class::RiskFactors => match name {
            b"VULN_COUNT" => Class::VulnCount,
            _ => known(matches!(name, b"TRURISK_SCORE_FORMULA" | b"ARS_FORMULA")),
        },
        Class::List(of) if name == of.member() => Class::Member(of),
        Class::Member(ListOf::Tags) => known(matches!(
            name,
            b"TAG_ID" | b"NAME" | b"COLOR" | b"BACKGROUND_COLOR"
        )),
        Class::Member(ListOf::Attributes) => known(matches!(
            name,
            b"NAME"
                | b"LAST_STATUS"
                | b"VALUE"
                | b"LAST_SUCCESS_DATE"
                | b"LAST_ERROR_DATE"
                | b"LAST_ERROR"
        )),
        Class::Member(ListOf::CloudTags) => {
            known(matches!(name, b"NAME" | b"VALUE" | b"LAST_SUCCESS_DATE"))
        }
        Class::Open => Class::Open,
        _ => Class::Unknown,
    }
}

fn host(name: &[u8]) -> Class {
    match name {
        b"ID"
        | b"ASSET_ID"
        | b"IP"
        | b"IPV6"
        | b"ASSET_RISK_SCORE"
        | b"TRURISK_SCORE"
        | b"ASSET_CRITICALITY_SCORE"
        | b"TRACKING_METHOD"
        | b"NETWORK_ID"
        | b"NETWORK_NAME"
        | b"DNS"
        | b"CLOUD_PROVIDER"
        | b"CLOUD_SERVICE"
        | b"CLOUD_RESOURCE_ID"
        | b"EC2_INSTANCE_ID"
        | b"NETBIOS"
        | b"OS"
        | b"OS_CPE"
        | b"QG_HOSTID"
        | b"LAST_BOOT"
        | b"SERIAL_NUMBER"
        | b"HARDWARE_UUID"
        | b"FIRST_FOUND_DATE"
        | b"LAST_ACTIVITY"
        | b"AGENT_STATUS"
        | b"CLOUD_AGENT_RUNNING_ON"
        | b"LAST_VULN_SCAN_DATETIME"
        | b"LAST_VM_SCANNED_DATE"
        | b"LAST_SCAN_DATETIME"
        | b"LAST_VM_SCANNED_DURATION"
        | b"LAST_VM_AUTH_SCANNED_DATE"
        | b"LAST_VM_AUTH_SCANNED_DURATION"
        | b"LAST_PC_SCANNED_DATE"
        | b"LAST_COMPLIANCE_SCAN_DATETIME"
        | b"LAST_SCAP_SCAN_DATETIME"
        | b"VM_AUTH_INSUFFICIENT_PRIVILEGE"
        | b"OWNER"
        | b"COMMENTS"
        | b"ASSET_GROUP_IDS" => Class::Leaf,
        b"DNS_DATA" => Class::DnsData,
        b"USER_DEF" => Class::UserDef,
        b"METADATA" => Class::Metadata,
        b"TAGS" | b"TAG_LIST" => Class::List(ListOf::Tags),
        b"CLOUD_PROVIDER_TAGS" => Class::List(ListOf::CloudTags),
        b"TRURISK_SCORE_FACTORS" | b"ARS_FACTORS" => Class::RiskFactors,
        _ => Class::Unknown,
    }
}

fn detection(name: &[u8]) -> Class {
    match name {
        b"UNIQUE_VULN_ID"
        | b"QID"
        | b"TYPE"
        | b"SEVERITY"
        | b"PORT"
        | b"PROTOCOL"
        | b"FQDN"
        | b"SSL"
        | b"INSTANCE"
        | b"RESULT_INSTANCE"
        | b"RESULTS"
        | b"STATUS"
        | b"FIRST_FOUND_DATETIME"
        | b"LAST_FOUND_DATETIME"
        | b"SOURCE"
        | b"TIMES_FOUND"
        | b"LAST_TEST_DATETIME"
        | b"LAST_UPDATE_DATETIME"
        | b"LAST_FIXED_DATETIME"
        | b"FIRST_REOPENED_DATETIME"
        | b"LAST_REOPENED_DATETIME"
        | b"TIMES_REOPENED"
        | b"SERVICE"
        | b"IS_IGNORED"
        | b"IS_DISABLED"
        | b"AFFECT_RUNNING_KERNEL"
        | b"AFFECT_RUNNING_SERVICE"
        | b"AFFECT_EXPLOITABLE_CONFIG"
        | b"LAST_PROCESSED_DATETIME"
        | b"ASSET_CVE"
        | b"MITRE_TACTIC_NAME"
        | b"MITRE_TACTIC_ID"
        | b"MITRE_TECHNIQUE_NAME"
        | b"MITRE_TECHNIQUE_ID"
        | b"TRURISK_ELIMINATION_STATUS" => Class::Leaf,
        b"QDS" => Class::Qds,
        b"QDS_FACTORS" => Class::List(ListOf::QdsFactors),
        b"VULNERABILITY_DETECTION_SOURCES" | b"LATEST_VULNERABILITY_DETECTION_SOURCE" => {
            Class::Open
        }
        _ => Class::Unknown,
    }
}

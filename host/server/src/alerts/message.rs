//! What a destination is sent, and how it knows that we sent it.
//!
//! The signature is that of Standard Webhooks: base64 of the HMAC-SHA256 of `id.timestamp.body`, so a receiver checks it with
//! any library of that name. The timestamp is that of the attempt, so that an old message cannot be sent again by another.

use crate::connectors::alert::StoredAlert;
use crate::figures;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::Serialize;
use zeroize::Zeroizing;

/// The version of the body; fields are added without a new one.
pub(crate) const VERSION: u32 = 1;
/// A secret that is written in base64 begins so.
const BASE64_PREFIX: &str = "whsec_";
/// The fewest bytes that a secret may have.
const SHORTEST_SECRET: usize = 24;

/// The body.
#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    /// `alert.raised` or `alert.cleared`.
    r#type: &'static str,
    /// When that was, RFC 3339.
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    alert: Alert<'a>,
    /// Null if it is about no connector.
    connector: Option<Named<'a>>,
    /// What it is about then.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    /// Null if it is no single tenant's.
    tenant: Option<Named<'a>>,
}

#[derive(Serialize)]
struct Alert<'a> {
    id: &'a str,
    kind: &'a str,
    message: &'a str,
    since: String,
    raised: String,
    cleared: Option<String>,
}

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    name: &'a str,
}

fn named<'a>(id: &'a Option<String>, name: &'a Option<String>) -> Option<Named<'a>> {
    let (id, name) = id.as_deref().zip(name.as_deref())?;
    Some(Named { id, name })
}

/// What is sent about an alert that was raised or cleared.
pub(crate) fn body(alert: &StoredAlert) -> String {
    let (r#type, time) = match alert.cleared {
        None => ("alert.raised", alert.raised),
        Some(cleared) => ("alert.cleared", cleared),
    };
    let body = Body {
        version: VERSION,
        r#type,
        timestamp: figures::moment(time),
        data: Data {
            alert: Alert {
                id: &alert.id,
                kind: &alert.kind,
                message: &alert.message,
                since: figures::moment(alert.since),
                raised: figures::moment(alert.raised),
                cleared: alert.cleared.map(figures::moment),
            },
            connector: named(&alert.connector_id, &alert.connector).map(|named| Named {
                name: named
                    .name
                    .split_once('/')
                    .map_or(named.name, |(_, name)| name),
                ..named
            }),
            subject: alert.subject.as_deref(),
            tenant: named(&alert.tenant_id, &alert.tenant),
        },
    };
    // Plain data with text keys: serialising it cannot fail.
    serde_json::to_string(&body).unwrap_or_default()
}

/// The key behind a secret that was typed: `whsec_` and base64, or any other text as it is.
///
/// # Errors
/// If it is too short or not base64; the message continues a sentence that begins with the setting's name.
pub(crate) fn key(secret: &str) -> Result<hmac::Key, String> {
    let bytes = match secret.strip_prefix(BASE64_PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
            format!("begins with {BASE64_PREFIX}, and what follows is not base64; copy it again")
        })?,
        None => secret.as_bytes().to_vec(),
    };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() < SHORTEST_SECRET {
        return Err(format!(
            "has {} bytes, and at least {SHORTEST_SECRET} are needed; `openssl rand -base64 32` makes a good one",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The value of `webhook-signature`; `timestamp` in seconds since 1970, `body` as it is sent.
pub(crate) fn signature(
    key: &hmac::Key,
    id: &str,
    timestamp: u64,
    body: impl AsRef<[u8]>,
) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body.as_ref());
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    /// RFC 2104, written out.
    fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut block = [0_u8; 64];
        block[..key.len()].copy_from_slice(key);
        let inner = Sha256::new()
            .chain_update(block.map(|byte| byte ^ 0x36))
            .chain_update(text)
            .finalize();
        Sha256::new()
            .chain_update(block.map(|byte| byte ^ 0x5c))
            .chain_update(inner)
            .finalize()
            .to_vec()
    }

    #[test]
    fn the_signature_is_that_of_an_independent_computation() {
        let secret = b"a secret of twenty-four b";
        let encoded = format!("whsec_{}", STANDARD.encode(secret));
        for typed in [encoded.as_str(), std::str::from_utf8(secret).unwrap()] {
            let signed = signature(&key(typed).unwrap(), "msg_1", 1_772_442_900, "{\"a\":1}");
            let expected = hmac_sha256(secret, b"msg_1.1772442900.{\"a\":1}");
            assert_eq!(signed, format!("v1,{}", STANDARD.encode(expected)));
        }
    }

    #[test]
    fn a_secret_that_is_too_short_or_no_base64_is_refused_without_being_quoted() {
        for secret in ["hunter2-hunter2", "whsec_hunter2!", "whsec_aHVudGVyMg=="] {
            let message = key(secret).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
            assert!(!message.contains("aHVudGVyMg"), "{message}");
        }
    }
}

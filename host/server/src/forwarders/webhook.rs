//! Webhooks: records as signed batches of NDJSON, to any address that takes them.
//!
//! A batch holds records of one block of the journal, and depends on nothing but the block and the limits that are
//! configured: sent again, after a failure or a restart, it is the same text with the same `webhook-id`, so a receiver that
//! remembers ids takes each once. Signed as Standard Webhooks has it: `webhook-signature` is `v1,` and the base64 of the
//! HMAC-SHA256 of `id.timestamp.body`, the body as it was sent, before it is unpacked.
//!
//! 2xx is taken. Anything else is tried again later; 410 too, but rarely, and with a sentence that says what to do.

use super::Forwarder;
use super::dead_letters::DeadLetters;
use super::destination::{Destination, packed};
use crate::alerts::message::signature;
use crate::alerts::webhook::{ID, SIGNATURE, TIMESTAMP};
use crate::consumers::{Consumer, ConsumerError, Interest};
use crate::formats::Format;
use connector_runtime::journal::StoredBlock;
use http::{Method, StatusCode, header};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Between attempts at a destination that says it is gone.
const REST_OF_THE_GONE: Duration = Duration::from_secs(3600);

/// What `host.toml` says.
#[derive(Clone)]
pub(crate) struct Options {
    /// What batches are signed with.
    pub(crate) key: hmac::Key,
    /// Whether they are compressed.
    pub(crate) gzip: bool,
    /// The most records of a batch.
    pub(crate) records: usize,
    /// The most bytes of a batch, before compression; a larger record goes alone.
    pub(crate) bytes: usize,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

/// See the module.
pub(crate) struct Webhook {
    forwarder: String,
    name: String,
    interest: Interest,
    format: Format,
    options: Options,
    destination: Destination,
    dead: DeadLetters,
}

/// Records of one block that are sent together.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    records: usize,
}

impl Webhook {
    /// The consumer of a forwarder of this kind.
    pub(crate) fn new(
        forwarder: &Forwarder,
        options: Options,
        destination: Destination,
        dead: DeadLetters,
    ) -> Self {
        Self {
            forwarder: forwarder.name.clone(),
            name: forwarder.consumer_name(),
            interest: forwarder.interest(),
            format: forwarder.format,
            options,
            destination,
            dead,
        }
    }

    /// The same for the same text of the same block, and for no other. Two blocks may hold the same text.
    fn id(&self, offset: u64, text: &[u8]) -> String {
        let digest = Sha256::new()
            .chain_update(self.forwarder.as_bytes())
            .chain_update([0])
            .chain_update(offset.to_be_bytes())
            .chain_update(text)
            .finalize();
        let digits = digest[..16].iter().map(|byte| format!("{byte:02x}"));
        format!("msg_{}", digits.collect::<String>())
    }

    fn send(&self, offset: u64, batch: Batch) -> Result<(), ConsumerError> {
        if batch.records == 0 {
            return Ok(());
        }
        let id = self.id(offset, &batch.text);
        let (body, encoding) = packed(batch.text, self.options.gzip);
        let timestamp = self.destination.seconds();
        let signed = signature(&self.options.key, &id, timestamp, &body);
        let mut request = self
            .destination
            .request(Method::POST)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(ID, id)
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signed);
        if let Some(encoding) = encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        // What the answer says besides its status is nobody's business.
        let answered = self.destination.exchange(request.body(body), 0)?;
        match answered.status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(self.destination.failed(
                "it wants nothing any more (HTTP 410); name another `url` in host.toml, or take the forwarder out and remove it from the consumers. Until then it is asked once an hour",
                Some(REST_OF_THE_GONE),
            )),
            _ => Err(self.destination.refused(&answered)),
        }
    }
}

impl Consumer for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, noted: u64) -> Result<u64, ConsumerError> {
        Ok(noted)
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        let mut batch = Batch::default();
        for record in block.records()?.iter() {
            let mut line = Vec::with_capacity(record.len() + 1);
            if let Err(error) = self.format.write(record, &mut line) {
                let reason = error.to_string();
                self.dead.put(block.offset, "format", &reason, record)?;
                continue;
            }
            line.push(b'\n');
            let is_full = batch.records >= self.options.records
                || batch.text.len() + line.len() > self.options.bytes;
            if is_full {
                self.send(block.offset, std::mem::take(&mut batch))?;
            }
            batch.text.extend_from_slice(&line);
            batch.records += 1;
        }
        self.send(block.offset, batch)
    }

    fn commit(&mut self, _: u64) -> Result<(), ConsumerError> {
        // Everything that was taken has been delivered.
        self.dead.sync()
    }
}

#[cfg(test)]
mod tests;

//! Examination: whether a forwarder's destination can be reached and written to, without a record being sent.

use super::dead_letters::make_private;
use super::destination::Destination;
use super::{Forwarder, Kind, Surroundings, Way, elasticsearch};
use crate::consumers::ConsumerError;
use connector_runtime::egress::NetworkError;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use uuid::Uuid;

/// What was found out: a sentence, and whether it is a good one.
pub(crate) struct Finding {
    pub(crate) passed: bool,
    pub(crate) message: String,
}

impl Forwarder {
    /// Looks at the destination.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub(crate) async fn examine(
        &self,
        surroundings: &Surroundings,
    ) -> Result<Finding, NetworkError> {
        let found = match &self.kind {
            Kind::Files(options) => write_and_delete(&options.path).map_err(|error| {
                ConsumerError::Files(format!(
                    "forwarder {}: no file can be written in {} ({error}); look at the path, the permissions and the disk",
                    self.name,
                    options.path.display()
                ))
            }),
            Kind::Elasticsearch(options, way) => {
                let destination = self.way_out(way, surroundings)?;
                elasticsearch::greet(&destination, options)
                    .await
                    .map(|product| {
                        format!(
                            "{product} at {} took the credential; no document was written, so whether it may be shows with the first",
                            destination.host()
                        )
                    })
            }
            Kind::Webhook(_, way) => self.look_up(way, surroundings).await?,
        };
        Ok(match found {
            Ok(message) => Finding {
                passed: true,
                message,
            },
            Err(error) => Finding {
                passed: false,
                message: error.to_string(),
            },
        })
    }

    async fn look_up(
        &self,
        way: &Way,
        surroundings: &Surroundings,
    ) -> Result<Result<String, ConsumerError>, NetworkError> {
        let destination: Destination = self.way_out(way, surroundings)?;
        Ok(destination.resolve().await.map(|()| {
            format!(
                "{} has an address that may be reached; a webhook can be asked nothing, so its certificate, and whether it takes the signature, show with the first delivery",
                destination.host()
            )
        }))
    }
}

/// Makes a file where forwarded ones will be, and deletes it again.
fn write_and_delete(path: &Path) -> io::Result<String> {
    if !path.exists() {
        // As the forwarder itself will.
        make_private(path)?;
    }
    let trial = path.join(format!(".trial-{}", Uuid::new_v4().simple()));
    let written = File::create_new(&trial).and_then(|mut file| {
        file.write_all(b"{}\n")?;
        file.sync_all()
    });
    let deleted = fs::remove_file(&trial);
    written.and(deleted)?;
    Ok(format!("files can be written in {}", path.display()))
}

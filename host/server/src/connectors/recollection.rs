//! Reading again: what was dropped by a filter that is gone, or lost by whoever followed the records.

use super::Catalogue;
use super::error::CatalogueError;
use super::{event, listing};
use connector_runtime::journal::Recollection;

impl Catalogue {
    /// Lets the next run of a connector read these content types again, everything or what was processed since a moment
    /// (milliseconds since 1970). The records keep their ids; a run that is under way is refused its next commit.
    ///
    /// # Errors
    /// If there is no such connector, or it does not collect one of the content types.
    pub(crate) async fn recollect(
        &self,
        reference: &str,
        content_types: &[String],
        since_ms: Option<u64>,
    ) -> Result<Vec<String>, CatalogueError> {
        let (reference, wanted, now) =
            (reference.to_owned(), content_types.to_vec(), self.now_ms());
        self.change(move |database| {
            let connector = listing::find(database, &reference)?;
            for content_type in &wanted {
                if !connector.content_types.contains(content_type) {
                    return Err(CatalogueError::Unknown {
                        thing: "content type of this connector",
                        name: content_type.clone(),
                        known: connector.content_types.clone(),
                    });
                }
            }
            let content_types = match wanted.is_empty() {
                true => connector.content_types.clone(),
                false => wanted.clone(),
            };
            let recollection = Recollection {
                connector: connector.id.clone(),
                content_types: content_types.clone(),
                since_ms,
            };
            recollection.write(database)?;
            let text = format!("{} is to be read again", content_types.join(", "));
            event::note(database, now, Some(&connector.id), "recollect", &text)?;
            Ok(content_types)
        })
        .await
    }
}

//! Whoever may change the catalogue: this process, if it can own the data directory, or the one that serves it, asked through
//! its API.
//!
//! A command reads the catalogue itself either way, so that it says the same whoever has made the change.

mod accounts;

use crate::api::filters::{ConditionBody, FilterChange, NewFilter};
use crate::api::places::Named;
use crate::api::plugins::{Acceptance, Rotated};
use crate::api::runs::{RecollectReply, RecollectRequest, RunReply};
use crate::arguments::{CollectOptions, Global};
use crate::client::Client;
use crate::connectors::Catalogue;
use crate::connectors::definition::Entry;
use crate::connectors::listing::StoredConnector;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host;
use crate::service::{Accepted, ConnectorChange, NewConnector, TestReply};
use axum::http::Method;
use connector_runtime::interflow::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// See the module.
pub(crate) enum Keeper {
    /// This process owns the data directory.
    Here(Catalogue),
    /// Another serves it; the catalogue is to read.
    There(Client, Catalogue),
}

/// Whether anything has changed: false if it was so already.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Changed {
    pub(crate) changed: bool,
}

impl Keeper {
    /// Asks the process that serves the data directory if there is one; otherwise owns the directory.
    ///
    /// # Errors
    /// As [`Catalogue::open`].
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let directory = host::data_directory(global)?;
        Ok(match Client::find(global)? {
            Some(client) => Self::There(client, Catalogue::read(&directory)?),
            None => Self::Here(Catalogue::open(&directory)?),
        })
    }

    /// To read.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        match self {
            Self::Here(catalogue) | Self::There(_, catalogue) => catalogue,
        }
    }

    pub(crate) async fn add_tenant(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.add_tenant(name).await?),
            Self::There(client, _) => client.post(&["tenants"], &named(name)).await.map(drop),
        }
    }

    pub(crate) async fn rename_tenant(&self, name: &str, to: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.rename_tenant(name, to).await?),
            Self::There(client, _) => client.patch(&["tenants", name], &named(to)).await.map(drop),
        }
    }

    pub(crate) async fn delete_tenant(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.delete_tenant(name).await?),
            Self::There(client, _) => client.delete(&["tenants", name]).await.map(drop),
        }
    }

    pub(crate) async fn add_profile(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.add_profile(name).await?),
            Self::There(client, _) => client.post(&["profiles"], &named(name)).await.map(drop),
        }
    }

    pub(crate) async fn delete_profile(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.delete_profile(name).await?),
            Self::There(client, _) => client.delete(&["profiles", name]).await.map(drop),
        }
    }

    pub(crate) async fn add_to_profile(
        &self,
        profile: &str,
        connector: &str,
    ) -> Result<bool, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.add_to_profile(profile, connector).await?),
            Self::There(client, catalogue) => {
                let id = catalogue.connector(connector)?.id;
                client.put(&["profiles", profile, "connectors", &id]).await
            }
        }
    }

    pub(crate) async fn remove_from_profile(
        &self,
        profile: &str,
        connector: &str,
    ) -> Result<bool, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.remove_from_profile(profile, connector).await?),
            Self::There(client, catalogue) => {
                let id = catalogue.connector(connector)?.id;
                changed(
                    client
                        .delete(&["profiles", profile, "connectors", &id])
                        .await?,
                )
            }
        }
    }

    pub(crate) async fn add_sensor(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.add_sensor(name).await?),
            Self::There(client, _) => client.post(&["devices"], &named(name)).await.map(drop),
        }
    }

    pub(crate) async fn delete_device(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.delete_device(name).await?),
            Self::There(client, _) => client.delete(&["devices", name]).await.map(drop),
        }
    }

    pub(crate) async fn add_filter(
        &self,
        name: &str,
        tenant: Option<&str>,
        conditions: &[Condition],
    ) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.add_filter(name, tenant, conditions).await?),
            Self::There(client, _) => {
                let new = NewFilter {
                    name: name.to_owned(),
                    tenant: tenant.map(str::to_owned),
                    conditions: ConditionBody::all(conditions),
                };
                client.post(&["filters"], &new).await.map(drop)
            }
        }
    }

    pub(crate) async fn edit_filter(
        &self,
        name: &str,
        conditions: &[Condition],
    ) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.edit_filter(name, conditions).await?),
            Self::There(client, _) => {
                let conditions = ConditionBody::all(conditions);
                let change = FilterChange { conditions };
                client.patch(&["filters", name], &change).await.map(drop)
            }
        }
    }

    pub(crate) async fn delete_filter(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.delete_filter(name).await?),
            Self::There(client, _) => client.delete(&["filters", name]).await.map(drop),
        }
    }

    pub(crate) async fn attach_filter(&self, name: &str, connector: &str) -> Result<bool, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.attach_filter(name, connector).await?),
            Self::There(client, catalogue) => {
                let id = catalogue.connector(connector)?.id;
                client.put(&["connectors", &id, "filters", name]).await
            }
        }
    }

    pub(crate) async fn detach_filter(&self, name: &str, connector: &str) -> Result<bool, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.detach_filter(name, connector).await?),
            Self::There(client, catalogue) => {
                let id = catalogue.connector(connector)?.id;
                changed(client.delete(&["connectors", &id, "filters", name]).await?)
            }
        }
    }

    /// Seals every secret anew; how many there were.
    pub(crate) async fn rotate_key(&self) -> Result<u64, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.rotate_key().await?),
            Self::There(client, _) => {
                let rotated: Rotated = client
                    .ask(Method::POST, &["secrets", "rotate"], &Value::Null)
                    .await?;
                Ok(rotated.secrets)
            }
        }
    }

    /// Keeps a new connector that has been validated.
    pub(crate) async fn create(
        &self,
        definition: &Definition,
        entry: Entry,
        profile: Option<&str>,
        secrets_later: bool,
    ) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => {
                if let Some(profile) = profile {
                    // Before anything is kept: a name that is wrong must not leave half of what was asked for.
                    catalogue.check_profile(profile, &entry.run_on)?;
                }
                let id = catalogue.create(entry).await?;
                if let Some(profile) = profile {
                    catalogue.add_to_profile(profile, &id).await?;
                }
                Ok(())
            }
            Self::There(client, _) => {
                let mut new = NewConnector::of(definition);
                new.profile = profile.map(str::to_owned);
                new.secrets_later = secrets_later;
                client.post(&["connectors"], &new).await.map(drop)
            }
        }
    }

    /// Lets a connector collect, or collect no longer. Whether it can has been looked at.
    pub(crate) async fn set_active(
        &self,
        connector: &StoredConnector,
        active: bool,
    ) -> Result<bool, Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.set_active(&connector.id, active).await?),
            Self::There(client, _) => {
                let word = if active { "activate" } else { "deactivate" };
                client
                    .post(&["connectors", &connector.id, word], &Value::Null)
                    .await?;
                Ok(connector.active != active)
            }
        }
    }

    /// Lets the next run read again; what it will be.
    pub(crate) async fn recollect(
        &self,
        reference: &str,
        content_types: &[String],
        since: Option<u64>,
    ) -> Result<Vec<String>, Failure> {
        match self {
            Self::Here(catalogue) => {
                Ok(catalogue.recollect(reference, content_types, since).await?)
            }
            Self::There(client, catalogue) => {
                let id = catalogue.connector(reference)?.id;
                let request = RecollectRequest {
                    content_types: content_types.to_vec(),
                    since,
                };
                let reply: RecollectReply = client
                    .ask(Method::POST, &["connectors", &id, "recollect"], &request)
                    .await?;
                Ok(reply.content_types)
            }
        }
    }

    /// Deletes a connector; a run of it is stopped first.
    pub(crate) async fn delete(&self, connector: &StoredConnector) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(catalogue.delete(&connector.id).await?),
            Self::There(client, _) => client
                .delete(&["connectors", &connector.id])
                .await
                .map(drop),
        }
    }
}

/// What only a process that serves is asked.
impl Client {
    /// Changes a connector's settings; whatever came of it.
    pub(crate) async fn change(
        &self,
        connector: &StoredConnector,
        change: &ConnectorChange,
    ) -> Result<ChangeReply, Failure> {
        self.ask(Method::PATCH, &["connectors", &connector.id], change)
            .await
    }

    /// Tests a connector.
    pub(crate) async fn test(&self, connector: &StoredConnector) -> Result<TestReply, Failure> {
        self.ask(
            Method::POST,
            &["connectors", &connector.id, "test"],
            &Value::Null,
        )
        .await
    }

    /// Runs a connector and waits for its ledger.
    pub(crate) async fn collect(
        &self,
        connector: &StoredConnector,
        options: &CollectOptions,
    ) -> Result<Value, Failure> {
        let request = crate::api::runs::RunRequest {
            full: options.full,
            force: options.force,
            wait: true,
            max_wait_seconds: Some(options.max_wait.as_secs()),
        };
        let reply: RunReply = self
            .ask(
                Method::POST,
                &["connectors", &connector.id, "run"],
                &request,
            )
            .await?;
        Ok(reply.ledger)
    }

    /// Accepts what a plugin asks for.
    pub(crate) async fn accept(
        &self,
        plugin: &str,
        sha256: Option<&str>,
    ) -> Result<Accepted, Failure> {
        let acceptance = Acceptance {
            sha256: sha256.map(str::to_owned),
        };
        self.ask(Method::POST, &["plugins", plugin, "accept"], &acceptance)
            .await
    }
}

/// What a change of settings answers, as far as a command needs it.
#[derive(Deserialize)]
pub(crate) struct ChangeReply {
    pub(crate) changed: Vec<String>,
    pub(crate) full_walk_because: Vec<String>,
    pub(crate) missing: Vec<String>,
    pub(crate) warnings: Vec<connector_runtime::sandbox::Remark>,
}

fn named(name: &str) -> Named {
    Named {
        name: name.to_owned(),
    }
}

fn changed(reply: Option<Changed>) -> Result<bool, Failure> {
    Ok(reply.is_none_or(|reply| reply.changed))
}

//! The host, put together for one command: directories, configuration, engine, plugins, network.
//!
//! ```text
//! <data directory>/journal.sqlite   records, cursors, caches, runs   (the journal's); connectors (the catalogue's)
//! <data directory>/secret.key       what seals the stored secrets    (the catalogue's)
//! <data directory>/compiled/        compiled plugins                 (the engine's)
//! <data directory>/assets.sqlite    one row a machine                (a consumer's, as the next two)
//! <data directory>/index/           what records are searched in
//! <data directory>/forwarders/      how far each forwarder is
//! <data directory>/plugins/         *.wasm, unless named elsewhere
//! <data directory>/host.toml        configuration, if there is one
//! ```
//!
//! A command opens the journal itself, since not every one needs it, or needs it to write.

use crate::arguments::Global;
use crate::config::{Config, JournalOptions};
use crate::connectors::schema::migrations;
use crate::definition::Definition;
use crate::failure::{Failure, Mistake};
use crate::schedule::ScheduleOptions;
use crate::secrets;
use connector_runtime::Clock;
use connector_runtime::egress::{NetworkUpstream, QuotaBook, Upstream};
use connector_runtime::journal::{Journal, JournalError};
use connector_runtime::plugins::{AcceptedGrants, Changes, Directory, Plugin, Refusals};
use connector_runtime::runs::{Connector, Identity};
use connector_runtime::sandbox::{Engine, Gate};
use connector_runtime::settings::Settings;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a data directory is called under the user's data.
const NAME: &str = "connector-host";
/// Between two looks at what the journal need not keep.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Host {
    config: Config,
    engine: Engine,
    clock: Clock,
    book: QuotaBook,
    data: PathBuf,
    plugins: PathBuf,
    /// Somebody named the plugin directory, so it must exist.
    plugins_are_named: bool,
    insecure_loopback: bool,
    /// What answers in the network's place.
    upstream: Option<Arc<dyn Upstream>>,
}

impl Host {
    /// Puts a host together.
    ///
    /// # Errors
    /// Mistakes in the configuration, or an engine that cannot start.
    pub(crate) fn assemble(global: &Global) -> Result<Self, Failure> {
        Self::assemble_with(global, Clock::system(), None)
    }

    /// Puts a host together that lives in the clock's time, with `upstream` in the network's place.
    ///
    /// # Errors
    /// As [`Host::assemble`].
    pub(crate) fn rehearsing(
        global: &Global,
        clock: Clock,
        upstream: Arc<dyn Upstream>,
    ) -> Result<Self, Failure> {
        Self::assemble_with(global, clock, Some(upstream))
    }

    fn assemble_with(
        global: &Global,
        clock: Clock,
        upstream: Option<Arc<dyn Upstream>>,
    ) -> Result<Self, Failure> {
        let data = data_directory(global)?;
        let config = configuration(global)?;
        let named = global
            .plugins
            .clone()
            .or_else(|| config.plugin_directory.clone());
        let mut engine = Engine::new(
            Some(&data.join("compiled")),
            config.limits.clone(),
            clock.clone(),
        )?
        .with_gate(Gate::of_cores());
        if let Some(compiler) = &global.compiler {
            engine = engine.with_compiler(compiler.clone());
        }
        Ok(Self {
            engine,
            clock,
            book: QuotaBook::default(),
            plugins_are_named: named.is_some(),
            plugins: named.unwrap_or_else(|| data.join("plugins")),
            insecure_loopback: global.insecure_loopback,
            upstream,
            data,
            config,
        })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The clock of runs and waits, and of what is noted in the journal.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Which device this is, and how it runs its connectors.
    pub(crate) fn schedule_options(&self) -> &ScheduleOptions {
        &self.config.schedule
    }

    /// The device that this host is.
    pub(crate) fn device(&self) -> &str {
        &self.config.schedule.device
    }

    /// Whether `http://` and addresses of this machine are allowed.
    pub(crate) fn insecure_loopback(&self) -> bool {
        self.insecure_loopback
    }

    /// When and whom to tell that something is wrong.
    pub(crate) fn alerts(&self) -> &crate::config::Alerts {
        &self.config.alerts
    }

    /// Where records are sent on to.
    pub(crate) fn forwarders(&self) -> &[crate::forwarders::Forwarder] {
        &self.config.forwarders
    }

    /// Where plugins lie.
    pub(crate) fn plugin_directory(&self) -> &Path {
        &self.plugins
    }

    /// Where the journal and everything else is kept.
    pub(crate) fn data_directory(&self) -> &Path {
        &self.data
    }

    /// What was accepted for the plugins of this data directory; nothing, as long as nothing was ever collected.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn accepted(&self) -> Result<AcceptedGrants, JournalError> {
        match Journal::open_read_only(&self.data, &migrations()) {
            Ok(journal) => AcceptedGrants::read(&journal),
            Err(JournalError::Missing { .. }) => Ok(AcceptedGrants::default()),
            Err(error) => Err(error),
        }
    }

    /// Like [`Host::accepted`], for a command that sends nothing before it has opened the journal to write: that brings an
    /// older one up to date, and looks again.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn accepted_so_far(&self) -> Result<AcceptedGrants, JournalError> {
        match self.accepted() {
            Err(JournalError::SchemaOlder { .. }) => Ok(AcceptedGrants::default()),
            accepted => accepted,
        }
    }

    /// Every plugin of the directory; a default directory that is not there has none.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) async fn plugins(&self, accepted: &AcceptedGrants) -> Result<Directory, Failure> {
        self.directory(accepted, self.refusals()).await
    }

    /// Like [`Host::plugins`]; files that were refused before are looked at again.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) async fn plugins_rechecked(
        &self,
        accepted: &AcceptedGrants,
    ) -> Result<Directory, Failure> {
        let refusals = self.refusals().rechecked();
        self.directory(accepted, refusals).await
    }

    /// Looks at the directory again, also at one that has come to be since.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) async fn look_again(
        &self,
        directory: &mut Directory,
        accepted: &AcceptedGrants,
    ) -> Result<Changes, Failure> {
        if !self.plugins_are_named && !self.plugins.exists() {
            return Ok(Changes::default());
        }
        if directory.path().is_none() {
            *directory = self.directory(accepted, self.refusals()).await?;
            return Ok(Changes {
                added: directory
                    .plugins()
                    .iter()
                    .map(|plugin| plugin.manifest.id.clone())
                    .collect(),
                ..Changes::default()
            });
        }
        directory
            .reload(&self.engine, accepted)
            .await
            .map_err(Failure::Plugins)
    }

    /// What other commands of this data directory have refused.
    fn refusals(&self) -> Refusals {
        Refusals::kept_in(self.data.join("compiled").join("refusals"))
    }

    async fn directory(
        &self,
        accepted: &AcceptedGrants,
        refusals: Refusals,
    ) -> Result<Directory, Failure> {
        if !self.plugins_are_named && !self.plugins.exists() {
            return Ok(Directory::default());
        }
        Directory::open_with_refusals(
            &self.engine,
            &self.plugins,
            self.config.trust.clone(),
            accepted,
            refusals,
        )
        .await
        .map_err(Failure::Plugins)
    }

    /// The plugin for a definition's type.
    ///
    /// # Errors
    /// If there is none, with the types that are there; or if it asks for more than was accepted.
    pub(crate) async fn plugin(
        &self,
        definition: &Definition,
        accepted: &AcceptedGrants,
    ) -> Result<Arc<Plugin>, Failure> {
        self.plugin_of(&self.plugins(accepted).await?, definition)
    }

    /// Like [`Host::plugin`], of a directory that has been read.
    ///
    /// # Errors
    /// As [`Host::plugin`].
    pub(crate) fn plugin_of(
        &self,
        directory: &Directory,
        definition: &Definition,
    ) -> Result<Arc<Plugin>, Failure> {
        if let Some(suspension) = directory.suspension(&definition.kind) {
            return Err(Failure::Suspended(suspension.clone()));
        }
        if let Some(plugin) = directory.find(&definition.kind) {
            return Ok(Arc::clone(plugin));
        }
        let place = self.plugins.display();
        let refused = directory
            .listings()
            .iter()
            .filter(|listing| listing.refused.is_some());
        let refused = match refused.count() {
            0 => String::new(),
            1 => "; one file there was refused, `plugins list` says why".into(),
            files => format!("; {files} files there were refused, `plugins list` says why"),
        };
        let kind = &definition.kind;
        let message = if directory.plugins().is_empty() {
            format!(
                "there is no plugin for `{kind}`, nor any other: put its .wasm file into {place}, or name another directory with --plugins{refused}"
            )
        } else {
            let mut types: Vec<_> = directory
                .plugins()
                .iter()
                .map(|plugin| plugin.manifest.id.as_str())
                .collect();
            types.sort_unstable();
            format!(
                "there is no plugin for `{kind}`; {place} has {}{refused}",
                types.join(", ")
            )
        };
        Err(Failure::Mistakes(vec![Mistake::new(
            &definition.file,
            "type",
            message,
        )]))
    }

    /// Checks a definition's settings against its plugin's manifest. From here on their secrets do not leave the process.
    ///
    /// # Errors
    /// All mistakes at once.
    pub(crate) fn settings(
        &self,
        definition: &Definition,
        plugin: &Plugin,
    ) -> Result<Settings, Failure> {
        for warning in definition.exposed_secrets(&plugin.manifest) {
            tracing::warn!("{warning}");
        }
        let settings = definition.settings(&plugin.manifest, self.insecure_loopback)?;
        secrets::keep(
            &format!("{}/{}", definition.tenant, definition.name),
            Arc::new(settings.redactor()),
        );
        Ok(settings)
    }

    /// Goes on from what `journal` says has been spent of vendors' quotas, and keeps it there. For connectors that are made
    /// afterwards.
    pub(crate) fn keep_quota_in(&mut self, journal: &Journal) {
        self.book = QuotaBook::kept_in(Arc::new(journal.clone()));
    }

    /// How long and how much a journal keeps, and what it leaves of the disk.
    pub(crate) fn journal_options(&self) -> &JournalOptions {
        &self.config.journal
    }

    /// Whether there is a search index, and how long it keeps records.
    pub(crate) fn search(&self) -> &crate::config::Search {
        &self.config.search
    }

    /// Deletes what a journal no longer keeps. What cannot be deleted now is deleted the next time.
    pub(crate) async fn trim(&self, journal: &Journal) {
        match journal.trim(self.clock.now_ms()).await {
            Ok(trimmed) if trimmed.blocks > 0 => tracing::info!(
                blocks = trimmed.blocks,
                records = trimmed.records,
                "the journal has given up its oldest blocks"
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!("the journal could not be trimmed: {error}"),
        }
    }

    /// Trims a journal once a minute, until it is dropped.
    pub(crate) async fn keep_trimmed(&self, journal: &Journal) {
        loop {
            self.trim(journal).await;
            self.clock.sleep(TRIM_EVERY).await;
        }
    }

    /// The limits of a connector that has none of its own.
    pub(crate) fn limits(&self) -> connector_runtime::Limits {
        self.config.network("", "").limits(&self.config.limits)
    }

    /// A connector, ready to run.
    ///
    /// # Errors
    /// If its HTTP client cannot be made.
    pub(crate) fn connector(
        &self,
        identity: Identity,
        plugin: Arc<Plugin>,
        settings: Settings,
    ) -> Result<Connector, Failure> {
        let network = self.config.network(&identity.tenant, &identity.name);
        let limits = network.limits(&self.config.limits);
        let options = network.options(
            &format!("{}/{}", identity.tenant, identity.name),
            &limits,
            self.insecure_loopback,
        );
        let upstream: Arc<dyn Upstream> = match &self.upstream {
            Some(upstream) => Arc::clone(upstream),
            None => Arc::new(NetworkUpstream::new(options)?),
        };
        Ok(Connector::new(
            identity,
            plugin,
            settings,
            upstream,
            &self.book,
            limits,
            self.clock.clone(),
        ))
    }
}

/// Where the journal and everything else is kept.
///
/// # Errors
/// If none is named and the user has no home.
pub(crate) fn data_directory(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(directory) = &global.data_dir {
        // Absolute, since the engine's cache asks for it, and since messages are read in other directories.
        return std::path::absolute(directory).map_err(|error| {
            Failure::Usage(format!(
                "--data-dir {}: cannot be made absolute ({error}); name another directory",
                directory.display()
            ))
        });
    }
    let user_data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    user_data
        // The convention says that a relative path there is to be ignored.
        .filter(|directory| directory.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")))
        .map(|directory| directory.join(NAME))
        .ok_or_else(|| {
            Failure::Usage(
                "this user has no home directory to keep data in; name a directory with --data-dir"
                    .into(),
            )
        })
}

/// What `host.toml` says.
///
/// # Errors
/// Mistakes in it, or no place to look for it.
pub(crate) fn configuration(global: &Global) -> Result<Config, Failure> {
    let default = data_directory(global)?.join("host.toml");
    let file = match &global.config {
        Some(file) => Some(file.as_path()),
        None => default.exists().then_some(default.as_path()),
    };
    Config::load(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(directory: &Path) -> Definition {
        let file = directory.join("a.toml");
        let text = "name = \"a\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\n";
        std::fs::write(&file, text).unwrap();
        Definition::load(&file).ok().unwrap()
    }

    #[tokio::test]
    async fn without_plugins_the_sentence_says_where_to_put_them() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::assemble(&Global::of_data(directory.path()))
            .ok()
            .unwrap();
        let failure = host
            .plugin(&definition(directory.path()), &AcceptedGrants::default())
            .await
            .unwrap_err();
        assert_eq!(failure.exit(), 2);
        let sentence = failure.to_string();
        let place = directory.path().join("plugins");
        assert!(
            sentence.contains("a.toml: type: there is no plugin for `acme-scanner`"),
            "{sentence}"
        );
        assert!(
            sentence.contains(&format!("into {}", place.display())),
            "{sentence}"
        );
    }

    #[tokio::test]
    async fn a_refused_file_is_mentioned_where_its_type_is_missed() {
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(plugins.join("broken.wasm"), "not a component").unwrap();
        let host = Host::assemble(&Global::of_data(directory.path()))
            .ok()
            .unwrap();
        let failure = host
            .plugin(&definition(directory.path()), &AcceptedGrants::default())
            .await
            .unwrap_err();
        assert!(
            failure.to_string().contains("one file there was refused"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn a_plugin_directory_that_was_named_must_exist() {
        let directory = tempfile::tempdir().unwrap();
        let mut global = Global::of_data(directory.path());
        assert!(
            Host::assemble(&global)
                .ok()
                .unwrap()
                .plugins(&AcceptedGrants::default())
                .await
                .is_ok()
        );
        global.plugins = Some(directory.path().join("elsewhere"));
        let failure = Host::assemble(&global)
            .ok()
            .unwrap()
            .plugins(&AcceptedGrants::default())
            .await
            .unwrap_err();
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().contains("elsewhere"), "{failure}");
    }

    #[test]
    fn a_mistake_in_host_toml_is_found_when_the_host_is_put_together() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("host.toml"), "[limit]\n").unwrap();
        let failure = Host::assemble(&Global::of_data(directory.path()))
            .err()
            .unwrap();
        assert_eq!(failure.exit(), 2);
        assert!(
            failure
                .to_string()
                .contains("host.toml: limit: there is no such key"),
            "{failure}"
        );
    }

    #[test]
    fn a_relative_data_directory_is_one_of_the_present_directory() {
        let directory = data_directory(&Global::of_data(Path::new("data"))).unwrap();
        assert_eq!(directory, std::env::current_dir().unwrap().join("data"));
    }

    #[test]
    fn a_configuration_that_was_named_must_exist() {
        let directory = tempfile::tempdir().unwrap();
        let mut global = Global::of_data(directory.path());
        global.config = Some(directory.path().join("other.toml"));
        let failure = Host::assemble(&global).err().unwrap();
        assert_eq!((failure.exit(), failure.code()), (2, "configuration"));
    }
}

//! The plugin directory: every `*.wasm` file with its verdict, and the plugins that were taken up.
//!
//! [`Directory::reload`] looks again. A run holds its plugin and goes on with it until its own end, whatever happens to the
//! file meanwhile. A file whose digest is known is not compiled again. A file that turned bad (or is being written just
//! now) is refused, and what its path held before stays in use. Of several files with one id, the one stays that runs:
//! the one taken up before, else the one that ran last under what was accepted, else the first by name.

use super::{AcceptedGrants, Found, Listing, Plugin, PluginError, Refusals, Suspension, Trust};
use crate::sandbox::Engine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The plugins of a directory, and what became of every file in it.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    path: Option<PathBuf>,
    trust: Trust,
    refusals: Option<Refusals>,
    files: Vec<File>,
    listings: Vec<Listing>,
    /// Those that were taken up, by the names of their files.
    plugins: Vec<Arc<Plugin>>,
    suspensions: Vec<Suspension>,
}

/// A file and the plugin that it holds, or held before it turned bad.
#[derive(Clone, Debug)]
struct File {
    listing: Listing,
    plugin: Option<Arc<Plugin>>,
    /// The refusal is one of the bytes themselves.
    is_final: bool,
}

/// What is known of a file's bytes from an earlier look.
enum Known {
    Plugin(Arc<Plugin>),
    Refused(Box<Listing>),
}

impl File {
    fn is_chosen(&self) -> bool {
        self.plugin.is_some() && (self.listing.refused.is_none() || self.listing.kept.is_some())
    }
}

/// What a look at the directory has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ids that were not there before.
    pub added: Vec<String>,
    /// Ids that now stand for another file.
    pub replaced: Vec<String>,
    /// Ids that are gone.
    pub removed: Vec<String>,
    /// Files that are refused and were not before, or for another reason.
    pub refused: Vec<PathBuf>,
    /// Ids that ask for more than was accepted, and did not before.
    pub suspended: Vec<String>,
}

impl Directory {
    /// Loads every `*.wasm` of `directory`, in the order of their names; every author is trusted and nothing was accepted
    /// yet. A bad file is listed with its reason.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub async fn load(engine: &Engine, directory: &Path) -> Result<Self, PluginError> {
        Self::open(
            engine,
            directory,
            Trust::default(),
            &AcceptedGrants::default(),
        )
        .await
    }

    /// Like [`Directory::load`], with what the operator trusts and has accepted.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub async fn open(
        engine: &Engine,
        directory: &Path,
        trust: Trust,
        accepted: &AcceptedGrants,
    ) -> Result<Self, PluginError> {
        let loaded = Self {
            path: Some(directory.to_owned()),
            trust,
            ..Self::default()
        };
        loaded.loaded(engine, accepted).await
    }

    /// Like [`Directory::open`], for a host that remembers what it refused: what stands in `refusals` is not looked at again.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub async fn open_with_refusals(
        engine: &Engine,
        directory: &Path,
        trust: Trust,
        accepted: &AcceptedGrants,
        refusals: Refusals,
    ) -> Result<Self, PluginError> {
        let loaded = Self {
            path: Some(directory.to_owned()),
            trust,
            refusals: Some(refusals),
            ..Self::default()
        };
        loaded.loaded(engine, accepted).await
    }

    async fn loaded(
        mut self,
        engine: &Engine,
        accepted: &AcceptedGrants,
    ) -> Result<Self, PluginError> {
        self.reload(engine, accepted).await?;
        Ok(self)
    }

    /// Looks at the directory again and takes up what is new. Runs in progress keep the plugin that they began with.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read; everything is as it was then.
    pub async fn reload(
        &mut self,
        engine: &Engine,
        accepted: &AcceptedGrants,
    ) -> Result<Changes, PluginError> {
        let Some(directory) = &self.path else {
            return Ok(Changes::default());
        };
        let mut files = Vec::new();
        for path in components(directory)? {
            let mut file = self.look_at(engine, &path).await;
            let before = self.files.iter().find(|file| file.listing.path == path);
            if file.plugin.is_none()
                && let Some(kept) = before.and_then(|before| before.plugin.as_ref())
            {
                file.listing.kept = Some(kept.sha256.clone());
                file.plugin = Some(Arc::clone(kept));
            }
            files.push(file);
        }
        self.refuse_duplicates(&mut files, accepted);
        let mut suspensions = Vec::new();
        for file in files.iter_mut().filter(|file| file.is_chosen()) {
            let Some(plugin) = &file.plugin else { continue };
            let Some(suspension) = accepted.suspension(plugin) else {
                continue;
            };
            if file.listing.kept.is_none() {
                file.listing.suspended = Some(format!(
                    "asks for more than was accepted: {}. `{}` accepts it.",
                    suspension.new.join("; "),
                    suspension.command()
                ));
            }
            suspensions.push(suspension);
        }
        Ok(self.replace(files, suspensions))
    }

    /// One file, as far as it is good for something by itself.
    async fn look_at(&self, engine: &Engine, path: &Path) -> File {
        let mut file = File {
            listing: Listing::of_path(path),
            plugin: None,
            is_final: false,
        };
        match self.examine(engine, path, &mut file).await {
            Ok(plugin) => file.plugin = Some(plugin),
            Err(error) => {
                file.is_final = error.is_of_the_bytes();
                file.listing.refused = Some(error.to_string());
            }
        }
        file
    }

    async fn examine(
        &self,
        engine: &Engine,
        path: &Path,
        file: &mut File,
    ) -> Result<Arc<Plugin>, PluginError> {
        let listing = &mut file.listing;
        let found = Found::read(path, engine.limits().component_bytes)?;
        listing.size = found.bytes.len() as u64;
        listing.sha256 = Some(found.sha256.clone());
        let untrusted = |reason| PluginError::Untrusted {
            path: path.to_owned(),
            reason,
        };
        let signed = self
            .trust
            .before_compiling(path, &found.bytes)
            .map_err(untrusted)?;
        let plugin = match self.known(&found) {
            Some(Known::Plugin(plugin)) => {
                listing.imports.clone_from(&plugin.imports);
                listing.id = Some(plugin.manifest.id.clone());
                listing.version = Some(plugin.manifest.version.clone());
                listing.grant = Some(plugin.grant.clone());
                plugin
            }
            Some(Known::Refused(refused)) => {
                *listing = *refused;
                // Its own words, once more; whatever was kept is looked up anew.
                listing.kept = None;
                return Err(PluginError::Known(
                    listing.refused.clone().unwrap_or_default(),
                ));
            }
            None => Arc::new(self.examine_new(engine, found, listing).await?),
        };
        self.trust
            .of_id(&plugin.manifest.id, &plugin.sha256, signed)
            .map_err(untrusted)?;
        Ok(plugin)
    }

    /// Bytes that this directory has not held before; another process may have refused them.
    async fn examine_new(
        &self,
        engine: &Engine,
        found: Found,
        listing: &mut Listing,
    ) -> Result<Plugin, PluginError> {
        let Some(refusals) = &self.refusals else {
            return Plugin::examine(engine, found, listing).await;
        };
        if let Some(refused) = refusals.known(engine, &found.sha256, listing) {
            return Err(refused);
        }
        let examined = Plugin::examine(engine, found, listing).await;
        if let Err(error) = &examined {
            refusals.note(engine, listing, error);
        }
        examined
    }

    /// What is known of these bytes from before: the plugin, or the refusal of this very file.
    fn known(&self, found: &Found) -> Option<Known> {
        let same = |plugin: &&Arc<Plugin>| plugin.sha256 == found.sha256;
        let plugins = || self.files.iter().filter_map(|file| file.plugin.as_ref());
        let here = plugins().find(|plugin| same(plugin) && plugin.path == found.path);
        if let Some(plugin) = here {
            return Some(Known::Plugin(Arc::clone(plugin)));
        }
        if let Some(plugin) = plugins().find(same) {
            return Some(Known::Plugin(Arc::new(plugin.at(found.path.clone()))));
        }
        let file = self.files.iter().find(|file| {
            file.is_final
                && file.listing.path == found.path
                && file.listing.sha256.as_ref() == Some(&found.sha256)
        });
        file.map(|file| Known::Refused(Box::new(file.listing.clone())))
    }

    /// Of several files with one id, leaves one.
    fn refuse_duplicates(&self, files: &mut [File], accepted: &AcceptedGrants) {
        let mut ids: Vec<String> = files
            .iter()
            .filter_map(|file| Some(file.plugin.as_ref()?.manifest.id.clone()))
            .collect();
        ids.sort();
        ids.dedup();
        for id in ids {
            let same: Vec<(usize, Arc<Plugin>)> = files
                .iter()
                .enumerate()
                .filter_map(|(place, file)| Some((place, Arc::clone(file.plugin.as_ref()?))))
                .filter(|(_, plugin)| plugin.manifest.id == id)
                .collect();
            let place_of = |fits: &dyn Fn(&Plugin) -> bool| {
                same.iter()
                    .find(|(_, plugin)| fits(plugin))
                    .map(|(place, _)| *place)
            };
            let before = self.find(&id);
            let stays = before
                .and_then(|before| {
                    place_of(&|plugin| plugin.sha256 == before.sha256)
                        .or_else(|| place_of(&|plugin| plugin.path == before.path))
                })
                .or_else(|| {
                    let last = accepted.last_run(&id)?;
                    place_of(&|plugin| plugin.sha256 == last)
                })
                .or_else(|| same.first().map(|(place, _)| *place));
            let Some(stays) = stays else { continue };
            let other = files[stays].listing.path.clone();
            for (place, _) in same.iter().filter(|(place, _)| *place != stays) {
                let listing = &mut files[*place].listing;
                // A file that is refused for itself keeps its reason, and now nothing of it is in use.
                listing.kept = None;
                if listing.refused.is_none() {
                    let path = listing.path.clone();
                    let (id, other) = (id.clone(), other.clone());
                    listing.refused = Some(PluginError::Duplicate { path, id, other }.to_string());
                }
            }
        }
    }

    /// Puts what was found in the place of what was there, and tells the difference.
    fn replace(&mut self, files: Vec<File>, suspensions: Vec<Suspension>) -> Changes {
        let mut changes = Changes::default();
        let plugins: Vec<Arc<Plugin>> = files
            .iter()
            .filter(|file| file.is_chosen())
            .filter_map(|file| file.plugin.clone())
            .collect();
        for plugin in &plugins {
            let id = &plugin.manifest.id;
            match self.find(id) {
                None => changes.added.push(id.clone()),
                Some(before) if before.sha256 != plugin.sha256 => changes.replaced.push(id.clone()),
                Some(_) => {}
            }
        }
        for before in &self.plugins {
            let id = &before.manifest.id;
            if !plugins.iter().any(|plugin| plugin.manifest.id == *id) {
                changes.removed.push(id.clone());
            }
        }
        for file in &files {
            let Some(reason) = &file.listing.refused else {
                continue;
            };
            let path = &file.listing.path;
            let before = self.files.iter().find(|file| file.listing.path == *path);
            if before.and_then(|before| before.listing.refused.as_ref()) != Some(reason) {
                tracing::warn!("{reason}");
                changes.refused.push(path.clone());
            }
        }
        for suspension in &suspensions {
            if self.suspension(&suspension.plugin).is_none() {
                tracing::warn!("{suspension}");
                changes.suspended.push(suspension.plugin.clone());
            }
        }
        self.listings = files.iter().map(|file| file.listing.clone()).collect();
        self.files = files;
        self.plugins = plugins;
        self.suspensions = suspensions;
        changes
    }

    /// The plugin for connectors of type `id`, also while it is suspended; see [`Directory::suspension`].
    pub fn find(&self, id: &str) -> Option<&Arc<Plugin>> {
        self.plugins.iter().find(|plugin| plugin.manifest.id == id)
    }

    /// Why connectors of type `id` may not run, if their plugin asks for more than was accepted.
    pub fn suspension(&self, id: &str) -> Option<&Suspension> {
        self.suspensions
            .iter()
            .find(|suspension| suspension.plugin == id)
    }

    /// Where it lies; none for one that was never read.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The plugins that were taken up.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Every file with its verdict, by name.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }
}

/// The files of a directory that are named as components are, by name.
fn components(directory: &Path) -> Result<Vec<PathBuf>, PluginError> {
    let read = |source| PluginError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

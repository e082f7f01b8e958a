//! The key that seals secrets: 32 bytes in a file of the data directory, or in an environment variable.
//!
//! ```text
//! <data directory>/secret.key        base64, mode 0600, made when the first secret is kept
//! <data directory>/secret.key.new    only while a rotation is under way
//! CONNECTOR_HOST_KEY                 base64; it seals then, and the file only opens what it sealed before
//! ```
//!
//! Promises: a key file that others can read is refused; a key is on disk before anything is sealed with it; every key that is
//! there opens what it sealed, so a rotation that is cut off loses nothing. Keys are wiped when dropped and cannot be printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file in the data directory.
pub(crate) const FILE_NAME: &str = "secret.key";
/// The variable that holds the key instead.
pub(crate) const VARIABLE: &str = "CONNECTOR_HOST_KEY";
/// The variable that holds the key to rotate to.
pub(crate) const NEW_VARIABLE: &str = "CONNECTOR_HOST_NEW_KEY";

/// Bytes of a key.
const LENGTH: usize = 32;
/// Longer than a key in base64 with its newline.
const LONGEST_FILE: u64 = 256;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Others can read it.
    #[error(
        "{path}: other users can read or change this key (mode {mode:03o}); `chmod 600` it, and rotate it (`connector-host secrets rotate`) if somebody may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error(
        "{place} is not a key: it must be {LENGTH} random bytes in base64, as `openssl rand -base64 {LENGTH}` prints them"
    )]
    Malformed {
        /// A file or a variable.
        place: String,
    },
    /// It cannot be read or written.
    #[error("the key {path}: {source}; check the file and its permissions")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no randomness.
    #[error("the system gives no random numbers ({0}), so nothing can be sealed")]
    Random(getrandom::Error),
    /// The environment's key can only be replaced by another of the environment.
    #[error(
        "the key is in {VARIABLE}, which this command cannot change: put a new one (`openssl rand -base64 {LENGTH}`) into {NEW_VARIABLE}, run this command again, and then let {VARIABLE} have it"
    )]
    NoNewKey,
    /// A text could not be sealed.
    #[error("a secret could not be sealed")]
    Sealing,
}

/// One key.
#[derive(Clone)]
pub(crate) struct Key {
    /// Says which key sealed something; tells nothing about the key. 16 hexadecimal digits.
    pub(super) id: String,
    pub(super) bytes: Zeroizing<[u8; LENGTH]>,
}

impl Key {
    fn new(bytes: Zeroizing<[u8; LENGTH]>) -> Self {
        let digest = Sha256::new()
            .chain_update(b"connector-host: id of a key\n")
            .chain_update(bytes.as_slice())
            .finalize();
        let id = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { id, bytes }
    }

    /// A key at random.
    fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        getrandom::fill(bytes.as_mut_slice()).map_err(KeyError::Random)?;
        Ok(Self::new(bytes))
    }

    fn parse(text: &str, place: impl FnOnce() -> String) -> Result<Self, KeyError> {
        let decoded = STANDARD.decode(text.trim()).map(Zeroizing::new);
        let bytes = decoded
            .ok()
            .and_then(|bytes| <[u8; LENGTH]>::try_from(bytes.as_slice()).ok());
        match bytes {
            Some(bytes) => Ok(Self::new(Zeroizing::new(bytes))),
            None => Err(KeyError::Malformed { place: place() }),
        }
    }
}

/// Where the keys of a data directory are looked for.
#[derive(Clone)]
pub(crate) struct Keys {
    directory: PathBuf,
    variable: Option<Zeroizing<String>>,
    new_variable: Option<Zeroizing<String>>,
}

/// Every key that is there; the first seals.
#[derive(Clone, Default)]
pub(crate) struct Keyring(Vec<Key>);

impl Keys {
    /// With the variables of this process.
    pub(crate) fn of_environment(directory: &Path) -> Self {
        // One that is not text is no key, which is what an empty one says.
        let variable = |name: &str| {
            std::env::var_os(name)
                .map(|text| Zeroizing::new(text.into_string().unwrap_or_default()))
        };
        Self::new(directory, variable(VARIABLE), variable(NEW_VARIABLE))
    }

    /// With these values of the variables.
    pub(crate) fn new(
        directory: &Path,
        variable: Option<Zeroizing<String>>,
        new_variable: Option<Zeroizing<String>>,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            variable,
            new_variable,
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    fn new_file(&self) -> PathBuf {
        self.directory.join(format!("{FILE_NAME}.new"))
    }

    /// Where a key would be looked for, for a sentence.
    pub(super) fn places(&self) -> String {
        format!("neither in {} nor in {VARIABLE}", self.file().display())
    }

    /// Every key that is there; none if nothing was ever sealed.
    ///
    /// # Errors
    /// If one that is there cannot be used.
    pub(crate) fn load(&self) -> Result<Keyring, KeyError> {
        let mut keys = Vec::new();
        if let Some(text) = &self.variable {
            keys.push(Key::parse(text, || VARIABLE.into())?);
        }
        for file in [self.file(), self.new_file()] {
            keys.extend(read(&file)?);
        }
        if let Some(text) = &self.new_variable {
            keys.push(Key::parse(text, || NEW_VARIABLE.into())?);
        }
        Ok(Keyring(keys))
    }

    /// As [`Keys::load`]; the file is made if there is no key to seal with. Only for the owner of the directory.
    ///
    /// # Errors
    /// If a key cannot be used or made.
    pub(crate) fn load_or_make(&self) -> Result<Keyring, KeyError> {
        if self.variable.is_none() && read(&self.file())?.is_none() {
            let beside = self.directory.join(format!("{FILE_NAME}.part"));
            write(&beside, &Key::random()?)?;
            self.rename(&beside)?;
        }
        self.load()
    }

    /// The key to rotate to, on disk if it is one of a file.
    ///
    /// # Errors
    /// If there is none, or it cannot be written.
    pub(super) fn begin_rotation(&self) -> Result<Key, KeyError> {
        if let Some(text) = &self.new_variable {
            return Key::parse(text, || NEW_VARIABLE.into());
        }
        if self.variable.is_some() {
            return Err(KeyError::NoNewKey);
        }
        let key = Key::random()?;
        write(&self.new_file(), &key)?;
        Ok(key)
    }

    /// The key of a rotation that was cut off, if there is one.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(super) fn unfinished_rotation(&self) -> Result<Option<Key>, KeyError> {
        read(&self.new_file())
    }

    /// Ends a rotation, of which it is known whether everything is sealed with the new key or nothing.
    ///
    /// # Errors
    /// If the files cannot be changed.
    pub(super) fn end_rotation(&self, committed: bool) -> Result<(), KeyError> {
        let new = self.new_file();
        if !new.exists() {
            return Ok(());
        }
        if committed {
            return self.rename(&new);
        }
        fs::remove_file(&new).map_err(|source| KeyError::File { path: new, source })
    }

    /// Whether the key to rotate to is the environment's.
    pub(crate) fn rotates_to_variable(&self) -> bool {
        self.new_variable.is_some()
    }

    fn rename(&self, from: &Path) -> Result<(), KeyError> {
        let to = self.file();
        fs::rename(from, &to)
            .and_then(|()| sync_directory(&self.directory))
            .map_err(|source| KeyError::File { path: to, source })
    }
}

impl Keyring {
    /// The key that seals, if there is one.
    pub(super) fn sealing(&self) -> Option<&Key> {
        self.0.first()
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().map_err(|source| KeyError::File {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        }),
    }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> Result<(), KeyError> {
    Ok(())
}

fn read(path: &Path) -> Result<Option<Key>, KeyError> {
    let cannot = |source| KeyError::File {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    check_mode(path, &file)?;
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(LONGEST_FILE).unwrap_or(0),
    ));
    match file.take(LONGEST_FILE).read_to_string(&mut text) {
        Ok(_) => {}
        // Not text: no key.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => text.clear(),
        Err(error) => return Err(cannot(error)),
    }
    Key::parse(&text, || path.display().to_string()).map(Some)
}

/// Writes a key file, readable by its owner only from the first moment, and waits until it is on disk.
fn write(path: &Path, key: &Key) -> Result<(), KeyError> {
    let encoded = Zeroizing::new(STANDARD.encode(key.bytes.as_slice()));
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // What a process that was cut off has left sealed nothing.
        _ => options.open(path).and_then(|mut file| {
            file.write_all(encoded.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        }),
    };
    written.map_err(|source| KeyError::File {
        path: path.to_owned(),
        source,
    })
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(directory)?.sync_all(),
        false => Ok(()),
    }
}

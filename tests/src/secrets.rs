//! A secret that nobody else has, and the search for it: in a guest's memory, in logs, in files.
//!
//! The forms are written down here once more, independent of the host's redaction, which is what is being tested.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing_subscriber::EnvFilter;

/// Characters that some encoding changes.
const SPECIAL: [char; 8] = ['%', '"', '\\', '+', ' ', '/', '&', '<'];
const PLAIN: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// So many bytes of a secret in a row are no chance.
const FRAGMENT: usize = 8;

/// See the module.
pub struct Marker {
    text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Marker {
    /// 24 printable random bytes, a third of them such that every encoding has something to do.
    pub fn random() -> Self {
        let mut text = String::new();
        for special in SPECIAL {
            text.push_str(&Self::random_plain(2));
            text.push(special);
        }
        Self::of(&text)
    }

    /// 24 random lower-case letters and digits: a text that can be a part of a host's name as well.
    pub fn label() -> Self {
        Self::of(&Self::random_plain(24).to_ascii_lowercase())
    }

    fn random_plain(length: usize) -> String {
        let mut text = String::new();
        for _ in 0..length {
            let number = RandomState::new().hash_one(text.len());
            let place = usize::try_from(number % PLAIN.len() as u64).unwrap_or(0);
            text.push(char::from(PLAIN[place]));
        }
        text
    }

    /// The search for a known text.
    pub fn of(text: &str) -> Self {
        Self {
            forms: forms(text),
            text: text.to_owned(),
        }
    }

    /// The secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of a form that stands in `bytes`.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let mut forms = self.forms.iter();
        forms
            .find(|(_, form)| memmem::find(bytes, form).is_some())
            .map(|(name, _)| *name)
    }

    /// Checks that a text holds it in no form.
    #[expect(clippy::panic, reason = "this is a test's assertion")]
    pub fn is_not_in(&self, place: &str, bytes: &[u8]) {
        if let Some(form) = self.found_in(bytes) {
            panic!(
                "{place} holds the secret {} ({form}):\n{}",
                self.text,
                String::from_utf8_lossy(&bytes[..bytes.len().min(20_000)])
            );
        }
    }

    /// Checks every file below a folder, byte by byte, and says how many there were.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn is_not_below(&self, folder: &Path) -> std::io::Result<usize> {
        let files = files_below(folder)?;
        for path in &files {
            self.is_not_in(&path.display().to_string(), &std::fs::read(path)?);
        }
        Ok(files.len())
    }

    /// Whether a file below a folder holds it.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn is_below(&self, folder: &Path) -> std::io::Result<bool> {
        for path in files_below(folder)? {
            if self.found_in(&std::fs::read(path)?).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Everything that would betray the text: its forms whole, and pieces of the plain one and of base64.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let percent_of = |bytes: &[u8], upper: bool, all: bool| -> Vec<u8> {
        let encoded =
            bytes
                .iter()
                .map(|byte| match (!all && byte.is_ascii_alphanumeric(), upper) {
                    (true, _) => char::from(*byte).to_string(),
                    (false, true) => format!("%{byte:02X}"),
                    (false, false) => format!("%{byte:02x}"),
                });
        encoded.collect::<String>().into_bytes()
    };
    let percent = |upper: bool, all: bool| percent_of(bytes, upper, all);
    let plus = |encoded: Vec<u8>| {
        String::from_utf8_lossy(&encoded)
            .replace("%20", "+")
            .into_bytes()
    };
    let json = serde_json::Value::from(text).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let xml = text.replace('&', "&amp;").replace('<', "&lt;");
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![
        ("percent-encoded, upper case", percent(true, false)),
        ("percent-encoded, lower case", percent(false, false)),
        ("percent-encoded, every byte", percent(false, true)),
        ("form-encoded, upper case", plus(percent(true, false))),
        ("form-encoded, lower case", plus(percent(false, false))),
        (
            "JSON, percent-encoded",
            percent_of(json.as_bytes(), false, true),
        ),
        (
            "XML, percent-encoded",
            percent_of(xml.as_bytes(), false, true),
        ),
        (
            "percent-encoded twice",
            percent_of(&percent(false, true), false, true),
        ),
        ("escaped as in JSON", json.into_bytes()),
        ("escaped as in XML", xml.into_bytes()),
        ("UTF-16", wide),
    ];
    for piece in bytes.windows(FRAGMENT.min(bytes.len())) {
        forms.push(("a piece of it as it is", piece.to_vec()));
    }
    for before in 0..3 {
        let padded = [&vec![0; before], bytes].concat();
        for (name, encoded) in [
            ("base64", STANDARD_NO_PAD.encode(&padded)),
            ("base64 for URLs", URL_SAFE_NO_PAD.encode(&padded)),
        ] {
            // Without the characters that mix in what stands before and after.
            let core = &encoded.as_bytes()[[0, 2, 3][before]..padded.len() * 8 / 6];
            for piece in core.windows(12) {
                forms.push((name, piece.to_vec()));
            }
        }
    }
    forms
}

/// Everything, but for wasmtime's traces of what a guest hands to each call of WASI: those are redacted where the server
/// writes its log, and looked for there.
const FILTER: &str = "trace,wasmtime_wasi=off,wasmtime_wasi_http=off,wasmtime_wasi_io=off";

/// What this process has logged so far, at every level, from the first call on.
pub fn logged() -> Vec<u8> {
    static LOG: OnceLock<()> = OnceLock::new();
    LOG.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(FILTER))
            .with_ansi(false)
            .with_writer(|| Buffer)
            .finish();
        // There is none before, unless another test of this process has another log; then nothing would be found in ours.
        let _ = tracing::subscriber::set_global_default(subscriber);
        tracing::info!("the log begins");
    });
    lock().clone()
}

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn lock() -> std::sync::MutexGuard<'static, Vec<u8>> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Buffer;

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

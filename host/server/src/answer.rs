//! What a command answers: a text for a person, a JSON object for a program, and an exit code.

use crate::failure::Failure;
use crate::secrets;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;

/// See the module.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For a person; without a newline at its end.
    pub(crate) text: String,
    /// For a program: one JSON object, or nothing if the answer has been given already.
    pub(crate) json: String,
    /// 0, 1 or 2.
    pub(crate) exit: u8,
    is_failure: bool,
}

/// `{"error": {...}}`: the answer of every command that could not do its work.
#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    /// Searchable: `usage`, `configuration`, `plugin-refused`, `plugin-fault`, `held-back`, `set-aside`, `suspended`, `not-owner`, `journal`, `engine`, `network`, `run`,
    /// `interrupted`, `output`, `threads`, `not-found`, `conflict`, `secret`, `inactive`, `busy`, `serving`, `backup`, `search`, `unavailable`.
    code: &'a str,
    /// The exit code.
    exit: u8,
    /// What happened, to which thing, and what to do.
    message: String,
    /// Mistakes in files, one by one: `{"file", "key", "message"}`; the key is the TOML dotted key, or null.
    problems: &'a [crate::failure::Mistake],
}

impl Answer {
    /// An answer that is `document` for a program, and `text` for a person.
    pub(crate) fn new(text: String, document: &impl Serialize, exit: u8) -> Self {
        Self::with_json(text, to_json(document), exit)
    }

    /// Like [`Answer::new`], for a document that has been written already.
    pub(crate) fn with_json(text: String, json: String, exit: u8) -> Self {
        Self {
            text,
            json,
            exit,
            is_failure: false,
        }
    }

    /// The answer of a command that has written its result itself.
    pub(crate) fn given() -> Self {
        Self::with_json(String::new(), String::new(), 0)
    }

    /// The answer of a command that failed.
    pub(crate) fn of_failure(failure: &Failure) -> Self {
        let document = ErrorDocument {
            error: ErrorBody {
                code: failure.code(),
                exit: failure.exit(),
                message: failure.to_string(),
                problems: failure.mistakes(),
            },
        };
        let json = match failure {
            // Standard output carries records already: an object among them would pass for one.
            Failure::Export { written, .. } if *written > 0 => String::new(),
            _ => to_json(&document),
        };
        Self {
            text: format!("error: {failure}"),
            json,
            exit: failure.exit(),
            is_failure: true,
        }
    }

    /// Prints it, without any secret: results on standard output, failures for a person on standard error.
    pub(crate) fn print(self, json: bool) -> ExitCode {
        let printed = if json && !self.json.is_empty() {
            line(&mut io::stdout().lock(), &secrets::json(&self.json))
        } else if self.is_failure {
            line(&mut io::stderr().lock(), &secrets::page(&self.text))
        } else if !json && !self.text.is_empty() {
            line(&mut io::stdout().lock(), &secrets::page(&self.text))
        } else {
            Ok(())
        };
        match printed {
            // Whoever read it has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe && self.exit == 0 => {
                ExitCode::from(1)
            }
            _ => ExitCode::from(self.exit),
        }
    }
}

fn line(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn to_json(document: &impl Serialize) -> String {
    // Plain data with text keys: serialising it cannot fail.
    serde_json::to_string(document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Mistake;

    #[test]
    fn a_failure_is_one_json_object_with_its_exit_code() {
        let failure = Failure::Mistakes(vec![Mistake::new(
            "a.toml",
            "settings.token",
            "is required",
        )]);
        let answer = Answer::of_failure(&failure);
        assert_eq!(answer.exit, 2);
        let document: serde_json::Value = serde_json::from_str(&answer.json).unwrap();
        assert_eq!(
            document,
            serde_json::json!({"error": {
                "code": "configuration",
                "exit": 2,
                "message": "a.toml: settings.token: is required",
                "problems": [{"file": "a.toml", "key": "settings.token", "message": "is required"}],
            }})
        );
    }

    #[test]
    fn an_error_never_follows_exported_records() {
        let failed = |written| Failure::Export {
            written,
            source: connector_runtime::journal::JournalError::Closed,
        };
        assert!(Answer::of_failure(&failed(1)).json.is_empty());
        assert!(Answer::of_failure(&failed(0)).json.contains("\"journal\""));
    }
}

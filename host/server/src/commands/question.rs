//! Questions to a person, where there is one.

use crate::arguments::Global;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether somebody can be asked: a terminal on both sides, and no program that waits for JSON.
pub(crate) fn can_ask(global: &Global) -> bool {
    !global.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks; anything but yes is no.
pub(crate) fn ask(question: &str) -> bool {
    let mut answer = String::new();
    // Whoever cannot be asked has not said yes.
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
    asked.is_ok()
        && io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

//! Questions to a person, where there is one.

use crate::arguments::Global;
use crate::failure::Failure;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Longer than any secret that somebody types.
const LONGEST_LINE: u64 = 8 << 10;

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

/// Asks for a secret: on a terminal twice, without showing it; otherwise it is the first line of standard input.
///
/// # Errors
/// If nothing was typed, or two different things, or the terminal would show it.
pub(crate) fn secret(global: &Global, what: &str) -> Result<String, Failure> {
    let secret = match io::stdin().is_terminal() {
        false => line(),
        true if global.json => Err(io::Error::other(
            "--json is for programs, which are not asked",
        )),
        true => hidden(what).and_then(|first| {
            let mut again = hidden(&format!("{what}, again"))?;
            let same = *first == *again;
            again.zeroize();
            match same {
                true => Ok(first),
                false => Err(io::Error::other("two different ones were typed")),
            }
        }),
    };
    let refused = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!(
            "{what} could not be read ({why}): type it, write it to standard input as one line, or name it with --password-file or --password-env"
        ))
    };
    match secret {
        Ok(secret) if secret.is_empty() => Err(refused(&"there is none")),
        Ok(mut secret) => Ok(std::mem::take(&mut *secret)),
        Err(error) => Err(refused(&error)),
    }
}

/// One line of standard input.
fn line() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(1 << 10));
    let mut input = io::stdin().lock().take(LONGEST_LINE);
    input.read_line(&mut text)?;
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    Ok(text)
}

/// One line of a terminal that does not show it.
#[cfg(unix)]
fn hidden(question: &str) -> io::Result<Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let shown = tcgetattr(io::stdin())?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    write!(io::stderr(), "{question}: ").and_then(|()| io::stderr().flush())?;
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    let typed = line();
    tcsetattr(io::stdin(), OptionalActions::Now, &shown)?;
    typed
}

#[cfg(not(unix))]
fn hidden(_question: &str) -> io::Result<Zeroizing<String>> {
    Err(io::Error::other("this terminal would show it"))
}

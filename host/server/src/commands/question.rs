//! Questions to a person, where there is one.

use crate::arguments::Global;
use crate::failure::Failure;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
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
        false => line(io::stdin().lock()),
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

/// The first line of what is typed or written, without its end.
fn line(input: impl io::BufRead) -> io::Result<Zeroizing<String>> {
    // Room for all of it: a text that grows leaves its old bytes behind.
    let room = usize::try_from(LONGEST_LINE).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(room));
    let mut input = input.take(LONGEST_LINE);
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
    let typed = line(io::stdin().lock());
    tcsetattr(io::stdin(), OptionalActions::Now, &shown)?;
    typed
}

#[cfg(not(unix))]
fn hidden(_question: &str) -> io::Result<Zeroizing<String>> {
    Err(io::Error::other("this terminal would show it"))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        let read = |text: &str| line(text.as_bytes()).map(|line| line.to_string()).ok();
        assert_eq!(read(" two words \r\nmore\n"), Some(" two words ".into()));
        assert_eq!(read("no end"), Some("no end".into()));
        assert_eq!(read(""), Some(String::new()));
    }
}

//! Analysis: what of a text can be found. The index and the documents that are searched without one follow the same rules.
//!
//! A text can be found by its *words*, runs of letters and digits, and by its *whole*, both without regard to case.

/// Longer texts cannot be found by their whole, and longer words not at all; bytes.
pub(crate) const LONGEST_TERM: usize = 256;

/// The words of a text in their order, in lower case, without those that are too long.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| word.len() <= LONGEST_TERM)
}

/// The whole of a text, without blanks around it and in lower case, unless it is too long.
pub(crate) fn whole(text: &str) -> Option<String> {
    let text = text.trim();
    let lower = (text.len() <= LONGEST_TERM).then(|| text.to_lowercase());
    lower.filter(|lower| lower.len() <= LONGEST_TERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_words_and_by_its_whole() {
        let words = |text| words(text).collect::<Vec<_>>();
        assert_eq!(
            words(" Build-07.corp.example\n"),
            ["build", "07", "corp", "example"]
        );
        assert_eq!(words("Größe: 12 µm"), ["größe", "12", "µm"]);
        assert!(words("-- \n").is_empty());
        assert!(words(&"a".repeat(257)).is_empty());
        assert_eq!(whole(" CVE-2026-0001 ").as_deref(), Some("cve-2026-0001"));
        assert_eq!(whole(&"a".repeat(257)), None);
    }
}

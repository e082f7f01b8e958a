//! Digests as people read them.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes as lower-case hexadecimal digits, two each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of `bytes`, 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_lower_case_and_two_for_each_byte() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert!(sha256(b"").starts_with("e3b0c44298fc1c14"));
        assert_eq!(sha256(b"").len(), 64);
    }
}

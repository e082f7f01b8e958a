use super::*;

/// What was signed.
const FILE: &[u8] = b"acme-scanner, first edition\n";
/// Made for these tests: an Ed25519 key whose seed is the SHA-256 of `first test key`, its number the first eight bytes of
/// the SHA-256 of the public key, and its signature over the BLAKE2b digest of [`FILE`], as minisign writes them.
const FIRST: (&str, &str) = (
    "RWQBFsyDO+xxUa9f+y96LpA11w23siUTEpCZw/Gvmqs2WCaeSnnWvHSi",
    "untrusted comment: signature of a test\n\
RUQBFsyDO+xxURNuCldZXJ8SGiFTt4/ZU/I1WqxVSigFw7lZ+y/HurQkxhuNU24GV/zSBt4/nyfC3izxdcb/bODbgHN1gvff4wY=\n\
trusted comment: timestamp:1772442900\tfile:acme.wasm\thashed\n\
l8SUhWCqvvxpIh94P444AKoODJqE5RWZozg9prEmU3OIQKfSU1YsUt4E8v9Vfmp7EZs0wxte2gar6jGWK7+ICg==\n\
",
);
/// The same with the seed `second test key`.
const SECOND: (&str, &str) = (
    "RWQvWCcPvMx2QP4Clrx56WXB+L3WAONwQfZQ5rnlXokLcIeymcJkevtE",
    "untrusted comment: signature of a test\n\
RUQvWCcPvMx2QE/Idtx2KNYwf/79x5kxj2yMe5D+3IoFJHfgBMiuIyVYYJyBhOz6Bbb0NINoLZHghK9WxWpzaMyLkG2rR4lIwA4=\n\
trusted comment: timestamp:1772442900\tfile:acme.wasm\thashed\n\
sLURjaIR5HhHE1AZIChtX3yNB+hGmdgWvOj/6MqpUjhj4jkERwBFVzEs8nVQeRFfFgPlg3EkaI4hJDZUlQ0TDg==\n\
",
);

fn key(of: (&str, &str)) -> PublicKey {
    PublicKey::parse(of.0).unwrap()
}

/// What becomes of [`FILE`] as `id`, with this signature beside it.
fn check(trust: &Trust, id: &str, signature: Option<&str>) -> Result<(), TrustError> {
    check_bytes(trust, id, signature, FILE)
}

fn check_bytes(
    trust: &Trust,
    id: &str,
    signature: Option<&str>,
    bytes: &[u8],
) -> Result<(), TrustError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.wasm");
    if let Some(signature) = signature {
        std::fs::write(folder.path().join("acme.wasm.minisig"), signature).unwrap();
    }
    let signed = trust.before_compiling(&path, bytes)?;
    trust.of_id(id, &super::super::hex(&sha(bytes)), signed)
}

fn sha(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}

fn of_everyone(key: PublicKey) -> Trust {
    Trust {
        public_key: Some(key),
        pins: BTreeMap::new(),
    }
}

fn of_acme(pin: Pin) -> Trust {
    Trust {
        public_key: None,
        pins: BTreeMap::from([("acme-scanner".to_owned(), pin)]),
    }
}

#[test]
fn without_pins_and_keys_every_file_is_taken() {
    assert_eq!(check(&Trust::default(), "acme-scanner", None), Ok(()));
    let nonsense = Some("no signature");
    assert_eq!(check(&Trust::default(), "acme-scanner", nonsense), Ok(()));
}

#[test]
fn a_key_for_every_plugin_refuses_the_unsigned_before_it_is_compiled() {
    let trust = of_everyone(key(FIRST));
    assert_eq!(check(&trust, "acme-scanner", Some(FIRST.1)), Ok(()));
    let path = Path::new("/nowhere/acme.wasm");
    let unsigned = trust.before_compiling(path, FILE).err().unwrap();
    let sentence = unsigned.to_string();
    assert!(matches!(unsigned, TrustError::Unsigned { .. }));
    assert!(
        sentence.contains("/nowhere/acme.wasm.minisig") && sentence.contains(FIRST.0),
        "{sentence}"
    );
}

#[test]
fn a_signature_of_another_key_other_bytes_or_no_signature_at_all_is_refused() {
    let trust = of_everyone(key(FIRST));
    let refused = |signature: &str, bytes: &[u8]| {
        check_bytes(&trust, "acme-scanner", Some(signature), bytes)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(SECOND.1, FILE).contains("made with another key"));
    let other = refused(FIRST.1, b"acme-scanner, second edition\n");
    assert!(other.contains("not one of these bytes"), "{other}");
    let comment = FIRST.1.replace("1772442900", "1999999999");
    assert!(refused(&comment, FILE).contains("not one of these bytes"));
    assert!(refused("no signature", FILE).contains("not one of minisign"));
}

#[test]
fn a_plugins_own_key_stands_in_the_place_of_the_one_for_all() {
    let mut trust = of_acme(Pin {
        sha256: None,
        public_key: Some(key(SECOND)),
    });
    for everyone in [None, Some(key(FIRST))] {
        trust.public_key = everyone;
        assert_eq!(check(&trust, "acme-scanner", Some(SECOND.1)), Ok(()));
        assert!(check(&trust, "acme-scanner", Some(FIRST.1)).is_err());
        assert!(check(&trust, "acme-scanner", None).is_err());
    }
    // Another plugin's author may not sign with it.
    let refused = check(&trust, "other-scanner", Some(SECOND.1)).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("another key than that of `other-scanner`")
    );
    trust.public_key = None;
    assert_eq!(check(&trust, "other-scanner", None), Ok(()));
}

#[test]
fn a_pinned_id_takes_exactly_that_file() {
    let digest = super::super::hex(&sha(FILE));
    let pin = |sha256: String| {
        of_acme(Pin {
            sha256: Some(sha256),
            public_key: None,
        })
    };
    assert_eq!(check(&pin(digest.clone()), "acme-scanner", None), Ok(()));
    let other = pin("00".repeat(32));
    let sentence = check(&other, "acme-scanner", None).unwrap_err().to_string();
    assert!(
        sentence.contains(&digest) && sentence.contains("[plugins.acme-scanner]"),
        "{sentence}"
    );
    assert_eq!(check(&other, "other-scanner", None), Ok(()));
}

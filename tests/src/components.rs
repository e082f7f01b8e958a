//! Components for what a host must refuse, made from the contract or from a good one, and signatures for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

const CONTRACT: &str = include_str!("../../wit/connector.wit");
/// What no connector gets.
const SOCKETS: &str =
    "package wasi:sockets@0.2.12;\ninterface tcp {\n  connect: func(address: string);\n}\n";
/// The body that the maker of dummies gives to every function: no locals, `unreachable`, the end.
const DUMMY_BODY: [u8; 3] = [0x00, 0x00, 0x0b];

/// A component of the contract in which every function traps.
///
/// # Errors
/// If the contract cannot be encoded.
pub fn trapping() -> anyhow::Result<Vec<u8>> {
    of_contract(CONTRACT, |module| module)
}

/// The same, made for another version of the contract.
///
/// # Errors
/// If the contract cannot be encoded.
pub fn of_version(version: &str) -> anyhow::Result<Vec<u8>> {
    of_contract(&CONTRACT.replace("0.1.0", version), |module| module)
}

/// The same with one more import, of an interface that the host does not offer.
///
/// # Errors
/// If the contract cannot be encoded.
pub fn with_foreign_import() -> anyhow::Result<Vec<u8>> {
    let world = "world plugin {\n  import wasi:sockets/tcp@0.2.12;";
    of_contract(&CONTRACT.replace("world plugin {", world), |module| module)
}

/// The same in which every function runs for ever.
///
/// # Errors
/// If the contract cannot be encoded.
pub fn endless() -> anyhow::Result<Vec<u8>> {
    // loop, back to its start, end; unreachable; end
    of_contract(CONTRACT, |module| {
        with_bodies(&module, &[0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00, 0x0b])
    })
}

fn of_contract(contract: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_str("sockets.wit", SOCKETS)?;
    let package = resolve.push_str("connector.wit", contract)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mut module = change(dummy_module(&resolve, world, ManglingAndAbi::Standard32));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.encode()
}

/// A component in which `old` is written as `new`, of the same length, wherever it stands.
///
/// # Panics
/// If it stands nowhere, or the lengths differ: the test would prove nothing.
pub fn patched(component: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = component.to_vec();
    let mut found = false;
    for place in 0..bytes.len().saturating_sub(old.len()) {
        if bytes[place..].starts_with(old.as_bytes()) {
            bytes[place..place + old.len()].copy_from_slice(new.as_bytes());
            found = true;
        }
    }
    assert!(found, "{old} is not in the component");
    bytes
}

/// The same component with another digest: a custom section more, which means nothing.
pub fn renewed(component: &[u8], mark: u8) -> Vec<u8> {
    let mut bytes = component.to_vec();
    // Section 0, three bytes: a name of one letter, and the mark.
    bytes.extend([0, 3, 1, b'x', mark]);
    bytes
}

/// A module whose dummy functions have this body instead.
fn with_bodies(module: &[u8], body: &[u8]) -> Vec<u8> {
    const CODE: u8 = 10;
    let mut changed = module[..8].to_vec();
    let mut at = 8;
    while at < module.len() {
        let id = module[at];
        let (size, start) = number(module, at + 1);
        let section = &module[start..start + size];
        at = start + size;
        let mut content = Vec::new();
        if id == CODE {
            let (functions, mut place) = number(section, 0);
            content.extend(leb(functions));
            for _ in 0..functions {
                let (size, start) = number(section, place);
                let old = &section[start..start + size];
                let new = if old == DUMMY_BODY { body } else { old };
                content.extend(leb(new.len()));
                content.extend(new);
                place = start + size;
            }
        } else {
            content.extend(section);
        }
        changed.push(id);
        changed.extend(leb(content.len()));
        changed.extend(content);
    }
    changed
}

/// A number as WebAssembly writes it, and the place behind it.
pub(crate) fn number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (value, at);
        }
    }
}

/// A number as WebAssembly writes it.
pub(crate) fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A key pair that signs as minisign does (without hashing first, as its older versions did).
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: [u8; 8],
}

impl SigningKey {
    /// Always the same one for the same number.
    ///
    /// # Errors
    /// Never, for a seed of this length.
    pub fn new(number: u8) -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32])
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self {
            pair,
            id: [number; 8],
        })
    }

    /// The line that stands in a `.pub` file.
    pub fn public(&self) -> String {
        let key = [b"Ed", &self.id[..], self.pair.public_key().as_ref()];
        STANDARD.encode(key.concat())
    }

    /// What stands in a `.minisig` file for these bytes.
    pub fn sign(&self, bytes: &[u8]) -> String {
        let signature = self.pair.sign(bytes);
        let comment = "signed by a test";
        let whole = [signature.as_ref(), comment.as_bytes()].concat();
        let first = [b"Ed", &self.id[..], signature.as_ref()].concat();
        format!(
            "untrusted comment: of a test\n{}\ntrusted comment: {comment}\n{}\n",
            STANDARD.encode(first),
            STANDARD.encode(self.pair.sign(&whole))
        )
    }
}

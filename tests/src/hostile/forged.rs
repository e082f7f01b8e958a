//! Components that no Rust compiler makes: the `.wat` files of `fixtures/hostile`, made whole or multiplied.

use crate::components::{leb, number};
use anyhow::Context as _;
use std::fmt::Write as _;
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../wit/connector.wit");
/// What stands before and behind the step of the compile bomb: two `nop`.
const MARK: [u8; 2] = [0x01, 0x01];

/// The text of one hostile file.
fn text(name: &str) -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/hostile");
    let path = folder.join(name).with_extension("wat");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The component of one hostile `.wat` file.
///
/// # Errors
/// If there is no such file, or it is not WebAssembly.
pub fn forged(name: &str) -> anyhow::Result<Vec<u8>> {
    forge(&text(name)?)
}

/// The component of a text. A core module becomes a connector: it gets a memory and an allocator before its
/// own parts, and the functions of the contract that it does not have, none of which returns.
///
/// # Errors
/// If it is not WebAssembly.
pub fn forge(text: &str) -> anyhow::Result<Vec<u8>> {
    let Some((head, own)) = text.split_once("(module") else {
        return Ok(wat::parse_str(text)?);
    };
    let mut whole = format!(
        r#"{head}(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)"#
    );
    for (name, parameters) in [
        ("configure", "i32 i32"),
        ("test", ""),
        ("plan", "i32 i32 i32 i32 i32 i32"),
        (
            "collect-batch",
            "i32 i32 i32 i32 i32 i32 i64 i64 i32 i32 i32",
        ),
    ] {
        write!(
            whole,
            r#"(func (export "interflow:connector/connector@0.1.0#{name}") (param {parameters}) (result i32) unreachable)"#
        )?;
    }
    whole.push_str(own);
    let mut module = wat::parse_str(&whole)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("connector.wit", CONTRACT)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()
}

/// A component with nothing in it but the module of `compile_bomb.wat`, multiplied: its function `functions` times, with
/// `locals` local variables in each, and its step `steps` times. A step is 42 bytes long.
///
/// # Errors
/// If the file is not what it was.
pub fn compile_bomb(functions: usize, locals: usize, steps: usize) -> anyhow::Result<Vec<u8>> {
    let template = wat::parse_str(text("compile_bomb")?)?;
    let (start, step, end) = bomb_body(&template).context("compile_bomb.wat has changed")?;
    // One group of locals, of the type i64.
    let mut body = vec![1];
    body.extend(leb(locals));
    body.push(0x7e);
    body.extend_from_slice(start);
    body.extend_from_slice(&step.repeat(steps));
    body.extend_from_slice(end);

    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 0, 0], &mut module);
    let mut declared = leb(functions);
    declared.resize(declared.len() + functions, 0);
    section(3, &declared, &mut module);
    // One memory, of at least one page.
    section(5, &[1, 0, 1], &mut module);
    let mut code = leb(functions);
    for _ in 0..functions {
        code.extend(leb(body.len()));
        code.extend_from_slice(&body);
    }
    section(10, &code, &mut module);

    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(1, &module, &mut component);
    Ok(component)
}

/// What stands behind the local variables of the template's one function, before, in and after its step.
fn bomb_body(module: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut at = 8;
    while at < module.len() {
        let id = module[at];
        let (size, start) = number(module, at + 1);
        at = start + size;
        if id != 10 {
            continue;
        }
        let (_, first) = number(module, start);
        let (size, body) = number(module, first);
        // One group of locals: its number, how many, their type.
        let code = module.get(body + 3..body + size)?;
        let mark = |from: usize| {
            let found = code[from..].windows(2).position(|pair| pair == MARK)?;
            Some(from + found)
        };
        let before = mark(0)?;
        let after = mark(before + MARK.len())?;
        return Some((
            &code[..before],
            &code[before + MARK.len()..after],
            &code[after + MARK.len()..],
        ));
    }
    None
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    out.extend(leb(content.len()));
    out.extend_from_slice(content);
}

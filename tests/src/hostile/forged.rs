//! Components that no Rust compiler makes: written as text, or byte by byte.

use std::fmt::Write as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../wit/connector.wit");

/// A connector whose `describe` has the body `describe`, and in whose core module stands `more`, both in WebAssembly's text
/// format. None of its other functions returns.
///
/// # Errors
/// If that is not WebAssembly.
pub fn connector(describe: &str, more: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = format!(
        r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
        {more}
        (func $"describe" (export "interflow:connector/connector@0.1.0#describe") (result i32) {describe})"#
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
            text,
            r#"(func (export "interflow:connector/connector@0.1.0#{name}") (param {parameters}) (result i32) unreachable)"#
        )?;
    }
    text.push(')');
    let mut module = wat::parse_str(&text)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("connector.wit", CONTRACT)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()
}

/// A component with nothing in it but one module of `functions` functions, each with `locals` local variables that it
/// stores into one another `steps` times, in a loop: what costs a compiler most for its length.
pub fn module_bomb(functions: u32, locals: u32, steps: u32) -> Vec<u8> {
    let mut body = vec![1];
    leb(locals, &mut body);
    // i64; loop.
    body.extend([0x7e, 0x03, 0x40]);
    for step in 0..steps {
        body.push(0x20); // local.get
        leb(step % locals.max(1), &mut body);
        body.push(0x20);
        leb((step + 7) % locals.max(1), &mut body);
        body.extend([0x7c, 0x21]); // i64.add, local.set
        leb((step + 13) % locals.max(1), &mut body);
    }
    // br 0; end; end.
    body.extend([0x0c, 0x00, 0x0b, 0x0b]);

    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 0, 0], &mut module);
    let mut declared = Vec::new();
    leb(functions, &mut declared);
    declared.resize(declared.len() + functions as usize, 0);
    section(3, &declared, &mut module);
    let mut code = Vec::new();
    leb(functions, &mut code);
    for _ in 0..functions {
        leb(length(&body), &mut code);
        code.extend_from_slice(&body);
    }
    section(10, &code, &mut module);

    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(1, &module, &mut component);
    component
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    leb(length(content), out);
    out.extend_from_slice(content);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// An unsigned number in the variable length of WebAssembly.
fn leb(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

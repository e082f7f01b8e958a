//! Files that never become plugins, and what a plugin finds when it looks around.

use connector_runtime::Limits;
use std::time::Duration;
use tests::hostile::{Attack, connector, module_bomb, refusal};

/// What `describe` starts with is over, one way or another.
const NOTHING: &str = "unreachable";

async fn refused(describe: &str, more: &str, limits: Limits) -> String {
    refusal(&connector(describe, more).unwrap(), limits).await
}

#[tokio::test]
async fn an_endless_loop_in_the_start_function_is_stopped() {
    let limits = Limits {
        call_cpu: Duration::from_millis(300),
        ..Limits::default()
    };
    let start = "(func $forever (loop br 0)) (start $forever)";
    assert_eq!(
        refused(NOTHING, start, limits).await,
        "its `describe` failed: The plugin was stopped: one call may use 300 ms of CPU (`call_cpu_seconds`).",
    );
}

#[tokio::test]
async fn a_table_bomb_is_refused_at_its_start_and_as_it_grows() {
    let table = "(table 10000000 funcref)";
    let start = refused(NOTHING, table, Limits::default()).await;
    assert!(
        start.contains("table: 10000000 elements wanted, 100000 allowed"),
        "{start}"
    );
    let grow = "(table $t 1 funcref)";
    let describe = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then unreachable)) i32.const 0";
    assert_eq!(
        refused(describe, grow, Limits::default()).await,
        "its `describe` failed: The plugin ran out of room (table: 100001 elements wanted, 100000 allowed).",
    );
}

#[tokio::test]
async fn memories_count_together() {
    let memories = "(memory 900) (memory 900)";
    let refused = refused(NOTHING, memories, Limits::default()).await;
    assert!(
        refused.contains("memory: 118030336 bytes wanted, 67108864 allowed"),
        "{refused}"
    );
}

#[tokio::test]
async fn more_memories_and_tables_than_allowed_are_refused_however_small() {
    for part in ["(memory 0)", "(table 0 funcref)"] {
        let refused = refused(NOTHING, &part.repeat(65), Limits::default()).await;
        assert!(
            refused.contains("more memories, tables or instances than allowed (`core_instances`)"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_division_by_zero_in_describe_is_a_trap_like_any_other() {
    let describe = "(i32.div_s (i32.const 1) (i32.const 0))";
    assert_eq!(
        refused(describe, "", Limits::default()).await,
        "its `describe` failed: The plugin trapped: wasm trap: integer divide by zero.",
    );
}

#[tokio::test]
async fn a_manifest_outside_of_memory_is_not_read() {
    let refused = refused("i32.const 0x7ffffff0", "", Limits::default()).await;
    assert!(refused.starts_with("its `describe` failed: "), "{refused}");
}

/// A name in the form of C++ that stands for a type in which each parameter is written twice, forty times over.
fn name_bomb() -> String {
    let mut name = String::from("_Z1f1A1PIS_S_E");
    for level in 1..40 {
        let last = base36(level);
        name.push_str(&format!("S0_IS{last}_S{last}_E"));
    }
    name
}

fn base36(number: u32) -> String {
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').collect();
    let digit = |value: u32| digits[value as usize];
    match number {
        0..36 => digit(number).to_string(),
        _ => format!("{}{}", digit(number / 36), digit(number % 36)),
    }
}

#[tokio::test]
async fn a_function_whose_name_unfolds_without_end_is_shown_by_its_name() {
    let name = name_bomb();
    let more = format!(r#"(func $"{name}" (result i32) unreachable)"#);
    let describe = format!(r#"(call $"{name}")"#);
    let bytes = connector(&describe, &more).unwrap();
    let kept = bytes
        .windows(name.len())
        .any(|part| part == name.as_bytes());
    assert!(kept, "the component carries the name");
    assert_eq!(
        refusal(&bytes, Limits::default()).await,
        "its `describe` failed: The plugin trapped: wasm trap: wasm `unreachable` instruction executed.",
    );
}

#[tokio::test]
async fn sockets_are_refused_by_name() {
    let component = wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.12" (instance)))"#);
    assert_eq!(
        refusal(&component.unwrap(), Limits::default()).await,
        "imports wasi:sockets/tcp@0.2.12, which this host does not offer (see `plugins inspect`)."
    );
}

#[tokio::test]
async fn what_is_no_component_is_refused_for_what_it_is() {
    let module = wat::parse_str("(module)").unwrap();
    let mut later = module.clone();
    later[4] = 0x0e;
    for bytes in [&b""[..], b"\0asm", b"(component)", &module, &later] {
        assert_eq!(
            refusal(bytes, Limits::default()).await,
            "is not a WebAssembly component that this host can run (its header is not that of a component)."
        );
    }
    let mut cut = connector(NOTHING, "").unwrap();
    cut.truncate(cut.len() / 2);
    let refused = refusal(&cut, Limits::default()).await;
    assert!(
        refused.starts_with("is not a WebAssembly component that this host can run ("),
        "{refused}"
    );
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_even_read() {
    let limits = Limits {
        component_bytes: 1 << 20,
        ..Limits::default()
    };
    let bomb = module_bomb(400, 100, 500);
    let size = bomb.len();
    assert!(size > 1 << 20);
    assert_eq!(
        refusal(&bomb, limits).await,
        format!("{size} bytes is more than the 1048576 that a plugin may have.")
    );
}

#[tokio::test]
async fn a_module_with_more_locals_than_webassembly_allows_is_refused_unread() {
    let refused = refusal(&module_bomb(1_000, 60_000, 1), Limits::default()).await;
    assert!(refused.contains("too many locals"), "{refused}");
}

#[tokio::test]
async fn a_component_of_many_functions_is_compiled_beside_others_and_judged_like_them() {
    let refused = refusal(&module_bomb(2_000, 10, 10), Limits::default()).await;
    assert!(
        refused.starts_with("does not export interflow:connector/connector@0.1.0"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_plugin_that_looks_around_finds_nothing() {
    let attacked = Attack::by("looks_around").run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    for (what, found) in [
        ("variables", "[]"),
        ("arguments", "[]"),
        ("folder", "None"),
        ("input", "Some(0) \"\""),
        ("terminal", "false"),
        ("preopens", "0"),
        ("/etc/passwd", "entity not found"),
        ("/", "entity not found"),
        (".", "entity not found"),
        ("journal.sqlite", "entity not found"),
        ("/proc/self/environ", "entity not found"),
        ("write", "entity not found"),
        ("good", "ok"),
    ] {
        assert_eq!(saw[what], found, "{what}");
    }
}

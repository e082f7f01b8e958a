//! Files that never become plugins, and what a plugin finds when it looks around.

use connector_runtime::Limits;
use std::time::Duration;
use tests::hostile::{Attack, compile_bomb, forged, refusal};

/// The sentence with which a file of `fixtures/hostile` is refused.
async fn refused(name: &str) -> String {
    refusal(&forged(name).unwrap(), Limits::default()).await
}

#[tokio::test]
async fn an_endless_loop_in_the_start_function_is_stopped() {
    let limits = Limits {
        call_cpu: Duration::from_millis(300),
        ..Limits::default()
    };
    assert_eq!(
        refusal(&forged("endless_start").unwrap(), limits).await,
        "its `describe` failed: The plugin was stopped: one call may use 300 ms of CPU (`call_cpu_seconds`).",
    );
}

#[tokio::test]
async fn a_table_bomb_is_refused_at_its_start_and_as_it_grows() {
    let start = refused("table_bomb").await;
    assert!(
        start.contains("table: 10000000 elements wanted, 100000 allowed"),
        "{start}"
    );
    assert_eq!(
        refused("table_growth").await,
        "its `describe` failed: The plugin ran out of room (table: 100001 elements wanted, 100000 allowed).",
    );
}

#[tokio::test]
async fn memories_count_together() {
    let refused = refused("two_memories").await;
    assert!(
        refused.contains("memory: 118030336 bytes wanted, 67108864 allowed"),
        "{refused}"
    );
}

#[tokio::test]
async fn more_memories_and_tables_than_allowed_are_refused_however_small() {
    for name in ["many_memories", "many_tables"] {
        let refused = refused(name).await;
        assert!(
            refused.contains("more memories, tables or instances than allowed (`core_instances`)"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_division_by_zero_in_describe_is_a_trap_like_any_other() {
    assert_eq!(
        refused("divides_by_zero").await,
        "its `describe` failed: The plugin trapped: wasm trap: integer divide by zero.",
    );
}

#[tokio::test]
async fn a_manifest_outside_of_memory_is_not_read() {
    let refused = refused("manifest_outside").await;
    assert!(refused.starts_with("its `describe` failed: "), "{refused}");
}

#[tokio::test]
async fn a_function_whose_name_unfolds_without_end_is_shown_by_its_name() {
    let bytes = forged("name_bomb").unwrap();
    let (first, last) = (b"_Z1f1A1PIS_S_ES0_IS1_S1_E", b"S0_IS13_S13_E");
    let carries = |part: &[u8]| bytes.windows(part.len()).any(|bytes| bytes == part);
    assert!(carries(first) && carries(last), "it has no name section");
    assert_eq!(
        refusal(&bytes, Limits::default()).await,
        "its `describe` failed: The plugin trapped: wasm trap: wasm `unreachable` instruction executed.",
    );
}

#[tokio::test]
async fn sockets_are_refused_by_name() {
    assert_eq!(
        refused("sockets").await,
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
    let mut cut = forged("divides_by_zero").unwrap();
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
    let bomb = compile_bomb(400, 100, 100).unwrap();
    let size = bomb.len();
    assert!(size > 1 << 20);
    assert_eq!(
        refusal(&bomb, limits).await,
        format!("{size} bytes is more than the 1048576 that a plugin may have.")
    );
}

#[tokio::test]
async fn a_module_with_more_locals_than_webassembly_allows_is_refused_unread() {
    let bomb = compile_bomb(1_000, 60_000, 1).unwrap();
    let refused = refusal(&bomb, Limits::default()).await;
    assert!(refused.contains("too many locals"), "{refused}");
}

#[tokio::test]
async fn a_component_of_many_functions_is_compiled_beside_others_and_judged_like_them() {
    let bomb = compile_bomb(2_000, 10, 2).unwrap();
    let refused = refusal(&bomb, Limits::default()).await;
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

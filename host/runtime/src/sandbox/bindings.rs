//! The contract as Rust types, generated from `wit/connector.wit`.
#![expect(
    missing_docs,
    reason = "generated from the contract, whose comments are the documentation"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: { default: trappable },
    exports: { default: async },
});

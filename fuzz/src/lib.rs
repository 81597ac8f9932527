//! What the programs of `cargo fuzz` run: the same bodies as the gate's test of the corpus.

#[path = "../../tests/corpus/targets.rs"]
pub mod targets;

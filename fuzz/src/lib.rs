//! Bodies of the programs of `cargo fuzz`: the same as the gate's test of the corpus.

#[path = "../../tests/corpus/targets.rs"]
pub mod targets;

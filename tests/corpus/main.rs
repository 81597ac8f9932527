//! The files of `fuzz/corpus` through the bodies of the fuzz targets, and simple mutations of each: what `cargo fuzz` would find
//! first, in some seconds and without its compiler. New findings go into the corpus, and so into the gate.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![expect(clippy::print_stderr, reason = "the input that breaks something is printed")]

mod targets;

use std::{collections::BTreeSet, fs, panic, path::PathBuf};

use targets::{ALL, Target};

/// Bytes from the beginning that are mutated.
const MUTATED: usize = 200;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Runs every file of one target's corpus, and its mutations.
fn run(name: &str) {
    let target = ALL.iter().find(|(known, _)| *known == name).expect("a target").1;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root().join("corpus").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "the corpus of {name} has {} files", paths.len());
    for path in paths {
        let seed = fs::read(&path).unwrap();
        let shown = path.display().to_string();
        one(target, &seed, &shown, "as it is");
        for at in 0..seed.len().min(MUTATED) {
            one(target, &seed[..at], &shown, &format!("cut at {at}"));
            // Another letter or digit, another class of character, and no text any more.
            for flip in [0x01, 0x20, 0x80] {
                let mut bytes = seed.clone();
                bytes[at] ^= flip;
                one(target, &bytes, &shown, &format!("byte {at} flipped by {flip:#x}"));
            }
        }
    }
}

fn one(target: Target, bytes: &[u8], path: &str, how: &str) {
    if let Err(cause) = panic::catch_unwind(|| target(bytes)) {
        eprintln!("{path}, {how}: {:?}", String::from_utf8_lossy(bytes));
        panic::resume_unwind(cause);
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*
        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

tests! { ca_crt create_task endpoint job job_list kill renewal stored text token }

#[test]
fn every_target_has_a_corpus_a_program_and_a_test() {
    let targets: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let names = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stems("corpus"), targets);
    assert_eq!(stems("fuzz_targets"), targets);
    assert_eq!(TESTED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), targets);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        let program = fs::read_to_string(root().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}(")), "{name}.rs runs another target");
    }
}

#[test]
fn the_check_for_tokens_finds_one() {
    for text in ["Token 3a9fKq is bad", "lm2-XW8", "u8yc4n", "3 A 9 F K Q"] {
        assert!(targets::shows_a_token(text), "{text}");
    }
    assert!(!targets::shows_a_token("Token 3a9fK is bad, and u8Yc4 too"));
}

//! Says on stderr what takes long; takes a question to ask until it has an answer, gives the answer back.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Interval of the question.
const PAUSE: Duration = Duration::from_millis(200);

/// Says one line. Not by `eprintln!`: libtest shows what that prints only when the test has failed, which is too late.
pub(crate) fn say(line: &str) {
    print(&format!("control-plane: {line}\n"));
}

/// In one piece, so that nobody writes in between.
fn print(text: &str) {
    // The tests of this crate build nothing, and should not tell people that they do.
    if !cfg!(test) {
        // Nobody reads stderr: then nobody misses it either.
        let _ = stderr().write_all(text.as_bytes());
    }
}

/// Asks `done` until it has an answer. Meanwhile tells how long it takes, and what `doing` says: on a line that is
/// refreshed on a terminal, on a new line every ten seconds elsewhere.
pub(crate) fn wait<T>(doing: impl Fn() -> String, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let terminal = stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    let start = Instant::now();
    let mut next = every;
    let answer = loop {
        match done() {
            Ok(None) => {}
            Ok(Some(answer)) => break Ok(answer),
            Err(error) => break Err(error),
        }
        let elapsed = start.elapsed();
        if elapsed >= next {
            next = elapsed + every;
            let line = format!("{} {}", minutes(elapsed), doing());
            if terminal {
                print(&format!("\r\x1b[Kcontrol-plane: {line:.64}"));
            } else {
                say(&line);
            }
        }
        thread::sleep(PAUSE);
    };
    if terminal {
        print("\r\x1b[K");
    }
    answer
}

fn minutes(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}m{:02}s", seconds / 60, seconds % 60)
}

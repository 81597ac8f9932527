//! Arguments that cargo passes to every test binary: takes them, says whether the one test here is meant. Pure.

/// The arguments of a test harness. Most say how tests are run and shown, and change nothing here.
#[derive(Debug, clap::Args)]
pub struct Libtest {
    /// Run only when a filter is part of the test's name.
    #[arg(hide = true)]
    filters: Vec<String>,

    /// A filter is the whole name.
    #[arg(long, hide = true)]
    exact: bool,

    /// Do not run when this is part of the name.
    #[arg(long, hide = true)]
    skip: Vec<String>,

    /// Name the test, and do not run it.
    #[arg(long, hide = true)]
    list: bool,

    /// Run only tests that are ignored otherwise; this is none.
    #[arg(long, hide = true)]
    ignored: bool,

    #[command(flatten)]
    _unused: Unused,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "that many there are")]
struct Unused {
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    exclude_should_panic: bool,
    #[arg(long, hide = true)]
    force_run_in_process: bool,
    #[arg(long, hide = true)]
    test: bool,
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, alias = "no-capture", hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    fail_fast: bool,
    #[arg(long, hide = true)]
    report_time: bool,
    #[arg(long, hide = true)]
    ensure_time: bool,
    #[arg(long, hide = true)]
    shuffle: bool,
    #[arg(long, hide = true)]
    shuffle_seed: Option<String>,
    #[arg(long, hide = true)]
    test_threads: Option<String>,
    #[arg(long, hide = true)]
    logfile: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(short = 'Z', hide = true)]
    unstable: Vec<String>,
}

impl Libtest {
    /// True if the test called `name` is to be run. Names it when that was asked for instead.
    pub fn wants(&self, name: &str) -> bool {
        let meets = |filter: &String| if self.exact { filter == name } else { name.contains(filter.as_str()) };
        let meant = !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(meets))
            && !self.skip.iter().any(meets);
        if self.list && meant {
            println!("{name}: test");
        }
        meant && !self.list
    }
}

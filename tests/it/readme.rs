//! README says what the code says.

use salesforce_backup_operator::{api::Reason, cli::Cli};

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_has_every_reason_and_every_flag_with_its_default() {
    for reason in Reason::ALL {
        assert!(README.contains(&format!("`{}`", reason.as_str())), "{} is missing in README", reason.as_str());
    }
    let command = <Cli as clap::CommandFactory>::command();
    let run = command.get_subcommands().find(|command| command.get_name() == "run").unwrap();
    for argument in run.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version")) {
        let flag = format!("| `--{}` |", argument.get_long().unwrap());
        let line = README
            .lines()
            .find(|line| line.starts_with(&flag))
            .unwrap_or_else(|| panic!("{flag} is missing in README"));
        for default in argument.get_default_values() {
            assert!(
                line.contains(&format!("`{}`", default.to_string_lossy())),
                "the default in README differs: {line}"
            );
        }
    }
}

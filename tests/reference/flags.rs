//! The page of commands and flags, from what clap knows. Pure.

use clap::{Arg, Command, CommandFactory as _};
use salesforce_backup_operator::cli::{
    Cli,
    markdown::{cell, code, codes, head, row},
};

const HEAD: &str = "\
# Commands and flags

For those who run the program. Generated from the code by `SFB_UPDATE=1 cargo test --test reference`.

Durations are written as `30s`, `5m`, `250ms` or `1h30m`. A boolean that defaults to true takes `=false`. A list takes commas, or the flag
several times. A flag takes precedence over its environment variable. Every flag of `run` is a value of the chart under its camelCase
name: see [Values of the chart](values.md).
";

/// The page.
pub fn page() -> String {
    let mut program = Cli::command();
    program.build();
    let sections = program.get_subcommands().filter(|command| command.get_name() != "help").map(section);
    HEAD.to_owned() + &sections.collect::<String>()
}

fn section(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let rows: String = flags(command).map(flag).collect();
    let head = head(&["flag", "variable", "value", "default", "meaning"]);
    format!("\n## {}\n\n{}\n\n{head}{rows}", command.get_name(), about.trim())
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| !flag.is_hide_set() && !matches!(flag.get_id().as_str(), "help" | "version"))
}

fn flag(flag: &Arg) -> String {
    let takes_value = flag.get_action().takes_values();
    let long = flag.get_long().map(|long| format!("--{long}"));
    let short = flag.get_short().map(|short| format!("-{short}"));
    let name = codes(long.iter().chain(&short).map(String::as_str));
    let variable = flag.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
    let choices: Vec<_> = flag.get_possible_values();
    let values = if !takes_value {
        String::new()
    } else if choices.is_empty() {
        let names = flag.get_value_names().unwrap_or_default().iter().map(clap::builder::Str::as_str);
        codes(names)
    } else {
        codes(choices.iter().map(clap::builder::PossibleValue::get_name))
    };
    let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default =
        if flag.is_required_set() { "required".to_owned() } else { codes(defaults.iter().map(AsRef::as_ref)) };
    let help = flag.get_long_help().or_else(|| flag.get_help()).map(ToString::to_string).unwrap_or_default();
    row(&[&name, &variable, &values, if takes_value { &default } else { "" }, &cell(&help)])
}

#[test]
fn every_flag_has_a_name_a_variable_and_a_help() {
    let mut program = Cli::command();
    program.build();
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        assert!(flags(command).count() > 0, "{} has no flag", command.get_name());
        for flag in flags(command) {
            let id = format!("{} {}", command.get_name(), flag.get_id());
            assert!(flag.get_long().is_some(), "{id} has no name");
            assert!(flag.get_env().is_some(), "{id} has no environment variable");
            assert!(flag.get_help().is_some_and(|help| help.to_string().len() > 10), "{id} has no help");
        }
    }
}

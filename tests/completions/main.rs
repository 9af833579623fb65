//! The completions of bash, zsh and fish in etc/completions are made from the
//! options by clap: `BLESS=1 cargo test --test completions` writes them anew. And as
//! clap knows the options then, it tells whether they are read as people expect.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may panic

mod reading;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use clap::{Arg, ArgAction, value_parser};
use clap_complete::{Generator, Shell, generate};
use sipproxy64::cli::arguments::{Opt, Takes};
use sipproxy64::cli::table;
use sipproxy64::status_command as status;

/// The options as clap, who writes the completions, wants them.
fn command(name: &'static str, options: &'static [Opt]) -> clap::Command {
    let mut command = clap::Command::new(name).version(env!("CARGO_PKG_VERSION"));
    for option in options.iter().filter(|option| !["help", "version"].contains(&option.long)) {
        let mut argument = Arg::new(option.long).long(option.long).help(option.help).conflicts_with_all(option.against);
        if let Some(letter) = option.short {
            argument = argument.short(letter);
        }
        command = command.arg(match option.takes {
            Takes::Nothing => argument.action(ArgAction::SetTrue),
            Takes::Count => argument.action(ArgAction::Count),
            Takes::One(value) => with_value(argument, value).action(ArgAction::Set),
            Takes::Number(value) => argument.value_name(value).allow_negative_numbers(true),
            Takes::Each(value) => with_value(argument, value).action(ArgAction::Append),
            Takes::All(value) => with_value(argument, value).num_args(0..).action(ArgAction::Append),
        });
    }
    command
}

/// Some values are files of this machine.
fn with_value(argument: Arg, value: &'static str) -> Arg {
    let argument = argument.value_name(value);
    if value.contains('|') {
        return argument.value_parser(value.split('|').map(clap::builder::PossibleValue::new).collect::<Vec<_>>());
    }
    if ["FILE", "DIR", "SOCKET"].contains(&value) { argument.value_parser(value_parser!(PathBuf)) } else { argument }
}

/// The options of both command lines, as the shells see them.
fn generated(shell: Shell) -> String {
    let about = env!("CARGO_PKG_DESCRIPTION");
    let status = command("status", &status::OPTIONS).about(status::ABOUT);
    let mut command = command("sipproxy64", &table::OPTIONS).about(about).subcommand(status);
    // That would be a command of its own, which there is not.
    command = command.disable_help_subcommand(true);
    let mut text = Vec::new();
    generate(shell, &mut command, "sipproxy64", &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn completions_have_all_options() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/completions");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = folder.join(shell.file_name("sipproxy64"));
        let text = generated(shell);
        if env::var_os("BLESS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text, "{}: run BLESS=1 cargo test --test completions", file.display());
        for option in ["listen4", "takeover", "config", "json"] {
            assert!(text.contains(option), "{shell}: {option} is missing");
        }
    }
}

/// What a user of bash gets.
#[test]
fn bash_completes_an_option() {
    let typed = "COMP_WORDS=(sipproxy64 --max-calls-p); COMP_CWORD=1; _sipproxy64 sipproxy64 --max-calls-p sipproxy64";
    let script = format!("{}\n{typed}; echo \"${{COMPREPLY[@]}}\"", generated(Shell::Bash));
    let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
        assert!(env::var("CI").as_deref() != Ok("true"), "bash is missing");
        println!("skipped: bash_completes_an_option needs bash");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--max-calls-per-source");
}

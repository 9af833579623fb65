//! The completions of bash, zsh and fish in etc/completions are made from the
//! options: `BLESS=1 cargo test --test completions` writes them anew.

#![allow(clippy::unwrap_used)] // a test may panic

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use clap_complete::{Generator, Shell, generate};

/// The options of both command lines, as the shells see them.
fn generated(shell: Shell) -> String {
    let status = sipproxy64::status::command::command().name("status");
    let mut command = sipproxy64::cli::command().subcommand(status);
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

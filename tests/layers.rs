//! Every `use` in `src/` and `core/src/` points down the table in `src/lib.rs`, and
//! only the shell knows a socket, a clock, a thread pool or a log. That the package
//! `core/` knows nothing of the shell is the compiler's to see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "nothing of a test is reachable from elsewhere")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a source file may be compared by: its layer, counted from the top, and
/// which of the siblings in that layer it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    layer: usize,
    sibling: usize,
}

/// What only the shell may name.
const OF_THE_SHELL: [&str; 18] = [
    "tokio::",
    "socket2::",
    "nix::",
    "rustix::",
    "clap::",
    "tracing::",
    "tracing_subscriber::",
    "syslog_tracing::",
    "getrandom::",
    "sd_notify::",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant",
    "SystemTime",
    "std::thread",
    "std::fs",
    "println!",
];

/// What may stand under `[dependencies]` in `core/Cargo.toml`: none of it touches the system.
const OF_THE_CORE: [&str; 3] = ["serde", "siphasher", "thiserror"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of the shell and those of the core.
fn sources() -> [PathBuf; 2] {
    ["src", "core/src"].map(|folder| root().join(folder))
}

/// The table of `lib.rs`: the place of each module. `beside them` parts siblings
/// that may not know each other.
fn table() -> BTreeMap<String, Place> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| row.contains('`'));
    let mut places = BTreeMap::new();
    for (layer, row) in rows.enumerate() {
        let modules = row.split('|').nth(1).unwrap();
        for (sibling, part) in modules.split("beside them").enumerate() {
            for module in part.split('`').skip(1).step_by(2) {
                let twice = places.insert(module.to_owned(), Place { layer, sibling });
                assert!(twice.is_none(), "{module} stands twice in the table of src/lib.rs");
            }
        }
    }
    places
}

/// All source files.
fn files() -> Vec<PathBuf> {
    let mut open = sources().to_vec();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The module of its crate's root that a file belongs to.
fn module(path: &Path) -> String {
    let inside = sources().iter().find_map(|source| path.strip_prefix(source).ok()).unwrap().to_owned();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The lines of a file with their numbers, comments and documentation left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let uncommented = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    (1..).zip(text.lines().map(uncommented)).collect()
}

/// The modules that a line names by `crate::`, `crate::{a, b}` included.
fn named(line: &str) -> Vec<String> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut names = Vec::new();
    for behind in line.split("crate::").skip(1) {
        match behind.strip_prefix('{') {
            Some(list) => {
                let items = list.split('}').next().unwrap().split(',');
                names.extend(items.map(|item| item.trim().split("::").next().unwrap().to_owned()));
            }
            None => names.push(behind.split(|letter| !is_name(letter)).next().unwrap().to_owned()),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn every_module_stands_in_the_table() {
    let table = table();
    assert_eq!(table.values().map(|place| place.layer).max(), Some(8), "nine layers: {table:?}");
    for path in files() {
        let module = module(&path);
        assert!(module == "lib" || table.contains_key(&module), "src/lib.rs gives {module} no layer");
    }
}

#[test]
fn every_use_points_down() {
    let table = table();
    let mut wrong = Vec::new();
    for path in files() {
        let Some(&from) = table.get(&module(&path)) else { continue };
        for (number, line) in code(&path) {
            for name in named(&line) {
                let Some(&to) = table.get(&name) else {
                    wrong.push(format!("{}:{number}: crate::{name} is no module of the table", path.display()));
                    continue;
                };
                if to.layer < from.layer || (to.layer == from.layer && to.sibling != from.sibling) {
                    wrong.push(format!("{}:{number}: {name} is not below {}", path.display(), module(&path)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_shell_knows_sockets_clocks_and_logs() {
    let table = table();
    let mut wrong = Vec::new();
    for path in files() {
        if table.get(&module(&path)).is_none_or(|place| place.layer < table["proxy"].layer) {
            continue;
        }
        for (number, line) in code(&path) {
            let words = OF_THE_SHELL.iter().filter(|word| is_word(&line, word));
            wrong.extend(words.map(|word| format!("{}:{number}: {word} belongs in the shell", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_depends_on_nothing_that_touches_the_system() {
    let manifest = fs::read_to_string(root().join("core/Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let names: Vec<&str> = names.map(|line| line.split(['.', ' ', '=']).next().unwrap()).collect();
    assert_eq!(names, OF_THE_CORE);
}

/// Whether `word` stands in `line`, and not at the end of a longer one.
fn is_word(line: &str, word: &str) -> bool {
    let goes_on = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let open_end = word.ends_with(|letter: char| !goes_on(letter));
        !line[..at].ends_with(goes_on) && (open_end || !line[at + word.len()..].starts_with(goes_on))
    })
}

#[test]
fn the_test_itself_sees_what_it_looks_for() {
    assert_eq!(named("use crate::sip::uri::Uri;"), ["sip"]);
    assert_eq!(named("pub(super) fn f(a: &crate::config::Key, b: crate::edit::Edits)"), ["config", "edit"]);
    assert_eq!(named("use crate::{scan, sip::host};"), ["scan", "sip"]);
    assert!(is_word("use std::time::Instant;", "Instant") && !is_word("let x = Instantly;", "Instant"));
    assert!(is_word("use tokio::net", "tokio::") && !is_word("use my_tokio::net", "tokio::"));
}

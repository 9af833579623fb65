//! What the documents say of the program is true.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may panic

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` that end so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => open.push(path),
                false if path.to_str().unwrap().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// The sources, with strings that go over more than one line put together.
fn sources() -> String {
    let files = [files("src", ".rs"), files("core/src", ".rs")].concat();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let joined: Vec<&str> =
        text.split("\\\n").enumerate().map(|(n, part)| if n == 0 { part } else { part.trim_start() }).collect();
    joined.concat()
}

/// Each line that the troubleshooting page quotes is one that the program has.
#[test]
fn the_quoted_lines_are_what_the_program_says() {
    let sources = sources();
    let page = fs::read_to_string(root().join("docs/TROUBLESHOOTING.md")).unwrap();
    let verdicts = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|(first, _)| first);
    let verdicts = verdicts.filter(|first| first.contains("sent media"));
    let quoted: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("> ")).chain(verdicts).collect();
    for line in &quoted {
        for piece in line.split("...").map(str::trim).filter(|piece| piece.len() > 3) {
            assert!(sources.contains(piece), "no line of the program says {piece:?} (of {line:?})");
        }
    }
    assert!(quoted.len() > 30, "only {} lines found", quoted.len());
}

/// Links between the documents lead somewhere.
#[test]
fn links_lead_to_files() {
    let mut links = 0;
    for document in ["README.md", "ARCHITECTURE.md", "docs/TROUBLESHOOTING.md", "t/README.md", "CHANGELOG.md"] {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if !target.starts_with("http") && !file.is_empty() {
                assert!(path.parent().unwrap().join(file).exists(), "{document}: {target} is not there");
                links += 1;
            }
        }
    }
    assert!(links > 5, "only {links} links found");
}

/// ARCHITECTURE.md has each module of both packages.
#[test]
fn the_architecture_has_every_module() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let libs = ["src/lib.rs", "core/src/lib.rs"].map(|file| fs::read_to_string(root().join(file)).unwrap()).concat();
    for module in libs.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = module.trim_end_matches(';');
        assert!(text.contains(&format!("`{module}`")), "ARCHITECTURE.md lacks {module}");
    }
}

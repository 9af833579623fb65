//! The table in `tests/SECURITY.md` names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The file that a name of the table stands for, and the function in it.
fn place(name: &str) -> (PathBuf, Option<&str>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some((module, function)) = name.split_once("::") else { return (root.join(name), None) };
    let file = format!("{module}.rs");
    let folder = if ["src/", "core/src/", "tests/"].iter().any(|folder| module.starts_with(folder)) {
        root.to_owned()
    } else if module.starts_with("outside/") {
        root.join("tests")
    } else {
        root.join("tests/security")
    };
    (folder.join(file), Some(function))
}

#[test]
fn every_test_in_the_table_exists() {
    let table = include_str!("../SECURITY.md");
    let names = table.split('`').skip(1).step_by(2);
    let names: Vec<_> = names.filter(|name| name.contains('_') || name.contains('/')).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names.into_iter().filter(|name| !name.contains(' ') && !matches!(*name, "src/" | "core/src/" | "t/")) {
        let (path, function) = place(name);
        assert!(path.exists(), "{name}: no {}", path.display());
        if let Some(function) = function {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(&format!("fn {function}(")), "{name}: not in {}", path.display());
        }
    }
}

//! A folder of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// A folder in `target/`, for files and other programs; removed with a test that passes.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one; each of a test has another name.
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What cannot be removed is in the target folder still.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

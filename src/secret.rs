//! The key of the tokens: from the file of `--secret`, or random.
//!
//! The file holds 128 bits as 32 hexadecimal digits and a line end. Whoever can
//! read it can forge tokens, so nobody but its owner may.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::config::Key;

/// Longer than any right file: 32 digits and a line end.
const READ_LIMIT: u64 = 64;

/// Why there is no key. Each text says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("--secret {}: cannot read it: {why}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// The file was absent and cannot be made.
    #[error("--secret {}: cannot create it: {why}; its directory must exist and be writable", file.display())]
    Create {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("--secret {}: not a regular file; name one, or one that does not exist yet", file.display())]
    NotFile {
        /// The file.
        file: PathBuf,
    },
    /// Others than the owner may use the file.
    #[error("--secret {0}: others than its owner may use it (mode {mode:04o}); run: chmod 600 {0}", file.display())]
    Mode {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("--secret {}: not a key of 32 hexadecimal digits; name another file, or one to be created", file.display())]
    Content {
        /// The file.
        file: PathBuf,
    },
    /// The system has no random numbers for us.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
}

/// A key for this run.
///
/// # Errors
/// The system has no random numbers for us.
pub fn random() -> Result<Key, SecretError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(SecretError::Random)?;
    Ok(Key(key))
}

/// The key in `file`, which is created with a random one if it is absent.
///
/// # Errors
/// It cannot be read or written, is not a key, or others may read it.
pub fn of_file(file: &Path) -> Result<Key, SecretError> {
    match read(file) {
        Err(SecretError::Read { why, .. }) if why.kind() == io::ErrorKind::NotFound => {
            create(file)?;
            // Also where another instance was faster: then with its key.
            read(file)
        }
        other => other,
    }
}

/// Whether `file` exists. Nothing is created.
///
/// # Errors
/// Where it exists and is no key, or not one that is kept secret.
pub fn check(file: &Path) -> Result<bool, SecretError> {
    match read(file) {
        Err(SecretError::Read { why, .. }) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|_| true),
    }
}

fn read(file: &Path) -> Result<Key, SecretError> {
    let failed = |why| SecretError::Read { file: file.to_owned(), why };
    // Without O_NONBLOCK a pipe would hold us up for ever.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretError::NotFile { file: file.to_owned() });
    }
    let mut text = Vec::new();
    opened.take(READ_LIMIT).read_to_end(&mut text).map_err(failed)?;
    // Content first: nobody shall be told to chmod a file that is no key.
    let key = parse(&text).ok_or_else(|| SecretError::Content { file: file.to_owned() })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Mode { file: file.to_owned(), mode });
    }
    Ok(key)
}

fn parse(text: &[u8]) -> Option<Key> {
    let digits = text.trim_ascii_end();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().map(|key| Key(key.to_be_bytes()))
}

/// Makes the file under another name first, as one that starts at the same time
/// must find all of it or nothing. That the file exists already is no error.
fn create(file: &Path) -> Result<(), SecretError> {
    let key = u128::from_be_bytes(random()?.0);
    let other_name = unused_name(file)?;
    let made = write_new(&other_name, &format!("{key:032x}\n")).and_then(|()| match fs::hard_link(&other_name, file) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // Nothing can be done about a left-over that cannot be removed.
    let _ = fs::remove_file(&other_name);
    made.map_err(|why| SecretError::Create { file: file.to_owned(), why })
}

fn unused_name(file: &Path) -> Result<PathBuf, SecretError> {
    let random = getrandom::u64().map_err(SecretError::Random)?;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{random:016x}"));
    Ok(name.into())
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut created: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    created.write_all(text.as_bytes())?;
    created.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for a test, removed in the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("sipproxy64-{:016x}", getrandom::u64().unwrap()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, text: &str, mode: u32) -> PathBuf {
            let file = self.0.join("secret");
            let _ = fs::remove_file(&file);
            write_new(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            file
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_created_is_read_again() {
        let directory = Directory::new();
        let file = directory.0.join("secret");
        let first = of_file(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&file).unwrap().len(), 33);
        assert_eq!(of_file(&file).unwrap(), first);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn all_who_start_at_once_get_one_key() {
        let directory = Directory::new();
        let file = directory.0.join("secret");
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(|| of_file(&file).unwrap())).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn only_32_digits_are_a_key() {
        let directory = Directory::new();
        let digits = "000102030405060708090a0b0c0D0E0F";
        let bytes: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        for good in [digits.to_owned(), format!("{digits}\n"), format!("{digits}\r\n")] {
            assert_eq!(of_file(&directory.file(&good, 0o600)).unwrap(), Key(bytes));
        }
        let (short, long, plus) = (&digits[1..], format!("0{digits}"), format!("+{}", &digits[1..]));
        for bad in ["", "\n", short, &long, &plus, &digits.replace('0', "x"), &format!("{digits}\n{digits}\n")] {
            let said = of_file(&directory.file(bad, 0o600)).unwrap_err().to_string();
            assert!(said.contains("32 hexadecimal digits"), "{said}");
        }
    }

    #[test]
    fn a_file_that_others_may_use_is_refused() {
        let directory = Directory::new();
        for mode in [0o604, 0o640, 0o660, 0o644, 0o622] {
            let file = directory.file("000102030405060708090a0b0c0d0e0f\n", mode);
            let said = of_file(&file).unwrap_err().to_string();
            assert!(said.ends_with(&format!("chmod 600 {}", file.display())), "{said}");
        }
        of_file(&directory.file("000102030405060708090a0b0c0d0e0f\n", 0o400)).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let directory = Directory::new();
        assert!(matches!(of_file(&directory.0), Err(SecretError::NotFile { .. })));
        let nowhere = directory.0.join("absent").join("secret");
        assert!(matches!(of_file(&nowhere), Err(SecretError::Create { .. })));
    }
}

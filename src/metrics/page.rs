//! The page: one file, without parts from elsewhere.

use super::http::Reply;

const PAGE: &str = include_str!("page.html");
/// What stands in [`PAGE`] for the nonce of its script and style.
const NONCE: &str = "NONCE";

/// The page, with a nonce that nobody can foresee: what a message might smuggle
/// into it would not run.
pub(super) fn page() -> Reply {
    let Ok(nonce) = getrandom::u64() else { return Reply::unavailable() };
    let nonce = format!("{nonce:016x}");
    Reply::page(&nonce, PAGE.replace(NONCE, &nonce).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_parts_from_elsewhere() {
        for foreign in ["http:", "https:", "src=", "<link", "@import", "url(", "innerHTML", "eval("] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
        assert_eq!(PAGE.matches("nonce=\"NONCE\"").count(), 2);
        assert_eq!(PAGE.matches(NONCE).count(), 2);
    }
}

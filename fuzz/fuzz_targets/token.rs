//! What messages carry for us: a token that can be read is written as it stood,
//! and nobody but we can make one that proves something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipproxy64::branch::Branch;
use sipproxy64::config::Key;
use sipproxy64::token::{Dashed, Seal, Tilde, Token, Written};

fuzz_target!(|bytes: &[u8]| {
    if let Some(seal) = Seal::parse(bytes) {
        assert_eq!(seal.to_string().as_bytes(), bytes.to_ascii_lowercase());
    }
    if let Some(branch) = Branch::parse(bytes) {
        assert_eq!(Branch::parse(branch.to_string().as_bytes()), Some(branch));
    }
    if let Some(written) = Written::parse(bytes) {
        let text = written.to_string();
        assert_eq!(text.replace(['[', ']'], "").len(), bytes.len());
        assert_eq!(Written::parse(Tilde(written.endpoint).to_string().as_bytes()).map(|it| it.endpoint), Some(written.endpoint));
        let host = text.strip_suffix(&written.port.map(|port| format!(":{}", Dashed(port))).unwrap_or_default());
        assert_eq!(Dashed(host.unwrap_or_default().as_bytes()).to_string().as_bytes(), written.host);
    }
    if let Some(token) = Token::parse(bytes) {
        assert!(bytes.starts_with(token.written.host) && bytes.ends_with(token.beyond));
        assert_eq!(Written::parse(&bytes[..bytes.len() - token.beyond.len()]), Some(token.written));
        // Under a key that nothing was made with.
        assert!(!token.is_proven(&Key([0x5a; 16]), token.written.endpoint.ip()));
    }
});

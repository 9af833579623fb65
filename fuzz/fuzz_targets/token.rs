//! What messages carry for us: a token that can be read is written as it stood,
//! nobody but we can make one that proves something, and addresses are written
//! as the standard library would.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use sipproxy64::branch::Branch;
use sipproxy64::config::Key;
use sipproxy64::text::Text;
use sipproxy64::token::{Dashed, Seal, Tilde, Token, Written};

fuzz_target!(|bytes: &[u8]| {
    if let Some(seal) = Seal::parse(bytes) {
        assert_eq!(seal.to_string().as_bytes(), bytes.to_ascii_lowercase());
    }
    if let Some(branch) = Branch::parse(bytes) {
        assert_eq!(Branch::parse(branch.to_string().as_bytes()), Some(branch));
    }
    if let Some(written) = Written::parse(bytes) {
        restored(bytes, written);
    }
    if let Some(token) = Token::parse(bytes) {
        assert!(bytes.starts_with(token.written.host) && bytes.ends_with(token.beyond));
        assert_eq!(Written::parse(&bytes[..bytes.len() - token.beyond.len()]), Some(token.written));
        // Under a key that nothing was made with.
        assert!(!token.is_proven(&Key([0x5a; 16]), Some(token.written.endpoint.ip())));
    }
    if let Some((&octets, rest)) = bytes.split_first_chunk::<16>() {
        address(Ipv6Addr::from(octets), rest);
    }
});

fn text(text: impl Text) -> Vec<u8> {
    let mut out = Vec::new();
    text.write(&mut out);
    out
}

/// Host and port stand there again as they stood before.
fn restored(bytes: &[u8], written: Written<'_>) {
    let mut again = text(Dashed(&text(written.bracketed_host())));
    if let Some(port) = written.port {
        again.push(b'~');
        again.extend_from_slice(port);
    }
    assert_eq!(again, bytes);
}

fn address(v6: Ipv6Addr, rest: &[u8]) {
    let port = rest.first_chunk().map_or(5060, |&port| u16::from_be_bytes(port));
    let v4 = Ipv4Addr::from_bits(v6.to_bits() as u32);
    for ip in [IpAddr::V6(v6), IpAddr::V4(v4)] {
        let endpoint = SocketAddr::new(ip, port);
        assert_eq!(text(ip), ip.to_string().as_bytes());
        assert_eq!(text(endpoint), endpoint.to_string().as_bytes());
        let written = text(Tilde(endpoint));
        // A port of 0 can be written but not read.
        assert_eq!(Written::parse(&written).map(|it| it.endpoint), (port > 0).then_some(endpoint));
    }
}

//! As much of HTTP/1.1 as a page and a scraper need (RFC 9112): one GET on a
//! connection, one answer, and the end.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The longest head of a request, in octets.
const MAX_HEAD: usize = 8192;

/// A request that may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// The path, without a query.
    pub(super) path: &'a str,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    status: &'static str,
    content_type: &'static str,
    /// The scripts and styles that the page may run (Content Security Policy).
    policy: String,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn new(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status: "200 OK", content_type, policy: "default-src 'none'".to_owned(), body }
    }

    pub(super) fn json(body: Vec<u8>) -> Self {
        Self::new("application/json", body)
    }

    /// A page whose own script and style have this nonce.
    pub(super) fn page(nonce: &str, body: Vec<u8>) -> Self {
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { policy, ..Self::new("text/html; charset=utf-8", body) }
    }

    fn refusal(status: &'static str) -> Self {
        Self { status, ..Self::new("text/plain; charset=utf-8", format!("{status}\n").into_bytes()) }
    }

    pub(super) fn not_found() -> Self {
        Self::refusal("404 Not Found")
    }

    pub(super) fn unavailable() -> Self {
        Self::refusal("503 Service Unavailable")
    }

    fn head(&self) -> String {
        let Self { status, content_type, policy, body } = self;
        let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
             Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        )
    }
}

impl<'a> Request<'a> {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// The refusal that answers it.
    pub(super) fn parse(head: &'a [u8], names: &[String]) -> Result<Self, Reply> {
        let bad = || Reply::refusal("400 Bad Request");
        let head = str::from_utf8(head).map_err(|_| bad())?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        if !version.starts_with("HTTP/1.") {
            return Err(Reply::refusal("505 HTTP Version Not Supported"));
        }
        if method != "GET" {
            return Err(Reply::refusal("405 Method Not Allowed"));
        }
        let mut hosts = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        });
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(bad()) };
        if !is_ours(host, names) {
            let advice = "open this page by its numeric address, or name the host that you called it by with --name";
            let body = format!("421 Misdirected Request: {advice}\n").into_bytes();
            let plain = Reply::refusal("421 Misdirected Request");
            return Err(Reply { body, ..plain });
        }
        let path = target.split('?').next().unwrap_or_default();
        if path.starts_with('/') { Ok(Self { path }) } else { Err(bad()) }
    }
}

/// Whether a `Host` is one that nobody can make up: a numeric address,
/// `localhost`, or a name that the configuration has for us.
fn is_ours(host: &str, names: &[String]) -> bool {
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) => (v6, port),
        None => host.split_at_checked(host.find(':').unwrap_or(host.len())).unwrap_or((host, "")),
    };
    // As a browser has it that was asked for a name with a dot at the end.
    let host = host.strip_suffix('.').unwrap_or(host);
    let sound = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let known = host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host));
    sound && known
}

/// Reads until the empty line that ends the head of a request.
pub(super) async fn read_head(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        stream.readable().await?;
        let mut buffer = [0; 1024];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => head.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(head);
        }
        if head.len() > MAX_HEAD {
            return Err(ErrorKind::InvalidData.into());
        }
    }
}

/// Writes an answer.
pub(super) async fn write(stream: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    stream.write_all(reply.head().as_bytes()).await?;
    stream.write_all(&reply.body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> &'static str {
        match Request::parse(head.as_bytes(), &["proxy.example.org".to_owned()]) {
            Ok(_) => "200 OK",
            Err(reply) => reply.status,
        }
    }

    #[test]
    fn get_and_nothing_else() {
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9064\r\n\r\n"), "200 OK");
        for method in ["POST", "HEAD", "OPTIONS", "CONNECT", "get"] {
            let said = status(&format!("{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
            assert_eq!(said, "405 Method Not Allowed", "{method}");
        }
        for head in
            ["", "GET /\r\n\r\n", "GET / HTTP/1.1 x\r\nHost: [::1]\r\n\r\n", "GET x HTTP/1.1\r\nHost: [::1]\r\n\r\n"]
        {
            assert_eq!(status(head), "400 Bad Request", "{head:?}");
        }
        assert_eq!(status("GET / HTTP/2\r\nHost: [::1]\r\n\r\n"), "505 HTTP Version Not Supported");
    }

    #[test]
    fn a_name_that_somebody_chose_is_no_host_of_ours() {
        for host in ["127.0.0.1", "127.0.0.1:9064", "[::1]", "[::1]:9064", "LOCALHOST:9064", "proxy.example.org.:9064"]
        {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")), "200 OK", "{host}");
        }
        for host in ["rebound.example.com", "127.0.0.1.example.com", "localhost.example.com:9064", "[::1].example.com"]
        {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), "421 Misdirected Request", "{host}");
        }
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "400 Bad Request");
        assert_eq!(status("GET / HTTP/1.1\r\nHost: [::1]\r\nHost: evil\r\n\r\n"), "400 Bad Request");
    }

    #[test]
    fn no_other_origin_is_let_in() {
        let head = Reply::page("n0nce", Vec::new()).head();
        assert!(!head.to_ascii_lowercase().contains("access-control"), "{head}");
        assert!(head.contains("script-src 'nonce-n0nce'") && head.contains("default-src 'none'"), "{head}");
    }
}

//! SIP messages as text: written from templates, read by lines.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::uri::split_list;

/// A message, its header fields in order and as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The start-line.
    pub start: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Message {
    /// A request without header fields.
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), fields: Vec::new(), body: String::new() }
    }

    /// A message as the specification prints one: indented, its body behind an
    /// empty line. A `Content-Length: ...` becomes the true one.
    pub fn template(text: &str) -> Self {
        let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
        let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
        let body = lines.iter().skip(end + 1).map(|line| format!("{line}\r\n")).collect();
        Self::from_parts(&lines[..end], body).unwrap().with_length()
    }

    /// Reads a datagram. An error says what is wrong with it: nothing that
    /// sipproxy64 sends may be.
    pub fn parse(datagram: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(datagram).map_err(|error| error.to_string())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no empty line behind the header")?;
        let lines: Vec<&str> = head.split("\r\n").collect();
        let message = Self::from_parts(&lines, body.to_owned())?;
        match message.find("Content-Length").map(str::parse::<usize>) {
            Some(Ok(length)) if body.len() == length => Ok(message),
            Some(Ok(length)) => Err(format!("Content-Length {length}, but the body has {}", body.len())),
            Some(Err(_)) => Err("Content-Length is no number".to_owned()),
            None => Ok(message),
        }
    }

    fn from_parts(lines: &[&str], body: String) -> Result<Self, String> {
        let (start, fields) = lines.split_first().ok_or("no start-line")?;
        let fields = fields.iter().map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in `{line}`"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Self { start: (*start).to_owned(), fields: fields.collect::<Result<_, String>>()?, body })
    }

    /// As it goes onto the wire.
    pub fn to_wire(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// With one more header field at the end.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// With another value in the header fields of that name.
    pub fn replacing(mut self, name: &str, value: &str) -> Self {
        assert!(self.find(name).is_some(), "no {name} to replace");
        for field in self.fields.iter_mut().filter(|field| is_named(&field.0, name)) {
            field.1 = value.to_owned();
        }
        self
    }

    /// With a session description.
    pub fn with_sdp(self, description: String) -> Self {
        let mut message = self.with("Content-Type", "application/sdp").with("Content-Length", "...");
        message.body = description;
        message.with_length()
    }

    /// Without a body.
    pub fn without_body(self) -> Self {
        self.with("Content-Length", "0")
    }

    fn with_length(mut self) -> Self {
        let length = self.body.len().to_string();
        for (_, value) in self.fields.iter_mut().filter(|(_, value)| value == "...") {
            value.clone_from(&length);
        }
        self
    }

    /// The values of all header fields of that name, lines as they stand.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|field| is_named(&field.0, name)).map(|field| field.1.as_str()).collect()
    }

    /// The value of the first header field of that name.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The value of a header field that must be there.
    pub fn value(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in\n{self}"))
    }

    /// The entries of a list header field over all its lines.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name).into_iter().flat_map(split_list).collect()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        if self.status().is_some() { None } else { self.start.split(' ').next() }
    }

    /// The Request-URI.
    pub fn request_uri(&self) -> &str {
        self.start.split(' ').nth(1).expect("a request has a Request-URI")
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The number and the method of the CSeq.
    pub fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.value("CSeq").split_once(' ').expect("a CSeq has two parts");
        (number.parse().expect("a CSeq begins with a number"), method.trim())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.start)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, "{name}: {value}\r\n"))?;
        write!(f, "\r\n{}", self.body)
    }
}

/// Long and compact names are one (RFC 3261 §7.3.3).
fn is_named(name: &str, wanted: &str) -> bool {
    let long = match name.to_ascii_lowercase().as_str() {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "c" => "Content-Type",
        "l" => "Content-Length",
        _ => name,
    };
    long.eq_ignore_ascii_case(wanted)
}

/// A word that this test has not used yet: for branches, tags and Call-IDs.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

//! A text that is read piece by piece, and what is known of where that has come to.

use super::Kept;
use crate::sip::uri::Uri;

/// A text, and how far it was read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    text: &'a [u8],
    kept: Kept,
    at: usize,
    /// Where the user of the last URI ends.
    user_end: usize,
    /// Where the last URI ends.
    uri_end: usize,
    /// Between quotes.
    quoted: bool,
    /// Between angle brackets.
    bracketed: bool,
    /// In a display name.
    display: bool,
}

impl<'a> Reading<'a> {
    /// A text of which so much stays.
    pub(super) fn new(text: &'a [u8], kept: Kept) -> Self {
        Self { text, kept, at: 0, user_end: 0, uri_end: 0, quoted: false, bracketed: false, display: kept.named }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The byte that was read last.
    pub(super) fn before(&self) -> Option<u8> {
        self.at.checked_sub(1).and_then(|before| self.text.get(before)).copied()
    }

    /// Reads so many bytes.
    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at = self.at.saturating_add(length);
        taken
    }

    /// Between quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Reads the scheme of a URI that begins here, if one does.
    pub(super) fn uri_scheme(&mut self) -> Option<&'a [u8]> {
        if self.kept.all || self.quoted || self.at < self.uri_end {
            return None;
        }
        let UriStart { scheme, user, length } = uri_start(self.rest())?;
        self.uri_end = self.at.saturating_add(length);
        let written = self.take(scheme);
        self.user_end = self.at.saturating_add(user);
        self.display = false;
        Some(written)
    }

    /// What stays of the words that begin here.
    pub(super) fn kept_here(&self) -> Kept {
        let behind = self.rest().get(run(self.rest()).len());
        let is_name =
            behind == Some(&b'=') && matches!(self.before(), None | Some(b';' | b'?' | b'&' | b',' | b' ' | b'\t'));
        let all = self.kept.all || (is_name && !self.quoted);
        let none = self.kept.none || self.quoted || self.display || self.at < self.user_end;
        Kept { all, none, ..self.kept }
    }

    /// Reads a byte that may begin or end something.
    pub(super) fn punctuation(&mut self, byte: u8) {
        match byte {
            b'"' => self.quoted = !self.quoted,
            b',' if !self.quoted && !self.bracketed => self.display = self.kept.named,
            b'<' | b';' if !self.quoted => (self.display, self.bracketed) = (false, self.bracketed || byte == b'<'),
            b'>' if !self.quoted => self.bracketed = false,
            _ => {}
        }
        self.take(1);
    }
}

/// The letters, digits and joiners at the start of a text.
pub(super) fn run(text: &[u8]) -> &[u8] {
    let is_joiner = |byte: u8| matches!(byte, b'.' | b'-' | b'~');
    let length = text.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || is_joiner(byte)).count();
    let run = text.get(..length).unwrap_or_default();
    let end = run.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last.saturating_add(1));
    run.get(..end).unwrap_or_default()
}

/// A URI that begins.
struct UriStart {
    /// How long its scheme is, with the colon.
    scheme: usize,
    /// How long the user behind it is.
    user: usize,
    /// How long all of it is.
    length: usize,
}

fn uri_start(text: &[u8]) -> Option<UriStart> {
    let colon = text.iter().take(5).position(|&byte| byte == b':')?;
    let name = text.get(..colon)?;
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let scheme = colon.saturating_add(1);
    let up_to = |ends: &[u8]| text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len());
    if is(b"tel") {
        let length = up_to(b">; \"\r\n,");
        return Some(UriStart { scheme, user: length.saturating_sub(scheme), length });
    }
    if !is(b"sip") && !is(b"sips") {
        return None;
    }
    let length = up_to(b"> \"\r\n\t<");
    let user = match text.get(..length).and_then(Uri::parse) {
        Some(uri) => uri.user.map_or(0, |user| user.len()),
        // What cannot be read may have a user all the same.
        None => {
            let end = up_to(b"@> \"\r\n\t<;");
            if text.get(end) == Some(&b'@') { end.saturating_sub(scheme) } else { 0 }
        }
    };
    Some(UriStart { scheme, user, length })
}

//! A small reader of SIP messages that shares no line with the crate's own.
//!
//! Bytes become text by Latin-1, one letter a byte, so that nothing is lost.

/// A message taken apart: no field is judged, none is lost.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: String,
}

/// A header field: its raw lines without the last CRLF, its long name in lower
/// case, and where in the raw text its value begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) raw: String,
    pub(crate) name: String,
    pub(crate) value_at: usize,
}

impl Field {
    /// The value, folds included, without white space around it.
    pub(crate) fn value(&self) -> &str {
        self.raw[self.value_at..].trim_matches([' ', '\t', '\r', '\n'])
    }
}

/// The letters of Latin-1 for bytes.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Takes a message apart; `None` where there is no empty line.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    let text = latin1(bytes);
    let text = text.trim_start_matches(['\r', '\n']);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let start = lines.next()?.to_owned();
    let mut raw: Vec<String> = Vec::new();
    for line in lines {
        match raw.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => *last += &format!("\r\n{line}"),
            _ => raw.push(line.to_owned()),
        }
    }
    let fields = raw.into_iter().map(field).collect();
    let mut message = Message { start, fields, body: body.to_owned() };
    if let Some(length) = message.value("content-length").and_then(|value| value.parse().ok())
        && length <= message.body.len()
    {
        // Latin-1 of 128 and up takes two bytes in a String: count letters.
        message.body = body.chars().take(length).collect();
    }
    Some(message)
}

fn field(raw: String) -> Field {
    let colon = raw.find(':').unwrap_or(raw.len());
    let name = long_name(raw[..colon].trim());
    let value_at = (colon + 1).min(raw.len());
    Field { name, value_at, raw }
}

fn long_name(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "m" => "contact",
        "i" => "call-id",
        "c" => "content-type",
        "l" => "content-length",
        "r" => "refer-to",
        "b" => "referred-by",
        "e" => "content-encoding",
        other => other,
    }
    .to_owned()
}

impl Message {
    pub(crate) fn is_response(&self) -> bool {
        self.start.to_ascii_uppercase().starts_with("SIP/")
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(Field::value)
    }

    /// The method: of the start-line, or in a response of the CSeq.
    pub(crate) fn method(&self) -> &str {
        if self.is_response() {
            self.value("cseq").and_then(|cseq| cseq.split_whitespace().nth(1)).unwrap_or_default()
        } else {
            self.start.split(' ').next().unwrap_or_default()
        }
    }

    pub(crate) fn request_uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }
}

/// Pieces of a header field value: text that must not change, and URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Uri(String),
}

/// Takes a raw line apart at its URIs: what stands in brackets outside of quotes,
/// a value without brackets up to its first semicolon, and what stands between
/// the quotes of the parameters named in `inner`.
pub(crate) fn pieces(field: &Field, list: bool, inner: &[&str]) -> Vec<Piece> {
    let mut pieces = vec![Piece::Text(field.raw[..field.value_at].to_owned())];
    for (index, value) in values(&field.raw[field.value_at..], list).into_iter().enumerate() {
        if index > 0 {
            pieces.push(Piece::Text(",".to_owned()));
        }
        take_apart(&value, inner, &mut pieces);
    }
    pieces
}

/// The values of a list, white space included; commas in quotes and brackets part
/// nothing.
pub(crate) fn values(text: &str, list: bool) -> Vec<String> {
    let mut values = vec![String::new()];
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for letter in text.chars() {
        match letter {
            ',' if list && !quoted && !bracketed => {
                values.push(String::new());
                continue;
            }
            '"' if !escaped && !bracketed => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        escaped = letter == '\\' && !escaped && quoted;
        values.last_mut().unwrap().push(letter);
    }
    values
}

fn take_apart(value: &str, inner: &[&str], pieces: &mut Vec<Piece>) {
    let masked = masked(value);
    // A bracket behind a semicolon belongs to a parameter.
    let bracket = masked.find('<').filter(|&at| !masked[..at].contains(';'));
    let (start, end, added) = match bracket.and_then(|at| Some((at + 1, at + masked[at..].find('>')?))) {
        Some((start, end)) => (start, end, 1),
        None => {
            let start = value.len() - value.trim_start_matches([' ', '\t', '\r', '\n']).len();
            let end = masked.find(';').unwrap_or(value.trim_end_matches([' ', '\t', '\r', '\n']).len()).max(start);
            let end = start + value[start..end].trim_end_matches([' ', '\t', '\r', '\n']).len();
            (start, end, 0)
        }
    };
    pieces.push(Piece::Text(value[..start - added].to_owned()));
    if added == 1 {
        pieces.push(Piece::Text("<".to_owned()));
    }
    pieces.push(Piece::Uri(value[start..end].to_owned()));
    if added == 1 {
        pieces.push(Piece::Text(">".to_owned()));
    }
    take_parameters(&value[(end + added).min(value.len())..], inner, pieces);
}

fn take_parameters(text: &str, inner: &[&str], pieces: &mut Vec<Piece>) {
    let (mut kept, mut at) = (0, 0);
    while let Some(start) = text[at..].find("=\"").map(|found| at + found) {
        let name = text[at..start].rsplit(';').next().unwrap().trim().to_lowercase();
        let Some(end) = text[start + 2..].find('"').map(|length| start + 2 + length) else { break };
        if inner.contains(&name.as_str()) {
            pieces.push(Piece::Text(text[kept..start + 2].to_owned()));
            pieces.push(Piece::Uri(text[start + 2..end].to_owned()));
            kept = end;
        }
        at = end + 1;
    }
    pieces.push(Piece::Text(text[kept..].to_owned()));
}

/// The same text with `_` for each letter in quotes, as many bytes long.
fn masked(text: &str) -> String {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    text.chars()
        .flat_map(|letter| {
            let inside = quoted;
            if letter == '"' && !escaped && !bracketed {
                quoted = !quoted;
            }
            if !quoted && letter == '<' {
                bracketed = true;
            }
            if !quoted && letter == '>' {
                bracketed = false;
            }
            escaped = letter == '\\' && !escaped && quoted;
            let shown = if inside { '_' } else { letter };
            std::iter::repeat_n(shown, if inside { letter.len_utf8() } else { 1 })
        })
        .collect()
}

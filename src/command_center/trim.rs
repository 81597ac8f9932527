//! Removes the white space and the byte order marks that editors leave around a text. Pure, no client.

/// `text` without the white space and the byte order marks around it.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(is_padding)
}

fn is_padding(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// `bytes` without the byte order mark at its beginning.
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

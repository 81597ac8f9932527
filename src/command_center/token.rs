//! The token of a Command Center. Bytes of a Secret go in, a [`Token`] or the mistake in them comes out. Pure, no
//! client.
//!
//! A token leaves this type in three places: a request header, the body of the call that renews it, and the Secret that
//! keeps the new one. It never gets into anything else that a person or a log can read.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::command_center::trim::trimmed;

/// A token as the Secret holds it, without the white space around it. It is cleared from memory when it is dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// Most bytes of a token. Servers refuse headers that are much smaller.
const MAX_TOKEN: usize = 16 * 1024;

/// Words that clients put before a token in the header.
const WORDS: [&str; 2] = ["QSDK", "Bearer"];
/// Names of the header, which people copy along with a token.
const HEADERS: [&str; 2] = ["authtoken:", "authorization:"];
/// Marks around a token that is copied from a script or a text.
const QUOTATION_MARKS: [char; 9] = ['"', '\'', '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}'];
/// The words "QSDK ", "Bearer " and "bearer " in base64, as far as the text that follows does not change it.
const ENCODED_WORDS: [&str; 3] = ["UVNESy", "QmVhcmVyI", "YmVhcmVyI"];

/// The mistake in a token. Nothing of the token is shown except a character that no token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is longer than any header.
    #[error("it is longer than 16 KiB")]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8 text; it may be from a file in another encoding, such as UTF-16")]
    NotText,
    /// It is quoted.
    #[error("it has quotation marks around it, which are not part of a token: remove them")]
    Quoted,
    /// A whole header was copied.
    #[error("it begins with the name of a header: put only the token there")]
    HeaderName,
    /// It is only the word that stands before a token.
    #[error("it is only the word that stands before a token")]
    OnlyWord,
    /// It is in base64 twice: once by hand and once by a tool.
    #[error(
        "it is in base64 twice: put it in base64 once under data, or as the Command Center shows it under stringData"
    )]
    EncodedTwice,
    /// It holds a control character, an invisible character, or one that is not ASCII.
    #[error("it holds the character U+{:04X}, which an HTTP header cannot carry: copy the token anew", u32::from(*.0))]
    Character(char),
}

impl Token {
    /// The token in `bytes`, without the white space and byte order marks around it.
    ///
    /// # Errors
    /// Nothing is left, or the rest is certainly no token: it is too long for an HTTP header, no header can carry it,
    /// or something was copied along with it.
    pub fn new(bytes: &[u8]) -> Result<Self, NotAToken> {
        let text = trimmed(std::str::from_utf8(bytes).map_err(|_| NotAToken::NotText)?);
        match problem(text) {
            None => Ok(Self(text.to_owned().into())),
            Some(problem) => Err(problem),
        }
    }

    /// The token without the word before it, as it stands in the body of a renewal.
    #[must_use]
    pub fn bare(&self) -> &str {
        let text = self.0.expose_secret();
        split(text).map_or(text, |(_, bare)| bare)
    }

    /// This token with the word that stands before `other`, unless it has a word itself.
    #[must_use]
    pub fn written_like(self, other: &Self) -> Self {
        match (split(self.0.expose_secret()), split(other.0.expose_secret())) {
            (None, Some((word, _))) => Self(format!("{word} {}", self.0.expose_secret()).into()),
            (Some(_), _) | (None, None) => self,
        }
    }

    /// The value of the `Authtoken` header, marked as sensitive so that no library prints it.
    ///
    /// # Errors
    /// Never for a token of [`Token::new`]; the type of the header cannot know that.
    pub fn header(&self) -> Result<HeaderValue, NotAToken> {
        let mut value = HeaderValue::from_str(self.0.expose_secret()).map_err(|_| NotAToken::NotText)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The text of the token, for the call that renews it and for the Secret that keeps it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The word before a token, and the token.
fn split(text: &str) -> Option<(&str, &str)> {
    let (word, token) = text.split_once(char::is_whitespace)?;
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)).then(|| (word, token.trim_start()))
}

/// The reason why `text` is not a token.
fn problem(text: &str) -> Option<NotAToken> {
    let begins_with = |words: &str| text.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words));
    let is_carried = |character: char| character == '\t' || character == ' ' || character.is_ascii_graphic();
    if text.is_empty() {
        Some(NotAToken::Empty)
    } else if text.len() > MAX_TOKEN {
        Some(NotAToken::TooLong)
    } else if text.starts_with(QUOTATION_MARKS) || text.ends_with(QUOTATION_MARKS) {
        Some(NotAToken::Quoted)
    } else if HEADERS.iter().any(|name| begins_with(name)) {
        Some(NotAToken::HeaderName)
    } else if WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        Some(NotAToken::OnlyWord)
    } else if ENCODED_WORDS.iter().any(|word| text.starts_with(word)) {
        Some(NotAToken::EncodedTwice)
    } else {
        text.chars().find(|character| !is_carried(*character)).map(NotAToken::Character)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_byte_for_byte_without_the_white_space_around_it() {
        let token = Token::new(b"  QSDK abc+/=\n").unwrap();
        assert_eq!(token.header().unwrap(), "QSDK abc+/=");
        assert!(token.header().unwrap().is_sensitive());
    }

    #[test]
    fn tokens_that_are_empty_too_long_or_broken_are_refused() {
        for bytes in [&b""[..], b" \n", b"a\nb", b"\xff\xfe", &b"a".repeat(MAX_TOKEN + 1)] {
            assert!(Token::new(bytes).is_err(), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn nothing_of_a_token_is_shown() {
        let token = Token::new(b"Bearer abcdefghijklmnop").unwrap();
        assert_eq!(format!("{token:?}"), "Token(redacted)");
    }
}

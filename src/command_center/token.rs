//! The token of a Command Center: goes into one request header, and when it is renewed into the body of that call and the
//! Secret that keeps it; into nothing else that a person or a log can read.

use std::{collections::HashSet, fmt};

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

/// Runs of this many characters that a text shares with the token are masked.
const MASKED_RUN: usize = 6;

/// A token as the Secret holds it, without the white space around it. Cleared from memory when dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// Bytes that a token may have; servers refuse much smaller headers.
const MAX_TOKEN: usize = 16 * 1024;

/// The token is empty, too long, or holds characters that an HTTP header cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is empty, longer than 16 KiB, or holds a character that an HTTP header cannot carry")]
pub struct NotAToken;

impl Token {
    /// The token in `bytes`, trimmed.
    ///
    /// # Errors
    /// When nothing is left, or when what is left is too long for an HTTP header, or nothing that one can carry.
    pub fn new(bytes: &[u8]) -> Result<Self, NotAToken> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAToken)?.trim();
        if text.is_empty() || text.len() > MAX_TOKEN || HeaderValue::from_str(text).is_err() {
            return Err(NotAToken);
        }
        Ok(Self(text.to_owned().into()))
    }

    /// The value of the `Authtoken` header, marked as sensitive so that no library prints it.
    ///
    /// # Errors
    /// Never for a token that [`Token::new`] has made; the type of the header cannot know that.
    pub fn header(&self) -> Result<HeaderValue, NotAToken> {
        let mut value = HeaderValue::from_str(self.0.expose_secret()).map_err(|_| NotAToken)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The token itself, for the call that renews it and the Secret that keeps it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// `text` with everything masked that it shares with the token: a server may quote the token in its error, whole or
    /// in part, and with spaces in it that took the place of markup.
    #[must_use]
    pub fn masked_in(&self, text: &str) -> String {
        let token: Vec<char> = self.0.expose_secret().chars().filter(|character| !character.is_whitespace()).collect();
        let run = MASKED_RUN.min(token.len());
        let runs: HashSet<&[char]> = token.windows(run).collect();
        let mut shown: Vec<char> = text.chars().collect();
        let (places, dense): (Vec<usize>, Vec<char>) =
            shown.iter().copied().enumerate().filter(|(_, character)| !character.is_whitespace()).unzip();
        for (window, places) in dense.windows(run).zip(places.windows(run)) {
            if runs.contains(window) {
                for place in places {
                    if let Some(character) = shown.get_mut(*place) {
                        *character = '*';
                    }
                }
            }
        }
        shown.into_iter().collect()
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
        assert_eq!(token.masked_in("token=abcdefghijklmnop is bad"), "token=**************** is bad");
        assert_eq!(token.masked_in("starts with cdefghi..."), "starts with *******...");
        assert_eq!(token.masked_in("in parts: abcde fghij klmno p"), "in parts: ***** ***** ***** *");
        assert_eq!(Token::new(b"abc").unwrap().masked_in("say abc"), "say ***");
    }
}

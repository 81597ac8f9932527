//! The token of a Command Center: goes into one request header, and into nothing that a person or a log can read.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

/// Runs of this many characters that a text shares with the token are masked.
const MASKED_RUN: usize = 6;

/// A token as the Secret holds it, without the white space around it. Cleared from memory when dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// The token is empty or holds characters that an HTTP header cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is empty or holds a character that an HTTP header cannot carry")]
pub struct NotAToken;

impl Token {
    /// The token in `bytes`, trimmed.
    ///
    /// # Errors
    /// When nothing is left, or when an HTTP header cannot carry what is left.
    pub fn new(bytes: &[u8]) -> Result<Self, NotAToken> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAToken)?.trim();
        if text.is_empty() || HeaderValue::from_str(text).is_err() {
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

    /// `text` with everything masked that it shares with the token: a server may quote the token in its error, whole or
    /// in part.
    #[must_use]
    pub fn masked_in(&self, text: &str) -> String {
        let token: Vec<char> = self.0.expose_secret().chars().collect();
        let text: Vec<char> = text.chars().collect();
        let run = MASKED_RUN.min(token.len());
        let mut secret = vec![false; text.len()];
        for (start, window) in text.windows(run).enumerate() {
            if token.windows(run).any(|part| part == window) {
                secret.iter_mut().skip(start).take(run).for_each(|masked| *masked = true);
            }
        }
        text.iter().zip(secret).map(|(character, masked)| if masked { '*' } else { *character }).collect()
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
    fn empty_tokens_and_tokens_with_line_breaks_are_refused() {
        for bytes in [&b""[..], b" \n", b"a\nb", b"\xff\xfe"] {
            assert!(Token::new(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn nothing_of_a_token_is_shown() {
        let token = Token::new(b"Bearer abcdefghijklmnop").unwrap();
        assert_eq!(format!("{token:?}"), "Token(redacted)");
        assert_eq!(token.masked_in("token=abcdefghijklmnop is bad"), "token=**************** is bad");
        assert_eq!(token.masked_in("starts with cdefghi..."), "starts with *******...");
        assert_eq!(Token::new(b"abc").unwrap().masked_in("say abc"), "say ***");
    }
}

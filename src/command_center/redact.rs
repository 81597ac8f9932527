//! Protects tokens that a server quotes in its texts. A text goes in; out comes true if it quotes a token that the
//! server was sent, in whatever form. Pure, no client. Such a text is not shown at all.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

use crate::command_center::Token;

/// Letters and digits in a row that a text may not share with a token, or with a token in base64. So a text can show at
/// most five of them in a row, which is as good as none.
const RUN: usize = 6;
/// The same for a token in hexadecimal digits: four characters of the token. It is longer, because numbers consist of
/// these digits as well.
const HEX_RUN: usize = 8;

/// The tokens that were sent to one Command Center, of which its texts may show nothing.
#[derive(Clone, Debug)]
pub struct Redaction(Arc<Tokens>);

#[derive(Debug)]
struct Tokens {
    tokens: Vec<Token>,
    /// Computed for the first text: most connections never show one.
    runs: OnceLock<Vec<Runs>>,
}

/// The runs of so many letters and digits of a token. Only their hashes are kept: a token is cleared from memory, and
/// copies of it would not be.
#[derive(Debug)]
struct Runs {
    length: usize,
    hashes: HashSet<u64>,
}

impl Redaction {
    /// The redaction of these tokens, without the words that stand before them in a header.
    #[must_use]
    pub fn of(tokens: impl IntoIterator<Item = Token>) -> Self {
        Self(Arc::new(Tokens { tokens: tokens.into_iter().collect(), runs: OnceLock::new() }))
    }

    /// The same redaction, and of these tokens.
    #[must_use]
    pub fn and(&self, tokens: impl IntoIterator<Item = Token>) -> Self {
        Self::of(self.0.tokens.iter().cloned().chain(tokens))
    }

    /// True if `text` holds a part of a token: as it is, in base64, in hexadecimal or percent form, or escaped as in
    /// HTML or JSON; in any case, and whatever stands between its letters and digits.
    #[must_use]
    pub fn is_quoted_in(&self, text: &str) -> bool {
        let runs = self.0.runs.get_or_init(|| self.0.tokens.iter().flat_map(Runs::of).collect());
        let forms = [dense(text.bytes()), dense(unescaped(text))];
        runs.iter().any(|runs| forms.iter().any(|form| runs.occur_in(form)))
    }
}

impl Runs {
    fn of(token: &Token) -> Vec<Self> {
        let bytes = token.bare().as_bytes();
        let plain = dense(bytes.iter().copied());
        let hex: Vec<u8> = bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        let length = RUN.min(plain.len());
        let mut runs = vec![Self::in_form(&plain, length), Self::in_form(&hex, HEX_RUN)];
        runs.extend((0..3).map(|offset| Self::in_form(&base64(bytes, offset), RUN)));
        runs.retain(|runs| !runs.hashes.is_empty());
        runs
    }

    fn in_form(form: &[u8], length: usize) -> Self {
        Self { length, hashes: windows(form, length).map(hash).collect() }
    }

    fn occur_in(&self, dense: &[u8]) -> bool {
        windows(dense, self.length).any(|window| self.hashes.contains(&hash(window)))
    }
}

fn windows(form: &[u8], length: usize) -> impl Iterator<Item = &[u8]> {
    // An empty run has no windows.
    form.windows(length.max(1)).filter(move |_| length > 0)
}

fn hash(run: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    hasher.finish()
}

/// The letters and digits, in lower case.
fn dense(bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    bytes.into_iter().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// `bytes` in base64, where `offset` bytes before them share a group of three with the first one. The characters that
/// depend on the bytes before and after are left out.
fn base64(bytes: &[u8], offset: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(bytes.iter().copied()).collect();
    let encoded = BASE64_STANDARD_NO_PAD.encode(&padded);
    let whole = padded.len() * 8 / 6;
    let shared = (offset * 8).div_ceil(6);
    dense(encoded.bytes().take(whole).skip(shared))
}

/// The bytes of `text`, each escape replaced by the byte that it stands for: `%51`, `&#81;`, `&#x51;`, `\x51` and
/// `\u0051`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (byte, after) = escape(rest).unwrap_or_else(|| {
            let mut buffer = [0; 4];
            let first = first.encode_utf8(&mut buffer).as_bytes();
            // No token has a character that is not ASCII, so its first byte will do.
            (first.first().copied().unwrap_or_default(), rest.get(first.len()..).unwrap_or_default())
        });
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// The byte of the escape with which `text` begins, and the rest of `text`.
fn escape(text: &str) -> Option<(u8, &str)> {
    let hex = |digits: &str| u8::from_str_radix(digits, 16).ok();
    if let Some(rest) = text.strip_prefix('%').or_else(|| text.strip_prefix("\\x")) {
        return Some((hex(rest.get(..2)?)?, rest.get(2..)?));
    }
    if let Some(rest) = text.strip_prefix("\\u00") {
        return Some((hex(rest.get(..2)?)?, rest.get(2..)?));
    }
    let (number, rest) = text.strip_prefix("&#")?.split_once(';')?;
    let byte = match number.strip_prefix(['x', 'X']) {
        Some(digits) => hex(digits)?,
        None => number.parse().ok()?,
    };
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: &str = "QSDK 3a9f/Kq7+Lm2Xw8Zr5Tb1Vd6";
    const REFRESH: &str = "u8Yc4Nh0Gj3Pe9Rf";

    fn redaction() -> Redaction {
        Redaction::of([ACCESS, REFRESH].map(|token| Token::new(token.as_bytes()).unwrap()))
    }

    /// Forms in which a server may write `token`.
    fn forms(token: &str) -> Vec<String> {
        let each = |form: fn(char) -> String| token.chars().map(form).collect::<String>();
        let base64 = |before: &str| BASE64_STANDARD_NO_PAD.encode(format!("{before}{token} and more"));
        vec![
            token.to_owned(),
            token.to_ascii_uppercase(),
            token.to_ascii_lowercase(),
            format!("it begins with {} ...", &token[..8]),
            format!("it ends with {}", &token[token.len() - 8..]),
            each(|character| format!("{character} ")),
            each(|character| format!("{character}-")),
            each(|character| format!("{character}\u{200b}")),
            each(|character| format!("{character}\u{2062}\u{fe0f}")),
            base64(""),
            base64("Q"),
            base64("QS"),
            base64("Bearer "),
            base64("").replace('+', "-").replace('/', "_"),
            base64("").to_ascii_lowercase(),
            each(|character| format!("{:02x}", u32::from(character))),
            each(|character| format!("{:02X}:", u32::from(character))),
            each(|character| format!("%{:02X}", u32::from(character))),
            token.replace('/', "%2F").replace('+', "%2B"),
            each(|character| format!("&#{};", u32::from(character))),
            each(|character| format!("&#x{:x};", u32::from(character))),
            each(|character| format!("\\u{:04x}", u32::from(character))),
            each(|character| format!("\\x{:02x}", u32::from(character))),
        ]
    }

    #[test]
    fn a_text_that_quotes_a_token_in_any_form_is_recognized() {
        for token in ["3a9f/Kq7+Lm2Xw8Zr5Tb1Vd6", REFRESH] {
            for form in forms(token) {
                assert!(redaction().is_quoted_in(&format!("Token {form} is not valid")), "{form}");
            }
        }
        for offset in 0..REFRESH.len() - RUN {
            let part = &REFRESH[offset..offset + RUN];
            assert!(redaction().is_quoted_in(part), "{part}");
        }
    }

    #[test]
    fn a_text_without_a_part_of_a_token_is_shown() {
        for text in [
            "Access denied",
            "QSDK token expired",
            "The token begins with 3a9f and has 25 characters",
            "Job 149806 of client 12 ended at 1700000060",
            "100% of 3 files; 50%2 of &#them; \\u00zz &#999;",
            "Zürich 東京",
            "",
        ] {
            assert!(!redaction().is_quoted_in(text), "{text}");
        }
    }

    #[test]
    fn further_tokens_are_looked_for_as_well() {
        let more = redaction().and([Token::new(b"Bearer z0z1z2z3z4").unwrap()]);
        assert!(more.is_quoted_in("z1z2z3") && more.is_quoted_in(REFRESH) && !redaction().is_quoted_in("z1z2z3"));
        let short = Redaction::of([Token::new(b"a-b").unwrap(), Token::new(b"+/").unwrap()]);
        assert!(short.is_quoted_in("say A_B") && !short.is_quoted_in("say b"));
        assert!(!Redaction::of([]).is_quoted_in("anything"));
    }
}

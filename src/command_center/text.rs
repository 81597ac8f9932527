//! Makes texts of a server fit to be shown. A text and the tokens that were sent go in; out comes the text without
//! markup and control characters, cut to size, or a remark in its place if it quotes a token. Pure, no client.

use crate::command_center::Redaction;

/// Most characters of a text that are shown.
const SHOWN: usize = 256;
/// Most characters of a text that are read. Markup may make a text much longer than the part that is shown.
const READ: usize = 4096;

/// Shown in place of a text that quotes a token.
pub const WITHHELD: &str = "(withheld: it quotes a token)";

/// The part of `raw` that may be shown; none if nothing is left. A text that quotes a token is withheld as a whole: a
/// mask would tell the token's length, and what stands beside it.
#[must_use]
pub fn shown(raw: &str, redaction: &Redaction) -> Option<String> {
    // Tokens are searched after the markup is removed, because markup may stand inside a token, and before the text is
    // cut.
    let plain = without_markup(raw);
    if redaction.is_quoted_in(&plain) { Some(WITHHELD.to_owned()) } else { cut(&plain) }
}

/// The part of `raw` that may be shown, where `raw` comes from a sender that was sent no token.
#[must_use]
pub fn plain(raw: &str) -> Option<String> {
    cut(&without_markup(raw))
}

/// True if `raw` without markup begins with `words`, without regard to case.
#[must_use]
pub fn begins_with(raw: &str, words: &str) -> bool {
    without_markup(raw).get(..words.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(words))
}

/// The beginning of `raw` in one line, without markup. It may still hold the token.
fn without_markup(raw: &str) -> String {
    let mut plain = String::new();
    let mut in_markup = false;
    for character in raw.chars().take(READ) {
        match character {
            '<' => in_markup = true,
            '>' if in_markup => {
                in_markup = false;
                plain.push(' ');
            }
            _ if in_markup => {}
            character if is_invisible(character) => plain.push(' '),
            character => plain.push(character),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str) -> Option<String> {
    let text: String = text.chars().take(SHOWN).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// True for control characters, for characters that change how the text around them is shown, and for characters that
/// are not seen: the general category Cf and the property `Default_Ignorable_Code_Point` of Unicode 17.
fn is_invisible(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    let is_unseen = matches!(
        character,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
    );
    character.is_control() || is_format || is_unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::Token;

    fn redaction() -> Redaction {
        Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()])
    }

    #[test]
    fn markup_and_control_characters_are_removed_and_a_text_with_the_token_is_withheld() {
        let cases = [
            ("Access denied", Some("Access denied")),
            ("<b>Access</b>\n\tdenied<script>alert(1)</script>", Some("Access denied alert(1)")),
            ("bell\u{7} and \u{202e}override", Some("bell and override")),
            ("token QSDK 0123456789abcdef expired", Some(WITHHELD)),
            ("QSDK0<wbr>12345<wbr>6789a\u{200b}bcdef", Some(WITHHELD)),
            ("<never closed", None),
            ("  ", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(shown(raw, &redaction()).as_deref(), expected, "{raw:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_text_is_compared_without_case_and_markup() {
        for (raw, begins) in [
            ("Another backup is running for client [crm]", true),
            ("<p>ANOTHER\n<b>backup</b> is running", true),
            ("another backup is", false),
            ("It says: Another backup is running", false),
            ("Anöther backup is running", false),
            ("", false),
        ] {
            assert_eq!(begins_with(raw, "Another backup is running"), begins, "{raw:?}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shown(&"x".repeat(100_000), &redaction()).unwrap().len(), SHOWN);
    }

    #[test]
    fn characters_that_are_not_seen_or_turn_the_text_around_are_removed() {
        for hidden in [
            '\u{ad}',
            '\u{34f}',
            '\u{600}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{110bd}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            let raw = format!("failed{hidden}well");
            assert_eq!(shown(&raw, &redaction()).as_deref(), Some("failed well"), "U+{:04X}", u32::from(hidden));
        }
        assert_eq!(shown("Zürich 東京 ok", &redaction()).as_deref(), Some("Zürich 東京 ok"));
    }
}

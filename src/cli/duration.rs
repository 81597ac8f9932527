//! Durations as people write them: `30s`, `5m`, `250ms`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// The duration in `text`.
///
/// # Errors
/// Reads a duration that is not below zero; the error says what is allowed.
pub fn parse(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "a duration such as 30s, 5m, 250ms or 1h30m is needed".to_owned())
}

/// The duration in `text`, above zero.
///
/// # Errors
/// Reads a duration above zero; the error says what is allowed.
pub fn parse_above_zero(text: &str) -> Result<Duration, String> {
    parse(text)
        .and_then(|duration| if duration.is_zero() { Err("it must be above zero".to_owned()) } else { Ok(duration) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [("30s", 30_000), ("5m", 300_000), ("250ms", 250), ("1h30m", 5_400_000), ("0s", 0)];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "-5s", "soon", "5 parsecs"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_above_zero("0s").is_err());
    }
}

//! Numbers of an answer. A JSON value or a text goes in, a [`Number`] comes out. Pure, no client. Servers write the
//! same number as a number or as text, with or without a fraction.

use serde_json::Value;

/// A number, in whatever form it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The number without its fraction.
    whole: i64,
    /// True if the fraction is 0.
    exact: bool,
}

impl Number {
    /// The number in `value`.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Some(Self::whole_number(whole)),
                None => number.as_f64().and_then(Self::rounded_down),
            },
            Value::String(text) => Self::written(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The number in `text`.
    #[must_use]
    pub fn written(text: &str) -> Option<Self> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        match whole.parse() {
            Ok(whole) if fraction.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(Self { whole, exact: fraction.bytes().all(|digit| digit == b'0') })
            }
            // A number with an exponent. Words that the parser reads as numbers, such as `inf`, are none.
            _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
                text.parse().ok().and_then(Self::rounded_down)
            }
            _ => None,
        }
    }

    /// A number without a fraction.
    #[must_use]
    pub const fn whole_number(whole: i64) -> Self {
        Self { whole, exact: true }
    }

    /// A number without its fraction. Floating point is exact up to 2^53; a larger number is not one of the API.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "that is the point, and the bound is checked before")]
    #[expect(clippy::float_cmp, reason = "both are whole")]
    pub fn rounded_down(number: f64) -> Option<Self> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        (number.abs() < EXACT).then(|| Self { whole: number.trunc() as i64, exact: number.trunc() == number })
    }

    /// The value of an id, time or count: whole and above 0.
    #[must_use]
    pub fn positive(self) -> Option<u64> {
        u64::try_from(self.whole).ok().filter(|number| *number > 0 && self.exact)
    }

    /// The value of a code: whole.
    #[must_use]
    pub fn code(self) -> Option<i64> {
        self.exact.then_some(self.whole)
    }

    /// The number without its fraction.
    #[must_use]
    pub const fn whole(self) -> i64 {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_read_however_it_is_written() {
        let cases = [
            (json!(7), Some(7), Some(7)),
            (json!("7"), Some(7), Some(7)),
            (json!(" 7\n"), Some(7), Some(7)),
            (json!("+7"), Some(7), Some(7)),
            (json!(7.0), Some(7), Some(7)),
            (json!("7.000"), Some(7), Some(7)),
            (json!("7."), Some(7), Some(7)),
            (json!("7e2"), Some(700), Some(700)),
            (json!(7e2), Some(700), Some(700)),
            (json!(62.7), Some(62), None),
            (json!("62.700000"), Some(62), None),
            (json!("0.5"), Some(0), None),
            (json!(0), Some(0), None),
            (json!(-3), Some(-3), None),
            (json!("-3.5"), Some(-3), None),
            (json!(999_999_999_999_999_999_i64), Some(999_999_999_999_999_999), Some(999_999_999_999_999_999)),
            (json!("999999999999999999"), Some(999_999_999_999_999_999), Some(999_999_999_999_999_999)),
            (json!(u64::MAX), None, None),
            (json!("99999999999999999999"), None, None),
            (json!(1e300), None, None),
            (json!("1e300"), None, None),
            (json!("7%"), None, None),
            (json!("7.x"), None, None),
            (json!("0x7"), None, None),
            (json!("infinity"), None, None),
            (json!(""), None, None),
            (json!(true), None, None),
            (json!(null), None, None),
            (json!([7]), None, None),
        ];
        for (value, whole, positive) in cases {
            let number = Number::of(&value);
            assert_eq!(number.map(Number::whole), whole, "{value}");
            assert_eq!(number.and_then(Number::positive), positive, "{value}");
        }
    }
}

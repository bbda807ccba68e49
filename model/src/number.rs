//! Exact decimals: comparing what devices write as numbers without ever passing through a float.

use std::cmp::Ordering;
use std::fmt;

/// A decimal number `mantissa / 10^scale`, exact.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Longest text read as a number; YANG's decimal64 needs 20 characters.
const MAX_DIGITS: usize = 30;

impl Decimal {
    /// Reads an optional sign, digits, and an optional fraction. `None` if `text` is anything else.
    pub fn parse(text: &str) -> Option<Decimal> {
        let text = text.trim();
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let well_formed = !whole.is_empty()
            && whole.len() + fraction.len() <= MAX_DIGITS
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
            && (digits.len() == whole.len() || !fraction.is_empty());
        if !well_formed {
            return None;
        }
        let mut mantissa = 0i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let scale = u32::try_from(fraction.len()).ok()?;
        Some(Decimal { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }

    /// How far two numbers lie apart. `None` beyond what 128 bits hold.
    pub fn distance(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let apart = self.raised_to(scale)?.checked_sub(other.raised_to(scale)?)?;
        Some(Decimal { mantissa: apart.checked_abs()?, scale })
    }

    fn raised_to(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Decimal {
        Decimal { mantissa: i128::from(number), scale: 0 }
    }
}

/// Plain digits, without zeros at the end of the fraction.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0width$}", self.mantissa.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.raised_to(scale), other.raised_to(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // At most 30 digits and 30 places: only a huge value against a fine one overflows, and then
            // the side with fewer places is the larger in magnitude.
            (a, b) => {
                let (sign_a, sign_b) = (self.mantissa.signum(), other.mantissa.signum());
                sign_a.cmp(&sign_b).then_with(|| {
                    let magnitude = a.is_none().cmp(&b.is_none());
                    if sign_a < 0 { magnitude.reverse() } else { magnitude }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spelling_does_not_matter_and_other_text_is_refused() {
        let d = |t| Decimal::parse(t).unwrap();
        assert_eq!(d("+5"), d("05.0"));
        assert!(d("-3.5") < d("-3.25"));
        assert!(d("123456789012345678901234567890") > d("0.00000000000000000000000000001"));
        for text in ["", "-", "1.", ".5", "1e3", "0x1", "1 2", "9999999999999999999999999999999"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn distances_are_exact() {
        let number = |text| Decimal::parse(text).unwrap();
        let apart = |a, b| number(a).distance(number(b)).unwrap().to_string();
        assert_eq!(number("-0.50").to_string(), "-0.5");
        assert_eq!(apart("15", "23"), "8");
        assert_eq!(apart("-1.5", "1.25"), "2.75");
        assert_eq!(apart("1.10", "1.0"), "0.1");
        assert_eq!(apart("2.50", "1.5"), "1");
    }

    proptest! {
        #[test]
        fn order_agrees_with_integers(a in any::<i64>(), b in any::<i64>(), zeros in 0usize..4) {
            let text = |n: i64| if zeros == 0 { n.to_string() } else { format!("{n}.{}", "0".repeat(zeros)) };
            prop_assert_eq!(Decimal::parse(&text(a)).unwrap().cmp(&Decimal::parse(&b.to_string()).unwrap()), a.cmp(&b));
        }
    }
}

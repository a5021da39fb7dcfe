//! Kubernetes' quantities as numbers of bytes.

/// `50Mi` in bytes; `None` for what is no whole number of bytes or has no place in 63 bits.
pub fn bytes(quantity: &str) -> Option<i64> {
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match &quantity[digits.len()..] {
        "" => 1,
        "k" => 1000,
        "M" => 1000_i64.pow(2),
        "G" => 1000_i64.pow(3),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

/// How two quantities compare, whatever their units: `1Gi` and `1024Mi` are equal. `None` if one is none, or has no place in 127 bits.
pub fn compare(one: &str, other: &str) -> Option<std::cmp::Ordering> {
    Some(nanos(one)?.cmp(&nanos(other)?))
}

/// A quantity in units of 10^-9, which is as fine as Kubernetes' own.
fn nanos(quantity: &str) -> Option<i128> {
    let number = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (digits, power) = match number.rsplit_once(['e', 'E']) {
        Some((digits, power)) => (digits, power.parse::<u32>().ok()?),
        None => (number, 0),
    };
    let unit: i128 = match &quantity[number.len()..] {
        "n" => 1,
        "u" => 1000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        suffix => i128::from(units(suffix)?) * 1_000_000_000,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = whole.parse::<i128>().ok()?.checked_mul(unit)?;
    let mut part = unit;
    for digit in fraction.chars() {
        part /= 10;
        value += i128::from(digit.to_digit(10)?) * part;
    }
    value.checked_mul(10_i128.checked_pow(power)?)
}

fn units(suffix: &str) -> Option<i64> {
    let decimal = ["k", "M", "G", "T", "P", "E"].iter().zip(1..).find(|(name, _)| **name == suffix);
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().zip(1..).find(|(name, _)| **name == suffix);
    decimal.map(|(_, power)| 1000_i64.pow(power)).or_else(|| binary.map(|(_, power)| 1024_i64.pow(power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_kubernetes_own() {
        let cases = [
            ("7", Some(7)),
            ("50Mi", Some(52_428_800)),
            ("2k", Some(2000)),
            ("1.5Gi", None),
            ("9999999999999Gi", None),
            ("", None),
            ("5X", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let cases = [
            ("1Gi", "1024Mi", Some(Equal)),
            ("1Gi", "1G", Some(Greater)),
            ("0.5", "500m", Some(Equal)),
            ("1.5Gi", "2Gi", Some(Less)),
            ("1e3", "1k", Some(Equal)),
            ("9Ei", "9Ei", Some(Equal)),
            ("many", "1", None),
            ("", "1", None),
        ];
        for (one, other, expected) in cases {
            assert_eq!(compare(one, other), expected, "{one} {other}");
        }
    }
}

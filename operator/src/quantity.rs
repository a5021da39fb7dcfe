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
}

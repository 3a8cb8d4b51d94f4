//! A decimal number with a unit, computed exactly.

/// The units of a kind of quantity.
pub(crate) struct Units {
    /// Lower-case names, each with the number of smallest units that it stands for.
    pub(crate) factors: &'static [(&'static str, u64)],
    /// More decimals than this are an error.
    pub(crate) max_decimals: usize,
}

/// Returns the value in smallest units, rounded down. `None`: the text is not such a quantity, the value does not fit, or it has decimals
/// although its unit is the smallest one.
pub(crate) fn parse(text: &str, units: &Units) -> Option<u128> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = units.factors.iter().find(|(name, _)| *name == unit)?.1;
    let number = number.replace('_', "");
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if factor > 1 => (whole, decimals),
        Some(_) => return None,
        None => (number.as_str(), ""),
    };
    if decimals.len() > units.max_decimals || (whole.is_empty() && decimals.is_empty()) {
        return None;
    }
    // `whole` and `decimals` hold digits only, except that a second dot in `decimals` fails to parse here.
    let digits: u128 = format!("{whole}{decimals}").parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    Some(digits.checked_mul(u128::from(factor))? / scale)
}

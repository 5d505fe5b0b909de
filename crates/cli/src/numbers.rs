//! Numbers as tables show them: counts in groups of three, large ones short, bytes in binary units.

/// `1,234,567`; from ten million on `604.8 M`.
pub fn count_text(number: f64) -> String {
    match number.abs() {
        large if large >= 1e9 => format!("{:.1} G", number / 1e9),
        large if large >= 1e7 => format!("{:.1} M", number / 1e6),
        _ => grouped(number),
    }
}

/// `1,234,567`.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 GiB`.
pub fn bytes_text(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let place = (0..units.len() - 1).find(|place| bytes < 1024_f64.powi(*place as i32 + 1)).unwrap_or(units.len() - 1);
    let scaled = bytes / 1024_f64.powi(place as i32);
    if place == 0 { format!("{scaled:.0} B") } else { format!("{scaled:.1} {}", units[place]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_large_ones_short() {
        let texts =
            [(0.4, "0"), (999.0, "999"), (1_234_567.0, "1,234,567"), (604.8e6, "604.8 M"), (6.048e10, "60.5 G")];
        assert!(texts.iter().all(|(number, text)| count_text(*number) == *text));
    }

    #[test]
    fn bytes_are_in_binary_units() {
        let texts = [(0.0, "0 B"), (1023.0, "1023 B"), (1536.0, "1.5 KiB"), (6.5e9, "6.1 GiB"), (1e18, "888.2 PiB")];
        assert!(texts.iter().all(|(bytes, text)| bytes_text(*bytes) == *text));
    }
}

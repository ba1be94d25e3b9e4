//! Numbers written without the formatting machinery, which shows in the profile of plain answers.

/// Appends `number` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_digits(out, number, 10, 1);
}

/// Appends `number` in lower-case hexadecimal, filled with zeros to `width` (at most 32) digits.
pub(crate) fn push_hexadecimal(out: &mut Vec<u8>, number: u64, width: usize) {
    push_digits(out, number, 16, width);
}

fn push_digits(out: &mut Vec<u8>, mut number: u64, base: u64, width: usize) {
    let mut digits = [b'0'; 32];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 {
            break;
        }
        // A digit is below 16, so it fits.
        let value = (number % base) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= base;
        used += 1;
    }
    let start = digits.len() - used.max(width).min(digits.len());
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 7, 10, 255, 65_536, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            out.push(b' ');
            push_hexadecimal(&mut out, number, 29);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number} {number:029x}"));
        }
    }
}

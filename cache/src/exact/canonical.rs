//! A JSON object as a stream of bytes that is the same for all ways to write it: sorted members, no white space, no
//! escapes, one form for a number. Every piece has its length in front, so that two different values never give one
//! stream. Values are told apart as they are: nothing is lower-cased, trimmed or left out but the named members.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Beyond this a floating-point number stands for several whole ones.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends the stream of the object in `json` to `out`, without the members of `ignored` at its top.
///
/// # Errors
/// When it is no JSON object, or holds a number that cannot be told from its neighbours.
pub(super) fn append(json: &[u8], ignored: &[&str], out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Top { ignored, out })?;
    deserializer.end()
}

struct Top<'a> {
    ignored: &'a [&'a str],
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members(map, self.ignored, self.out)
    }
}

/// Appends one value.
struct Value<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push(b'0');
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        whole(i128::from(value), self.0);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        whole(i128::from(value), self.0);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.abs() >= EXACT {
            return Err(E::custom("a number is too large to be told from its neighbours"));
        }
        if value.fract() == 0.0 {
            // 1.0 asks for what 1 asks for. Below the bound the conversion is exact.
            #[allow(clippy::cast_possible_truncation)]
            whole(value as i128, self.0);
        } else {
            self.0.push(b'd');
            self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.push(b's');
        text(value.as_bytes(), self.0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let out = self.0;
        out.push(b'[');
        let place = reserve(out);
        let mut count = 0_u32;
        while seq.next_element_seed(Value(out))?.is_some() {
            count = count.saturating_add(1);
        }
        fill(out, place, count);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members(map, &[], self.0)
    }
}

/// A member's name, appended; says where it lies.
struct Name<'a> {
    ignored: &'a [&'a str],
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    /// Whether the member counts.
    type Value = bool;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        let counts = !self.ignored.contains(&value);
        if counts {
            text(value.as_bytes(), self.out);
        }
        Ok(counts)
    }
}

fn members<'de, A: MapAccess<'de>>(mut map: A, ignored: &[&str], out: &mut Vec<u8>) -> Result<(), A::Error> {
    out.push(b'{');
    let place = reserve(out);
    let start = out.len();
    let mut starts: Vec<usize> = Vec::with_capacity(8);
    let mut sorted = true;
    loop {
        let begin = out.len();
        match map.next_key_seed(Name { ignored, out })? {
            None => break,
            Some(false) => {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
            Some(true) => {
                if let Some(last) = starts.last() {
                    sorted &= name_at(out, *last) <= name_at(out, begin);
                }
                starts.push(begin);
                map.next_value_seed(Value(out))?;
            }
        }
    }
    if !sorted {
        sort(out, start, &starts);
    }
    fill(out, place, u32::try_from(starts.len()).unwrap_or(u32::MAX));
    Ok(())
}

/// Puts the members behind `start` in the order of their names; those of one name stay in the order they came in, since
/// the last one counts for most readers.
fn sort(out: &mut [u8], start: usize, starts: &[usize]) {
    let end = out.len();
    let ends = starts.iter().skip(1).copied().chain([end]);
    let mut ranges: Vec<_> = starts.iter().copied().zip(ends).collect();
    ranges.sort_by(|(one, _), (other, _)| name_at(out, *one).cmp(name_at(out, *other)));
    let mut moved = Vec::with_capacity(end - start);
    for (from, to) in ranges {
        moved.extend_from_slice(out.get(from..to).unwrap_or_default());
    }
    if let Some(place) = out.get_mut(start..) {
        place.copy_from_slice(&moved);
    }
}

/// The name, whose length lies at `at`.
fn name_at(out: &[u8], at: usize) -> &[u8] {
    let rest = out.get(at..).unwrap_or_default();
    let Some((length, rest)) = rest.split_first_chunk::<4>() else { return &[] };
    rest.get(..u32::from_le_bytes(*length) as usize).unwrap_or_default()
}

fn whole(value: i128, out: &mut Vec<u8>) {
    out.push(b'i');
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn text(value: &[u8], out: &mut Vec<u8>) {
    // A request body is below 4 GiB.
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value);
}

fn reserve(out: &mut Vec<u8>) -> usize {
    let place = out.len();
    out.extend_from_slice(&[0; 4]);
    place
}

fn fill(out: &mut [u8], place: usize, count: u32) {
    if let Some(length) = out.get_mut(place..place + 4) {
        length.copy_from_slice(&count.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        append(json.as_bytes(), &["user", "stream"], &mut out).unwrap();
        out
    }

    #[test]
    fn the_same_value_written_otherwise_gives_the_same_stream() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\"a\":1.0}"),
            (r#"{"a":"A/é"}"#, r#"{"a":"\u0041\/\u00e9"}"#),
            (r#"{"a":0}"#, r#"{"a":-0.0}"#),
            (r#"{"a":100}"#, r#"{"a":1e2}"#),
            (r#"{"a":0.5}"#, r#"{"a":5e-1}"#),
            (r#"{"a":{"x":1,"y":{"p":1,"q":2}}}"#, r#"{"a":{"y":{"q":2,"p":1},"x":1}}"#),
            (r#"{"a":1,"user":"x","stream":true}"#, r#"{"stream":false,"a":1}"#),
        ] {
            assert_eq!(stream(one), stream(other), "{one}");
        }
    }

    #[test]
    fn different_values_give_different_streams() {
        let values = [
            r#"{}"#,
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[[1]]}"#,
            r#"{"a":{"1":1}}"#,
            r#"{"a":1.5}"#,
            r#"{"a":true}"#,
            r#"{"a":false}"#,
            r#"{"a":null}"#,
            r#"{"A":1}"#,
            r#"{"a":"IT"}"#,
            r#"{"a":"it"}"#,
            r#"{"a":"it "}"#,
            r#"{"a":["x","y"]}"#,
            r#"{"a":["xy"]}"#,
            r#"{"a":["y","x"]}"#,
            r#"{"a":{"user":"x"}}"#,
            r#"{"a":{"user":"y"}}"#,
            r#"{"a":18446744073709551615}"#,
            r#"{"a":18446744073709551614}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":[],"b":[]}"#,
            r#"{"a":[{}],"b":[]}"#,
        ];
        let streams: std::collections::HashSet<_> = values.iter().map(|json| stream(json)).collect();
        assert_eq!(streams.len(), values.len());
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_stream() {
        for json in [
            "[]",
            "1",
            "",
            "{",
            r#"{"a":1}x"#,
            r#"{"a":123456789012345678901234567890}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(append(json.as_bytes(), &[], &mut Vec::new()).is_err(), "{json}");
        }
    }
}

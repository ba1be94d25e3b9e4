//! Texts of JSON that stay where they are. By itself serde borrows what is a `Cow`, but copies what is an `Option` of one.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// For `deserialize_with`, beside `default` and `borrow`: a string or null, copied only when it holds an escape.
///
/// # Errors
/// When it is something else.
pub fn optional_text<'de: 'a, 'a, D: Deserializer<'de>>(reader: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<Text<'a>>::deserialize(reader)?.map(|text| text.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder<'a> {
        #[serde(borrow, default, deserialize_with = "optional_text")]
        text: Option<Cow<'a, str>>,
    }

    #[test]
    fn only_a_text_with_an_escape_is_copied() {
        let read = |json: &'static str| serde_json::from_str::<Holder<'_>>(json).ok().map(|it| it.text);
        assert!(matches!(read(r#"{"text":"plain"}"#), Some(Some(Cow::Borrowed("plain")))));
        assert!(matches!(read(r#"{"text":"a\"b"}"#), Some(Some(Cow::Owned(text))) if text == "a\"b"));
        assert!(matches!(read(r#"{"text":null}"#), Some(None)));
        assert!(matches!(read("{}"), Some(None)));
        assert!(read(r#"{"text":7}"#).is_none());
    }
}

//! Looks at JSON values without parsing them.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// The value is there and holds something: not null, not an empty string, list or object.
pub(crate) fn is_filled(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "[]" | "{}"))
}

/// Where `part`, which borrows from `whole`, begins in it: the difference of the two addresses.
pub(crate) fn offset_in(whole: &str, part: &RawValue) -> usize {
    (part.get().as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The value when it is a string; borrowed unless it holds an escape.
pub(crate) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

//! Finds the model in a `multipart/form-data` body (RFC 7578), the form in which audio is sent. Everything
//! else in it is passed on as it is. The delimiter is taken from the body's first line, so that the
//! `Content-Type` header is not needed here.

use std::ops::Range;

use memchr::memmem;

use crate::BadRequest;

/// More than any of the forms has.
const MAX_PARTS: usize = 64;
/// The longest header of a part.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// RFC 2046 allows 70 characters, behind two hyphens.
const MAX_DELIMITER_BYTES: usize = 72;

/// The value of the field `model`, and where it lies in the body.
///
/// # Errors
/// When the body is no such form, or has no usable `model`, or two.
pub(crate) fn find_model(body: &[u8]) -> Result<(String, Range<usize>), BadRequest> {
    let delimiter = delimiter(body).ok_or_else(|| refuse("begins with no delimiter line"))?;
    let separator = [b"\r\n", delimiter].concat();
    let mut found: Option<Range<usize>> = None;
    let mut at = delimiter.len();
    for _ in 0..MAX_PARTS {
        // Behind the last part's delimiter stand two hyphens.
        match body.get(at..at + 2) {
            Some(b"--") => return usable(body, found),
            Some(b"\r\n") => {}
            _ => return Err(refuse("is cut short")),
        }
        let header = at + 2;
        let window = body.get(header..body.len().min(header + MAX_HEADER_BYTES)).unwrap_or_default();
        let length =
            memmem::find(window, b"\r\n\r\n").ok_or_else(|| refuse("has a part without its header"))?;
        let start = header + length + 4;
        let rest = body.get(start..).unwrap_or_default();
        let end = start + memmem::find(rest, &separator).ok_or_else(|| refuse("is cut short"))?;
        if window.get(..length).is_some_and(|header| field_name(header) == Some("model")) {
            if found.is_some() {
                return Err(refuse_model("The field `model` is given twice."));
            }
            found = Some(start..end);
        }
        at = end + separator.len();
    }
    Err(refuse(&format!("has more than {MAX_PARTS} parts")))
}

fn delimiter(body: &[u8]) -> Option<&[u8]> {
    let window = body.get(..body.len().min(MAX_DELIMITER_BYTES + 2))?;
    let line = window.get(..memmem::find(window, b"\r\n")?)?;
    (line.starts_with(b"--") && line.len() > 2).then_some(line)
}

/// The `name` in the part's `Content-Disposition`.
fn field_name(header: &[u8]) -> Option<&str> {
    let lines = std::str::from_utf8(header).ok()?.split("\r\n");
    let (_, parameters) = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("name").then(|| value.trim().trim_matches('"'))
    })
}

fn usable(body: &[u8], found: Option<Range<usize>>) -> Result<(String, Range<usize>), BadRequest> {
    let span = found.ok_or_else(|| refuse_model("The field `model` is missing: name the model to use."))?;
    let value = body.get(span.clone()).and_then(|value| std::str::from_utf8(value).ok());
    let model = value.filter(|model| !model.trim().is_empty());
    let model = model.ok_or_else(|| refuse_model("The field `model` is empty: name the model to use."))?;
    Ok((model.to_owned(), span))
}

fn refuse(reason: &str) -> BadRequest {
    BadRequest { message: format!("The request body {reason}: expected multipart/form-data."), param: None }
}

fn refuse_model(message: &str) -> BadRequest {
    BadRequest { message: message.to_owned(), param: Some("model".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model.wav\"\r\n\
                        Content-Type: audio/wav\r\n\r\nRIFF\r\n--c\r\n\r\n\r\n--b\r\n\
                        content-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n";

    #[test]
    fn the_model_is_found_behind_a_file() {
        let (model, span) = find_model(FORM.as_bytes()).unwrap();
        assert_eq!(model, "whisper-1");
        assert_eq!(&FORM[span], "whisper-1");
    }

    #[test]
    fn a_form_cut_anywhere_is_refused() {
        let closed = FORM.len() - 2;
        for end in 0..closed {
            assert!(find_model(&FORM.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(find_model(&FORM.as_bytes()[..closed]).is_ok());
    }

    #[test]
    fn a_model_that_is_missing_empty_or_given_twice_is_named() {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n")
        };
        for form in [part("prompt", "x"), part("\"model\"", " "), part("model", "a") + &part("model", "b")] {
            let error = find_model((form + "--b--").as_bytes()).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("model"), "{}", error.message);
        }
    }

    #[test]
    fn parts_and_headers_are_bounded() {
        let part = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n";
        assert!(find_model((part.repeat(100) + "--b--").as_bytes()).is_err());
        let long = format!("--b\r\nX: {}\r\n\r\n1\r\n--b--", "y".repeat(10_000));
        assert!(find_model(long.as_bytes()).is_err());
        assert!(find_model(format!("--{}\r\n", "b".repeat(100)).as_bytes()).is_err());
    }
}

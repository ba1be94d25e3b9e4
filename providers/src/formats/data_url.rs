//! Media by address: a web address, or a `data:` URL that holds the bytes (RFC 2397).

use crate::Untranslatable;
use crate::canonical::Media;
use crate::fields::misshapen;

/// The address, or the bytes as a `data:` URL.
pub(super) fn write_url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Base64 { media_type, payload } => format!("data:{media_type};base64,{payload}"),
    }
}

/// An address, or a `data:` URL taken apart.
///
/// # Errors
/// When a `data:` URL is not in base64.
pub(super) fn read_url(url: String, path: &str) -> Result<Media, Untranslatable> {
    let Some(inline) = url.strip_prefix("data:") else { return Ok(Media::Url(url)) };
    inline
        .split_once(";base64,")
        .map(|(kind, payload)| Media::Base64 {
            media_type: kind.split(';').next().unwrap_or(kind).to_owned(),
            payload: payload.to_owned(),
        })
        .ok_or_else(|| misshapen(path, "a web address or a data: URL in base64"))
}

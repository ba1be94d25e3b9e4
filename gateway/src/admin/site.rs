//! What a browser says of where a request comes from.

use http::{HeaderMap, header};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// Pages of this listener.
    Same,
    /// Pages of another one.
    Other,
    /// No browser that says so.
    Unknown,
}

/// By `sec-fetch-site`, which no page can set, and by `origin` where a browser does not send it.
pub(super) fn site(headers: &HeaderMap) -> Site {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return if site == "same-origin" { Site::Same } else { Site::Other };
    }
    let Some(origin) = text("origin") else { return Site::Unknown };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = text("host");
    if host.is_some() && authority == host { Site::Same } else { Site::Other }
}

/// Did the browser come over TLS, as a proxy in front says? Only its own cookie depends on it.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// A cookie's value.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_page_of_another_site_is_told_from_ours() {
        assert_eq!(site(&headers(&[("sec-fetch-site", "same-origin")])), Site::Same);
        assert_eq!(site(&headers(&[("sec-fetch-site", "same-site")])), Site::Other);
        let ours = [("origin", "http://127.0.0.1:9090"), ("host", "127.0.0.1:9090")];
        assert_eq!(site(&headers(&ours)), Site::Same);
        let port = [("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:9090")];
        assert_eq!(site(&headers(&port)), Site::Other);
        assert_eq!(site(&headers(&[("origin", "null"), ("host", "127.0.0.1:9090")])), Site::Other);
        assert_eq!(site(&headers(&[("host", "127.0.0.1:9090")])), Site::Unknown);
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "theme=dark; signalbox_session=abc;x=1")]);
        assert_eq!(cookie(&headers, "signalbox_session"), Some("abc"));
        assert_eq!(cookie(&headers, "session"), None);
    }
}

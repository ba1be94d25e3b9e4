//! Where a provider is: the parts of its base URL.

/// The parsed base URL of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// Host name or address literal, without brackets.
    pub host: String,
    /// Port, the scheme's own when the URL has none.
    pub port: u16,
    /// Path before every operation's path, without a trailing slash.
    pub path: String,
}

impl Origin {
    /// Parses `http(s)://host[:port][/path]`.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{url}` {what}: write http(s)://host[:port][/path]");
        let uri: http::Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("is neither http nor https")),
        };
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user name in it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The value of the Host header.
    pub fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_its_parts() {
        let origin = Origin::parse("https://api.openai.com/v1/").unwrap();
        assert_eq!((origin.tls, origin.port, origin.path.as_str()), (true, 443, "/v1"));
        assert_eq!(origin.host_header(), "api.openai.com");
        assert_eq!(Origin::parse("http://[::1]:9000").unwrap().host_header(), "[::1]:9000");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for url in ["api.openai.com", "ftp://x/", "http://u:p@x/", "http://x/?a=1", "http://"] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }
}

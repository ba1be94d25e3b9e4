//! Amazon's Signature Version 4, for providers that want requests signed in place of a credential. Owns the
//! form of the credential and the call of the signing library; knows no connection.
//! Reference: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4;
use domain::Secret;
use http::{HeaderName, HeaderValue};

/// The service whose requests are signed.
const SERVICE: &str = "bedrock";

/// Signs the requests to one provider.
#[derive(Debug)]
pub struct Signer {
    // Its Debug shows no secret.
    credentials: Credentials,
    region: String,
}

/// One request as it will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The Host header.
    pub host: &'a str,
    /// Path and query, escaped as they are sent.
    pub target: &'a str,
    /// Other headers that the signature is to cover.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

impl Signer {
    /// For a credential `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`; None when it has no colon, and
    /// is a key to be sent. `host` is `SERVICE.REGION.amazonaws.com` or begins so.
    ///
    /// # Errors
    /// A sentence for the operator, when a part is empty or the host names no region.
    pub fn new(credential: &Secret, host: &str) -> Result<Option<Self>, String> {
        let mut parts = credential.expose().splitn(3, ':');
        let (Some(id), Some(secret)) = (parts.next(), parts.next()) else { return Ok(None) };
        let token = parts.next().map(str::to_owned);
        if id.is_empty() || secret.is_empty() || token.as_deref() == Some("") {
            return Err(
                "the credential is not ACCESS_KEY_ID:SECRET_ACCESS_KEY or ACCESS_KEY_ID:SECRET_ACCESS_KEY:SESSION_TOKEN"
                    .to_owned(),
            );
        }
        let region = region_of(host).ok_or_else(|| {
            format!("base_url: `{host}` names no region; expected bedrock-runtime.REGION.amazonaws.com")
        })?;
        let credentials = Credentials::new(id, secret, token, None, "configuration");
        Ok(Some(Self { credentials, region: region.to_owned() }))
    }

    /// The headers that the signed request has to carry beside those that were given.
    ///
    /// # Errors
    /// A sentence, when the request is no valid HTTP.
    pub fn sign(
        &self,
        request: Unsigned<'_>,
        now: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        self.sign_for(SERVICE, request, now)
    }

    fn sign_for(
        &self,
        service: &str,
        request: Unsigned<'_>,
        now: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let failed = |what: &dyn std::fmt::Display| format!("the request cannot be signed: {what}");
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?;
        let url = format!("https://{}{}", request.host, request.target);
        let headers = std::iter::once(("host", request.host)).chain(request.headers.iter().copied());
        let body = SignableBody::Bytes(request.body);
        let signable =
            SignableRequest::new(request.method, url, headers, body).map_err(|error| failed(&error))?;
        let signed = sign_request(signable, &params.into()).map_err(|error| failed(&error))?;
        let (instructions, _) = signed.into_parts();
        let (headers, _) = instructions.into_parts();
        headers
            .into_iter()
            .map(|header| {
                let mut value = HeaderValue::try_from(header.value()).map_err(|error| failed(&error))?;
                value.set_sensitive(header.sensitive() || header.name() == "authorization");
                Ok((HeaderName::from_static(header.name()), value))
            })
            .collect()
    }
}

/// `us-east-1` of `bedrock-runtime.us-east-1.amazonaws.com`, and of a private endpoint that ends so.
fn region_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let amazon = labels.iter().position(|label| *label == "amazonaws")?;
    // A private endpoint has `vpce` behind the region.
    let behind = labels.get(amazon.checked_sub(1)?)?;
    let region = if *behind == "vpce" { labels.get(amazon.checked_sub(2)?)? } else { behind };
    region.contains('-').then_some(*region).filter(|region| !region.starts_with("bedrock"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2015-08-30T12:36:00Z, the moment of Amazon's examples.
    const MOMENT: Duration = Duration::from_secs(1_440_938_160);

    fn signer(credential: &str, host: &str) -> Result<Option<Signer>, String> {
        Signer::new(&Secret::new(credential), host)
    }

    /// `post-x-www-form-urlencoded` of Amazon's published test suite for signers, with its example keys.
    #[test]
    fn a_request_is_signed_as_in_amazons_test_suite() {
        let signer = signer(
            "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "bedrock-runtime.us-east-1.amazonaws.com",
        );
        let request = Unsigned {
            method: "POST",
            host: "example.amazonaws.com",
            target: "/",
            headers: &[("content-type", "application/x-www-form-urlencoded"), ("content-length", "13")],
            body: b"Param1=value1",
        };
        let now = SystemTime::UNIX_EPOCH + MOMENT;
        let headers = signer.unwrap().unwrap().sign_for("service", request, now).unwrap();
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        assert_eq!(find("x-amz-date").unwrap(), "20150830T123600Z");
        assert_eq!(
            find("x-amz-content-sha256").unwrap(),
            "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
        );
        assert_eq!(
            find("authorization").unwrap(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-length;content-type;host;x-amz-content-sha256;x-amz-date, \
             Signature=d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"
        );
        assert!(find("authorization").unwrap().is_sensitive());
    }

    #[test]
    fn a_session_token_is_sent_along() {
        let signer = signer("id:secret:to:ken", "bedrock-runtime.eu-west-1.amazonaws.com").unwrap().unwrap();
        let target = "/model/m%3A0/converse";
        let request = Unsigned { method: "POST", host: "h", target, headers: &[], body: b"{}" };
        let headers = signer.sign(request, SystemTime::UNIX_EPOCH + MOMENT).unwrap();
        let token = headers.iter().find(|(name, _)| name == "x-amz-security-token");
        assert_eq!(token.unwrap().1, "to:ken");
    }

    #[test]
    fn a_key_without_a_colon_signs_nothing_and_a_broken_one_is_refused() {
        let host = "bedrock-runtime.us-east-1.amazonaws.com";
        assert!(signer("ABSKQmVkcm9jaw==", host).unwrap().is_none());
        for credential in [":secret", "id:", "id:secret:"] {
            assert!(signer(credential, host).is_err(), "{credential}");
        }
        assert!(signer("id:secret", "127.0.0.1").unwrap_err().contains("region"));
    }

    #[test]
    fn the_region_stands_in_the_host() {
        for (host, region) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("bedrock-runtime.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("vpce-1-2.bedrock-runtime.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("bedrock-runtime.amazonaws.com", None),
            ("localhost", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}

//! TLS on the public listener: the client picks HTTP/1.1 or HTTP/2 by ALPN.

use crate::gateway::{Gateway, KEY, chat};

#[tokio::test]
async fn http_1_and_http_2_are_chosen_by_alpn() {
    let folder = std::env::temp_dir().join(format!("signalbox-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls: {{cert: {}, key: {}}}", cert.display(), key.display());
    let gateway = Gateway::start_with_tls("", &tls, pair.cert.pem().as_bytes()).await;

    let url = format!("https://{}/v1/chat/completions", gateway.address);
    for (only_http_1, version) in [(true, reqwest::Version::HTTP_11), (false, reqwest::Version::HTTP_2)] {
        let root = reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([root]);
        let builder = if only_http_1 { builder.http1_only() } else { builder };
        let client = builder.build().unwrap();
        let body = chat("plain", true).to_string();
        let answer = client.post(&url).bearer_auth(KEY).body(body).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert!(answer.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

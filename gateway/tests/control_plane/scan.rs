//! Searches bytes for secrets, whatever form they have taken on the way: as text, in hexadecimal, in base64, and in what a
//! backup holds encoded and compressed. `markers` proves that it finds one in each place.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How every frame of zstd begins (RFC 8878).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Everything that must be nowhere: what it is, and how it reads.
pub(super) struct Secrets(pub(super) Vec<(&'static str, String)>);

/// Something that was searched: its name and what it holds.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Place {
    pub(super) fn file(path: &Path) -> Self {
        Self { name: path.display().to_string(), bytes: std::fs::read(path).unwrap() }
    }
}

impl Secrets {
    /// Which of them the place shows, each with what follows it there.
    pub(super) fn found(&self, place: &Place) -> Vec<String> {
        let mut found = Vec::new();
        for layer in layers(&place.bytes) {
            let text = String::from_utf8_lossy(&layer);
            for (what, secret) in &self.0 {
                let at = forms(secret).iter().find_map(|form| text.find(form.as_str()));
                if let Some(rest) = at.and_then(|at| text.get(at..)) {
                    let after: String = rest.chars().take(300).collect();
                    found.push(format!("{} shows {what}: {after}", place.name));
                }
            }
        }
        found
    }
}

/// How a secret may read.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        secret.to_owned(),
        hex.to_uppercase(),
        hex,
        secret.replace(' ', "%20"),
        secret.replace(' ', "+"),
    ];
    // Base64 of something longer has it at one of three places in a group, and its ends mixed with what is beside it.
    for before in 0..3_usize {
        let encoded = STANDARD.encode([&[0_u8; 3][..before], secret.as_bytes()].concat());
        let whole = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
        forms.push(encoded[whole].to_owned());
    }
    forms
}

/// The bytes, and behind them what lines of a backup hold: columns of bytes in base64, of which some are compressed.
fn layers(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = vec![bytes.to_vec()];
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"table\"")) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
        let texts = line["row"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        for column in texts.filter_map(|text| STANDARD.decode(text).ok()) {
            if column.starts_with(&ZSTD) {
                layers.push(zstd::stream::decode_all(column.as_slice()).unwrap());
            }
            layers.push(column);
        }
    }
    layers
}

/// The files of a folder, but for the configuration, which holds secrets.
pub(super) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if entry.file_type().unwrap().is_file() && !path.ends_with("signalbox.yaml") {
            found.push(path);
        }
    }
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secrets = Secrets(vec![("a marker", "marker-5f0c 77".to_owned())]);
    let shows = |bytes: Vec<u8>| !secrets.found(&Place { name: "it".to_owned(), bytes }).is_empty();
    let row = |column: &[u8]| {
        format!("{{\"table\":\"t\",\"row\":{{\"c\":\"{}\"}}}}\n", STANDARD.encode(column)).into_bytes()
    };
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    for around in ["", "x", "xy", "xyz"] {
        let said = format!("{around}marker-5f0c 77{around}");
        let packed =
            zstd::bulk::compress(format!("{{\"subjects\":[]}}\n[\"{said}\"]\n").as_bytes(), 1).unwrap();
        for (form, bytes) in [
            ("text", said.clone().into_bytes()),
            ("beside bytes that are no text", [&[0xff, 0xfe][..], said.as_bytes()].concat()),
            ("hexadecimal", hex(&said).into_bytes()),
            ("base64", STANDARD.encode(&said).into_bytes()),
            ("a link", said.replace(' ', "%20").into_bytes()),
            ("a form", said.replace(' ', "+").into_bytes()),
            ("a column of bytes", row(said.as_bytes())),
            ("base64 in a column of bytes", row(STANDARD.encode(&said).as_bytes())),
            ("a compressed column", row(&packed)),
        ] {
            assert!(shows(bytes), "{form} of {said}");
        }
    }
    assert!(!shows(row(b"marker-5f0d 77")) && !shows(b"marker-5f0".to_vec()) && !shows(Vec::new()));
}

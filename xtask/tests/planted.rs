//! Plants a fault into a throwaway workspace and expects the check to name it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};
use tempfile::TempDir;
use xtask::{MAX_LINES, Violation, check_dependencies, check_files, check_session, rules};

/// A workspace of empty crates, each given as its name and the text of its dependency tables.
fn workspace(crates: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    let members: Vec<String> = crates.iter().map(|(name, _)| format!("{name:?}")).collect();
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", members.join(", "));
    write(root.path(), "Cargo.toml", &manifest);
    for (name, dependencies) in crates {
        let package =
            format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n{dependencies}\n");
        write(root.path(), &format!("{name}/Cargo.toml"), &package);
        write(root.path(), &format!("{name}/src/lib.rs"), "");
    }
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn metadata(root: &Path) -> Metadata {
    MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec().unwrap()
}

fn violations(crates: &[(&str, &str)]) -> Vec<Violation> {
    check_dependencies(&metadata(workspace(crates).path()))
}

fn only(violations: &[Violation]) -> String {
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].to_string()
}

#[test]
fn the_arrows_of_the_architecture_are_accepted() {
    let below = "[dependencies]\ndomain = { path = \"../domain\" }";
    let found = violations(&[
        ("domain", "[dependencies]\nserde = \"1\"\nthiserror = \"2\""),
        ("providers", &format!("{below}\nserde_json = \"1\"\nmemchr = \"2\"")),
        ("cache", &format!("{below}\nfoyer = \"0.20\"\nxxhash-rust = \"0.8\"\ntokio = \"1\"")),
        ("router-model", &format!("{below}\nort = \"2\"\ntokenizers = \"0.22\"")),
        ("store", &format!("{below}\nsqlx = \"0.8\"")),
        ("mock-upstream", "[dependencies]\ntokio = \"1\""),
        (
            "gateway",
            &format!(
                "{below}\nproviders = {{ path = \"../providers\" }}\ncache = {{ path = \"../cache\" }}\n\
                 router-model = {{ path = \"../router-model\" }}\nstore = {{ path = \"../store\" }}\n\
                 mock-upstream = {{ path = \"../mock-upstream\" }}\npingora = \"0.9\"\nprometheus = \"0.14\""
            ),
        ),
        ("bench", &format!("{below}\ngateway = {{ path = \"../gateway\" }}\npingora-proxy = \"0.9\"")),
        ("xtask", "[dependencies]\nanyhow = \"1\"\ncargo_metadata = \"0.23\""),
    ]);
    assert_eq!(found, []);
}

#[test]
fn a_dependency_on_a_sibling_is_named_with_its_rule_and_mend() {
    let text = only(&violations(&[
        ("domain", ""),
        ("cache", ""),
        ("providers", "[dependencies]\ndomain = { path = \"../domain\" }\ncache = { path = \"../cache\" }"),
    ]));
    assert!(text.starts_with("providers/Cargo.toml: `providers` depends on `cache`\n  rule: "), "{text}");
    assert!(text.contains("`providers` may use `domain`: wire formats are bytes in"), "{text}");
    assert!(text.contains("\n  mend: move what both need down into `domain`"), "{text}");
}

#[test]
fn the_domain_may_not_look_up() {
    let text =
        only(&violations(&[("domain", "[dependencies]\nstore = { path = \"../store\" }"), ("store", "")]));
    assert!(text.contains("`domain` depends on `store`") && text.contains("may use none"), "{text}");
}

#[test]
fn the_checks_and_the_mock_upstream_use_none_of_ours() {
    for krate in ["xtask", "mock-upstream"] {
        let table = "[dependencies]\ndomain = { path = \"../domain\" }";
        let text = only(&violations(&[(krate, table), ("domain", "")]));
        assert!(
            text.contains(&format!("`{krate}` depends on `domain`")) && text.contains("may use none"),
            "{text}"
        );
    }
}

#[test]
fn a_library_is_kept_for_its_owner() {
    for (krate, library) in [
        ("gateway", "foyer"),
        ("store", "xxhash-rust"),
        ("gateway", "ort"),
        ("cache", "tokenizers"),
        ("gateway", "sqlx-core"),
        ("mock-upstream", "pingora-core"),
        ("store", "prometheus"),
        ("bench", "opentelemetry-otlp"),
    ] {
        let text = only(&violations(&[(krate, &format!("[dependencies]\n{library} = \"1\""))]));
        assert!(text.contains(&format!("`{krate}` depends on `{library}`")), "{text}");
        assert!(text.contains(&format!("rule: `{library}` belongs to `")), "{text}");
    }
}

#[test]
fn the_domain_and_the_wire_formats_stay_plain() {
    for (krate, library) in [
        ("domain", "bytes"),
        ("providers", "tokio"),
        ("providers", "http"),
        ("providers", "hyper-util"),
        ("providers", "futures-core"),
        ("cache", "reqwest"),
    ] {
        let text = only(&violations(&[(krate, &format!("[dependencies]\n{library} = \"1\""))]));
        assert!(text.contains(&format!("of other libraries, `{krate}` may use")), "{text}");
    }
}

#[test]
fn renamed_optional_build_and_target_dependencies_count() {
    for table in [
        "[dependencies]\nsql = { package = \"sqlx\", version = \"0.8\" }",
        "[dependencies]\nsqlx = { version = \"0.8\", optional = true }",
        "[build-dependencies]\nsqlx = \"0.8\"",
        "[target.'cfg(windows)'.dependencies]\nsqlx = \"0.8\"",
    ] {
        assert!(only(&violations(&[("gateway", table)])).contains("depends on `sqlx`"), "{table}");
    }
}

#[test]
fn tests_may_use_any_library_and_the_mock_upstream_but_no_other_sibling() {
    let members = |table: &str| violations(&[("providers", table), ("mock-upstream", ""), ("store", "")]);
    assert_eq!(
        members("[dev-dependencies]\ntokio = \"1\"\nmock-upstream = { path = \"../mock-upstream\" }"),
        []
    );
    let text = only(&members("[dev-dependencies]\nstore = { path = \"../store\" }"));
    assert!(text.contains("`providers` depends on `store`"), "{text}");
}

#[test]
fn a_member_without_a_rule_fails() {
    let text = only(&violations(&[("domain", ""), ("newcomer", "")]));
    assert!(
        text.starts_with("newcomer/Cargo.toml: `newcomer` is a member of the workspace without a rule"),
        "{text}"
    );
    assert!(text.contains("xtask/src/rules.rs"), "{text}");
}

#[test]
fn every_rule_names_crates_that_have_a_rule() {
    let known = |name: &str| rules::CRATES.iter().any(|rule| rule.name == name);
    for rule in rules::CRATES {
        if let rules::Ours::Only(names) = rule.ours {
            assert!(names.iter().all(|name| known(name)), "{}", rule.name);
        }
    }
    assert!(rules::OWNED.iter().all(|owned| owned.owners.iter().all(|owner| known(owner))));
    assert!(rules::FOR_TESTS.iter().all(|name| known(name)));
}

#[test]
fn the_session_is_found_outside_the_edge_only() {
    let root = workspace(&[("gateway", "")]);
    let knows = "use pingora::proxy::Session;\n";
    write(root.path(), "gateway/src/edge.rs", knows);
    write(root.path(), "gateway/src/edge/downstream.rs", knows);
    write(
        root.path(),
        "gateway/src/upstream/attempt.rs",
        "use pingora::protocols::http::client::HttpSession;\n",
    );
    assert_eq!(check_session(root.path()).unwrap(), []);

    write(root.path(), "gateway/src/phases/parse.rs", &format!("//! Parses.\n\n{knows}"));
    let text = only(&check_session(root.path()).unwrap());
    assert!(text.starts_with("gateway/src/phases/parse.rs:3: names Pingora's `Session`"), "{text}");
}

#[test]
fn a_file_above_the_limit_is_found_and_one_at_the_limit_is_not() {
    let root = TempDir::new().unwrap();
    let git = |arguments: &[&str]| {
        assert!(Command::new("git").args(arguments).current_dir(root.path()).status().unwrap().success());
    };
    git(&["init", "--quiet"]);
    write(root.path(), ".gitignore", "/target\n");
    write(root.path(), "full.rs", &"//\n".repeat(MAX_LINES));
    write(root.path(), "target/generated.rs", &"//\n".repeat(MAX_LINES * 2));
    write(root.path(), "notes.md", &"word\n".repeat(MAX_LINES * 2));
    git(&["add", "."]);
    let checked = check_files(root.path()).unwrap();
    assert_eq!((checked.files, checked.violations), (1, vec![]));

    // Tracked and not yet added alike.
    write(root.path(), "scripts/long.mjs", &"//\n".repeat(MAX_LINES + 1));
    let text = only(&check_files(root.path()).unwrap().violations);
    assert!(text.starts_with("scripts/long.mjs: has 501 lines"), "{text}");
    git(&["add", "."]);
    assert_eq!(check_files(root.path()).unwrap().violations.len(), 1);
}

#[test]
fn a_folder_without_git_is_an_error_and_not_a_success() {
    let root = TempDir::new().unwrap();
    assert!(check_files(root.path()).is_err());
}

//! Compares every member's declared dependencies with the rules. Knows manifests only, no source.

use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};

use crate::Violation;
use crate::rules::{CRATES, CrateRule, FOR_TESTS, OWNED, Others, Ours, covers};

/// Every dependency that breaks a rule, and every member without a rule.
///
/// Optional, target-specific and build dependencies count like any other: a crate that can be built with a
/// dependency depends on it.
pub fn check_dependencies(metadata: &Metadata) -> Vec<Violation> {
    let members: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let check = |package: &Package| match CRATES.iter().find(|rule| rule.name == package.name.as_str()) {
        Some(rule) => {
            let place = place(metadata, package);
            package.dependencies.iter().filter_map(|d| violation(rule, d, &members, &place)).collect()
        }
        None => vec![without_rule(package, place(metadata, package))],
    };
    metadata.packages.iter().flat_map(check).collect()
}

fn violation(rule: &CrateRule, dependency: &Dependency, members: &[&str], place: &str) -> Option<Violation> {
    let name = dependency.name.as_str();
    let for_tests = dependency.kind == DependencyKind::Development;
    let problem = format!("`{}` depends on `{name}`", rule.name);
    let found = |rule: String, mend: String| {
        Some(Violation { place: place.to_owned(), problem: problem.clone(), rule, mend })
    };
    if dependency.path.is_some() {
        if !members.contains(&name) {
            return found(
                "a path dependency is a member of this workspace".to_owned(),
                "add its folder to `members` in Cargo.toml, or take it from the registry".to_owned(),
            );
        }
        let Ours::Only(allowed) = rule.ours else { return None };
        if allowed.contains(&name) || (for_tests && FOR_TESTS.contains(&name)) {
            return None;
        }
        return found(
            format!("of our crates, `{}` may use {}: {}", rule.name, list(allowed), rule.reason),
            "move what both need down into `domain`, or let `gateway` join the two".to_owned(),
        );
    }
    if for_tests {
        return None;
    }
    if let Some(owned) = OWNED.iter().find(|owned| covers(owned.library, name))
        && !owned.owners.contains(&rule.name)
    {
        return found(
            format!("`{name}` belongs to {}: {}", list(owned.owners), owned.reason),
            format!("let {} offer what is needed, in words of the domain", list(owned.owners)),
        );
    }
    let (is_allowed, limit) = match rule.others {
        Others::Any => return None,
        Others::Only(names) => {
            (names.iter().any(|pattern| covers(pattern, name)), format!("only {}", list(names)))
        }
        Others::Except(names) => {
            (!names.iter().any(|pattern| covers(pattern, name)), format!("nothing of {}", list(names)))
        }
    };
    if is_allowed {
        return None;
    }
    found(
        format!("of other libraries, `{}` may use {limit}: {}", rule.name, rule.reason),
        "do this work in `gateway` and pass the result in".to_owned(),
    )
}

fn without_rule(package: &Package, place: String) -> Violation {
    Violation {
        place,
        problem: format!("`{}` is a member of the workspace without a rule", package.name),
        rule: "every crate says what it may depend on".to_owned(),
        mend: "add it to CRATES in xtask/src/rules.rs and to the code map of ARCHITECTURE.md".to_owned(),
    }
}

/// The manifest below the root.
fn place(metadata: &Metadata, package: &Package) -> String {
    let manifest = &package.manifest_path;
    manifest.strip_prefix(&metadata.workspace_root).unwrap_or(manifest).to_string()
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

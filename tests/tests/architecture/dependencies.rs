//! Who may depend on whom.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Our packages and which of ours each may depend on, for whatever purpose.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("softbus-proto", &[]),
    ("softbus-certs", &["softbus-proto"]),
    ("softbus-discovery", &["softbus-proto"]),
    ("softbus-rpc-macros", &[]),
    ("softbus-rpc", &["softbus-proto", "softbus-rpc-macros"]),
    (
        "softbus",
        &[
            "softbus-certs",
            "softbus-discovery",
            "softbus-proto",
            "softbus-rpc",
        ],
    ),
    ("softbus-capi", &["softbus"]),
    // What it needs of the C API is there when a program has both.
    ("softbus-child-process", &[]),
    ("softbus-cli", &["softbus"]),
    ("softbus-examples", &["softbus"]),
    ("softbus-instructions", &["softbus-proto", "softbus-rpc"]),
    (
        "softbus-tests",
        &[
            "softbus",
            "softbus-certs",
            "softbus-discovery",
            "softbus-proto",
            "softbus-rpc",
            "softbus-rpc-macros",
        ],
    ),
];

/// Foreign crates that one package alone may use: what it wraps must not leak around it.
const AT_HOME_IN: &[(&str, &str)] = &[
    ("quinn", "softbus"),
    ("mdns-sd", "softbus-discovery"),
    ("rcgen", "softbus-certs"),
];

/// What makes an RPC know a network.
const NOT_IN_RPC: &[&str] = &["quinn", "rustls", "mdns-sd", "socket2"];
const NOT_IN_TOKIO_OF_RPC: &[&str] = &["net", "full"];

#[derive(Debug)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    features: Vec<String>,
}

/// Asks cargo, so that what a manifest inherits from the workspace counts too.
pub(super) fn workspace_packages(root: &Path) -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    packages(&serde_json::from_slice(&output.stdout).unwrap())
}

fn packages(metadata: &Value) -> Vec<Package> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        features: list(&value["features"]).iter().map(text).collect(),
    };
    let package = |value: &Value| Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"])
            .iter()
            .map(dependency)
            .collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

pub(super) fn forbidden_edges(packages: &[Package]) -> Vec<String> {
    let ours: Vec<_> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut offences = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED_EDGES.iter().find(|(name, _)| *name == package.name)
        else {
            offences.push(format!(
                "{} has no place in the map of allowed edges",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if ours.contains(&name) && !allowed.contains(&name) {
                offences.push(format!("{} depends on {name}", package.name));
            }
        }
    }
    offences
}

pub(super) fn misplaced_foreign_crates(packages: &[Package]) -> Vec<String> {
    let mut offences = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            let home = AT_HOME_IN.iter().find(|(name, _)| *name == dependency.name);
            if let Some((name, home)) = home.filter(|(_, home)| *home != package.name) {
                offences.push(format!(
                    "{} depends on {name}, only {home} may",
                    package.name
                ));
            }
        }
    }
    offences
}

pub(super) fn network_in_rpc(packages: &[Package]) -> Vec<String> {
    let rpc = packages
        .iter()
        .find(|package| package.name == "softbus-rpc")
        .unwrap();
    let mut offences = Vec::new();
    for Dependency { name, features } in &rpc.dependencies {
        if NOT_IN_RPC.contains(&name.as_str()) {
            offences.push(format!("softbus-rpc depends on {name}"));
        }
        for feature in features {
            if name == "tokio" && NOT_IN_TOKIO_OF_RPC.contains(&feature.as_str()) {
                offences.push(format!("softbus-rpc has tokio with feature {feature}"));
            }
        }
    }
    offences
}

mod tests {
    use serde_json::json;

    use super::*;

    /// A name and what belongs to it: a package's dependencies, a dependency's features.
    type Named<'a, T> = (&'a str, &'a [T]);

    fn made_up(packages: &[Named<'_, Named<'_, &str>>]) -> Vec<Package> {
        let packages = packages.iter().map(|(name, dependencies)| {
            let dependencies = dependencies
                .iter()
                .map(|(name, features)| json!({ "name": name, "features": features }));
            json!({ "name": name, "dependencies": dependencies.collect::<Value>() })
        });
        super::packages(&json!({ "packages": packages.collect::<Value>() }))
    }

    #[test]
    fn an_edge_that_is_not_in_the_map_is_found() {
        let packages = made_up(&[
            ("softbus-proto", &[("softbus-rpc", &[]), ("bytes", &[])]),
            ("softbus-rpc", &[("softbus-proto", &[])]),
        ]);
        assert_eq!(
            forbidden_edges(&packages),
            ["softbus-proto depends on softbus-rpc"]
        );
    }

    #[test]
    fn a_package_that_is_not_in_the_map_is_found() {
        let offences = forbidden_edges(&made_up(&[("softbus-stray", &[])]));
        assert_eq!(
            offences,
            ["softbus-stray has no place in the map of allowed edges"]
        );
    }

    #[test]
    fn a_foreign_crate_away_from_home_is_found() {
        let packages = made_up(&[
            ("softbus", &[("quinn", &[])]),
            ("softbus-cli", &[("quinn", &[]), ("rcgen", &[])]),
        ]);
        assert_eq!(
            misplaced_foreign_crates(&packages),
            [
                "softbus-cli depends on quinn, only softbus may",
                "softbus-cli depends on rcgen, only softbus-certs may"
            ]
        );
    }

    #[test]
    fn a_network_in_rpc_is_found() {
        let rpc: &[Named<'_, &str>] = &[("rustls", &[]), ("tokio", &["rt", "net"])];
        assert_eq!(
            network_in_rpc(&made_up(&[("softbus-rpc", rpc)])),
            [
                "softbus-rpc depends on rustls",
                "softbus-rpc has tokio with feature net"
            ]
        );
        assert!(network_in_rpc(&made_up(&[("softbus-rpc", &[("tokio", &["rt"])])])).is_empty());
    }
}
